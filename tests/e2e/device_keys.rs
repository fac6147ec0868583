//! Devices whose keys live in a TPM and in a token: the real agent with the real helper, against
//! swtpm and SoftHSM2.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this program is a test"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lazaret_tests::fleet::{Fleet, PATIENCE};
use lazaret_tests::hardware::{SwTpm, Token};
use lazaret_tests::programs;
use lazaret_tests::site::Device;
use lazaret_tests::wait;
use serde_json::Value;

#[test]
fn devices_whose_keys_are_in_hardware_enrol_update_and_renew() {
    // Else a device with a TPM keeps its key where whoever reads the disk can copy it.
    let mut fleet = Fleet::found(100 * 1024).unwrap();
    let hardware = fleet.folder().join("hardware");
    let tpm = SwTpm::start(&hardware.join("tpm")).unwrap();
    let token = Token::make(&hardware, &fleet.site.programs).unwrap();
    for (id, settings) in [("d-tpm", tpm.settings()), ("d-token", token.settings())] {
        fleet.add(id).unwrap();
        fleet.devices.last().unwrap().keep_key(&settings).unwrap();
    }
    // Enrolled, polled, installed, and reported with the key's signature, which the server checks.
    fleet.install_first().unwrap_or_else(|err| panic!("{err:#}\n{}", tails(&fleet)));

    for device in &fleet.devices {
        let text = b"PRIVATE KEY";
        for file in files_below(&device.folder) {
            let bytes = std::fs::read(&file).unwrap();
            let found = bytes.windows(text.len()).any(|window| window == text);
            assert!(!found, "{} holds a private key", file.display());
        }
        assert!(!device.folder.join("state/identity/key.pem").exists());
    }
    // The key that the server knows is the one in the TPM.
    let wrapped = fleet.devices[0].folder.join("state/identity");
    assert_eq!(certified_point(&fleet.devices[0]), wrapped_point(&wrapped));

    // The helpers die, and the server wants every certificate renewed at once: both need the keys.
    for device in &fleet.devices {
        kill_helper(device);
    }
    fleet.site.kill_server().unwrap();
    let settings = fleet.site.folder.join("server.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    rewrite(&settings, &text.replace("[issuing]", "[issuing]\ncertificate_hours = 2160"));
    let before: Vec<Vec<u8>> = fleet.devices.iter().map(certificate).collect();
    fleet.site.start_server().unwrap();
    for (device, before) in fleet.devices.iter().zip(&before) {
        wait::until(&format!("{} to renew its certificate", device.id), PATIENCE, || {
            Ok((certificate(device) != *before).then_some(()))
        })
        .unwrap_or_else(|err| panic!("{err:#}\n{}", device.log_tail().unwrap()));
        assert_eq!(fleet.events_of("renewed", &device.id).unwrap(), 1);
        let polls = || polls(&fleet, &device.id);
        let so_far = polls();
        wait::until("a poll with the new certificate", PATIENCE, || {
            Ok((polls() > so_far + 1).then_some(()))
        })
        .unwrap();
    }
}

#[test]
fn a_device_that_may_not_keep_its_key_in_a_file_does_not_start() {
    let mut fleet = Fleet::found(10 * 1024).unwrap();
    fleet.add("d-1").unwrap();
    let device = fleet.devices.last().unwrap();
    device.keep_key("").unwrap();
    for command in ["check-config", "run"] {
        let said = programs::output(&mut device.command(command)).unwrap();
        assert_eq!(said.status.code(), Some(2), "{said:?}");
        let text = String::from_utf8_lossy(&said.stderr);
        assert!(text.contains("allow_software_keys: expected true"), "{text}");
        assert!(text.contains("key.store = \"tpm2\" or \"pkcs11\""), "{text}");
    }
    assert!(!device.folder.join("state/identity").exists());
}

fn tails(fleet: &Fleet) -> String {
    let tails = fleet.devices.iter().map(|device| device.log_tail().unwrap_or_default());
    tails.collect::<Vec<_>>().join("\n---\n")
}

fn certificate(device: &Device) -> Vec<u8> {
    std::fs::read(device.folder.join("state/identity/certificate.json")).unwrap()
}

/// The public key's point in the device's certificate, by openssl.
fn certified_point(device: &Device) -> Vec<u8> {
    let reply: Value = serde_json::from_slice(&certificate(device)).unwrap();
    let path = device.folder.join("certificate.pem");
    rewrite(&path, reply["certificate_chain"].as_str().unwrap());
    let mut openssl = Command::new("openssl");
    let said = openssl.args(["x509", "-noout", "-pubkey", "-in"]).arg(&path).output().unwrap();
    let pem = String::from_utf8(said.stdout).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(base64).unwrap();
    der[der.len() - 65..].to_vec()
}

/// The point at the end of a TPM's public area (part 2, 12.2.4): two numbers with their lengths.
fn wrapped_point(folder: &Path) -> Vec<u8> {
    let keys = std::fs::read(folder.join("tpm2-keys.json")).unwrap();
    let keys: Value = serde_json::from_slice(&keys).unwrap();
    let public = STANDARD.decode(keys["device"]["public"].as_str().unwrap()).unwrap();
    let numbers = &public[public.len() - 68..];
    [&[4], &numbers[2..34], &numbers[36..]].concat()
}

fn polls(fleet: &Fleet, id: &str) -> u64 {
    fleet.site.lazaret(&["device", "show", id]).unwrap()["polls"].as_u64().unwrap()
}

/// Kills the helper of this device's agent, by its number.
fn kill_helper(device: &Device) {
    let mut killed = 0;
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(command) = std::fs::read(process.path().join("cmdline")) else { continue };
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let hardware = device.folder.ancestors().nth(3).unwrap().join("hardware");
        let mine = command.contains(&format!("{}/", device.folder.display()))
            || (device.id == "d-token" && command.contains(&format!("{}/", hardware.display())));
        if command.contains("lazaret-agent-keys ") && mine {
            let pid = process.file_name().into_string().unwrap();
            assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
            killed += 1;
        }
    }
    assert_eq!(killed, 1, "{} has one helper", device.id);
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files.extend(files_below(&entry.path()));
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    files
}

fn rewrite(path: &Path, text: &str) {
    use std::io::Write as _;
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}
