//! The contract of key stores, by the real program on real ones: SoftHSM2, and a TPM simulator
//! (swtpm). Both are started here and must be installed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a failed unwrap in a test is a failed test, and its files need no power loss"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use getrandom::SysRng;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol_tpm::TpmError;
use lazaret_protocol_tpm::attest::{self, Statement};
use lazaret_protocol_tpm::credential::{self, Credential};
use lazaret_protocol_tpm::public::Public;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use tempfile::TempDir;

const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "4711-device";
const PATIENCE: Duration = Duration::from_secs(30);

/// The program with the options of one store, and its environment.
struct Store {
    options: Vec<String>,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Store {
    fn command(&self, job: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lazaret-agent-keys"));
        command.args(&self.options).arg(job);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn run(&self, job: &str) -> Output {
        self.command(job).output().unwrap()
    }

    fn public(&self, job: &str) -> PublicKey {
        let output = self.run(job);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// All answers to these requests.
    fn serve(&self, requests: &[Value]) -> Vec<Value> {
        let mut child =
            self.command("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        for request in requests {
            writeln!(input, "{request}").unwrap();
        }
        drop(input);
        let output = BufReader::new(child.stdout.take().unwrap());
        let answers = output.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        let answers = answers.collect();
        assert!(child.wait().unwrap().success());
        answers
    }
}

/// Whatever a store promises.
fn keeps_the_contract(store: &Store) {
    let none = store.run("public");
    assert!(!none.status.success());
    assert!(String::from_utf8_lossy(&none.stderr).contains("there is no key"), "{none:?}");
    assert_eq!(store.serve(&[json!({"sign": ""})]), [json!({"error": "there is no key"})]);

    let public = store.public("create");
    assert_eq!(store.public("create"), public, "the key is made once");
    assert_eq!(store.public("public"), public, "the key outlives the program");

    let messages = [vec![], b"message".to_vec(), vec![7; 100_000]];
    let mut requests = vec![json!("create")];
    requests.extend(messages.iter().map(|it| json!({"sign": STANDARD.encode(it)})));
    let answers = store.serve(&requests);
    assert_eq!(answers[0], json!({"public": public}));
    for (message, answer) in messages.iter().zip(&answers[1..]) {
        let signature = answer["signature"].as_str().unwrap_or_else(|| panic!("{answer}"));
        let signature = STANDARD.decode(signature).unwrap();
        public.verify(message, &signature).unwrap();
        assert!(public.verify(b"another", &signature).is_err());
    }
}

/// A fresh token of SoftHSM2.
fn token(folder: &Path, key: &str) -> Store {
    let tokens = folder.join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let conf = folder.join("softhsm2.conf");
    std::fs::write(&conf, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "device", "--so-pin", "so-pin", "--pin", PIN])
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .expect("softhsm2 is installed");
    assert!(made.status.success(), "{made:?}");
    let pin_file = folder.join("pin");
    std::fs::write(&pin_file, format!("{PIN}\n")).unwrap();
    Store {
        options: ["pkcs11", "--module", SOFTHSM, "--token", "device", "--key", key, "--pin-file"]
            .into_iter()
            .map(ToOwned::to_owned)
            .chain([pin_file.display().to_string()])
            .collect(),
        environment: vec![("SOFTHSM2_CONF", conf)],
    }
}

#[test]
fn a_pkcs11_token_keeps_the_contract_and_its_key() {
    let folder = TempDir::new().unwrap();
    let store = token(folder.path(), "lazaret-device");
    keeps_the_contract(&store);
    // The token itself, by a tool that is not ours.
    let listed = Command::new("pkcs11-tool")
        .args(["--module", SOFTHSM, "--token-label", "device", "--login", "--pin", PIN])
        .args(["--list-objects", "--type", "privkey"])
        .envs(store.environment.iter().map(|(name, value)| (name, value)))
        .output()
        .expect("opensc is installed");
    let listed = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.contains("lazaret-device"), "{listed}");
    assert!(listed.contains("sensitive") && listed.contains("never extractable"), "{listed}");
}

#[test]
fn a_pkcs11_token_that_is_not_meant_is_refused() {
    let folder = TempDir::new().unwrap();
    let store = token(folder.path(), "key");
    let refused = |from: &str, to: &str, said: &str| {
        let options =
            store.options.iter().map(|it| if it == from { to.into() } else { it.clone() });
        let other = Store { options: options.collect(), environment: store.environment.clone() };
        let output = other.run("create");
        assert!(!output.status.success());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(said), "{error}");
    };
    refused("device", "another", "expected a token with the label \"another\", found device");
    refused(SOFTHSM, "/dev/null", "the PKCS#11 token cannot be loaded");
    std::fs::write(folder.path().join("pin"), "0000\n").unwrap();
    refused("", "", "the PKCS#11 token cannot log in with that PIN");
    std::fs::write(folder.path().join("pin"), "\n").unwrap();
    refused("", "", "expected a PIN in the first line of its file");
}

/// A TPM simulator on loopback.
struct SwTpm {
    child: Child,
    store: Store,
}

impl SwTpm {
    /// Starts one over the state in `folder`.
    fn start(folder: &Path) -> Self {
        let state = folder.join("state");
        std::fs::create_dir_all(&state).unwrap();
        // It takes the port after its own for control: both are looked for together.
        let (port, control) = loop {
            let first = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = first.local_addr().unwrap().port();
            let next = port.checked_add(1).and_then(|it| TcpListener::bind(("127.0.0.1", it)).ok());
            if let Some(next) = next {
                break (port, next.local_addr().unwrap().port());
            }
        };
        let mut child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--tpmstate"])
            .arg(format!("dir={}", state.display()))
            .args(["--server", &format!("type=tcp,port={port}")])
            .args(["--ctrl", &format!("type=tcp,port={control}")])
            .spawn()
            .expect("swtpm is installed");
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", control)).is_err() {
            assert!(started.elapsed() < PATIENCE, "swtpm does not listen");
            assert!(child.try_wait().unwrap().is_none(), "swtpm has ended");
            std::thread::sleep(Duration::from_millis(20));
        }
        let tcti = format!("swtpm:host=127.0.0.1,port={port}");
        let wrapped = folder.join("wrapped").display().to_string();
        let options = ["tpm2", "--tcti", &tcti, "--folder", &wrapped];
        let options = options.into_iter().map(ToOwned::to_owned).collect();
        Self { child, store: Store { options, environment: Vec::new() } }
    }
}

impl Drop for SwTpm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_tpm_keeps_the_contract_over_its_restarts() {
    let folder = TempDir::new().unwrap();
    let tpm = SwTpm::start(folder.path());
    keeps_the_contract(&tpm.store);
    let public = tpm.store.public("public");
    drop(tpm);
    let tpm = SwTpm::start(folder.path());
    assert_eq!(tpm.store.public("create"), public);
    let answers = tpm.store.serve(&[json!({"sign": "aGk="})]);
    let signature = STANDARD.decode(answers[0]["signature"].as_str().unwrap()).unwrap();
    public.verify(b"hi", &signature).unwrap();
}

fn bytes(answer: &Value) -> Vec<u8> {
    STANDARD.decode(answer.as_str().unwrap_or_else(|| panic!("no text: {answer}"))).unwrap()
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// All that a server does before it believes that a key lives in a TPM.
#[test]
fn a_tpm_proves_that_it_holds_the_devices_key() {
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let tpm = SwTpm::start(folder.path());
    let device_key = tpm.store.public("create");
    let claims = tpm.store.serve(&[json!("claims")]).remove(0)["claims"].take();
    let public = |which: &str| Public::parse(&bytes(&claims[which])).unwrap();
    let (endorsement, attestation, device) =
        (public("endorsement"), public("attestation"), public("device"));
    assert!(endorsement.attributes.endorses() && attestation.attributes.attests());
    assert!(device.attributes.never_leaves() && !device.attributes.attests());
    assert_eq!(device.verifier(), Some(device_key));

    let mut random = UnwrapErr(SysRng);
    let credential =
        credential::make(&endorsement, attestation.name(), b"the secret", &mut random).unwrap();
    let activate = |credential: &Credential| {
        let (blob, seed) = (base64(&credential.blob), base64(&credential.seed));
        json!({"activate": {"blob": blob, "seed": seed}})
    };
    // A credential for another key of the same TPM is not opened, and neither is a changed one.
    let other = credential::make(&endorsement, device.name(), b"the secret", &mut random).unwrap();
    let mut changed = credential.clone();
    *changed.blob.last_mut().unwrap() ^= 1;
    let nonce = base64(b"fresh nonce");
    let answers = tpm.store.serve(&[
        activate(&credential),
        activate(&other),
        activate(&changed),
        json!({"certify": {"nonce": nonce}}),
        json!({"quote": {"nonce": nonce, "registers": [0, 7, 16]}}),
        activate(&credential),
    ]);
    assert_eq!(bytes(&answers[0]["secret"]), b"the secret");
    for refused in &answers[1..3] {
        let error = refused["error"].as_str().unwrap();
        assert!(error.starts_with("the TPM cannot open the credential"), "{error}");
    }
    assert_eq!(answers[5], answers[0], "nothing is left behind that would fill the TPM");

    let verified = |answer: &Value, by: &Public| {
        let answer = &answer["statement"];
        attest::verify(&bytes(&answer["statement"]), &bytes(&answer["signature"]), by)
    };
    let certified = verified(&answers[3], &attestation).unwrap();
    assert_eq!(certified.nonce, b"fresh nonce");
    assert_eq!(certified.statement, Statement::Certified { name: device.name().to_vec() });
    let quoted = verified(&answers[4], &attestation).unwrap();
    let Statement::Quoted { registers, digest } = &quoted.statement else { panic!("{quoted:?}") };
    assert_eq!(registers, &[0, 7, 16]);
    assert_eq!(digest.len(), 32);
    assert!(quoted.clock.clock_ms >= certified.clock.clock_ms);
    // By another key, even the device's own, it is not believed.
    assert!(matches!(verified(&answers[4], &device), Err(TpmError::BadKey { .. })));

    // Another TPM opens nothing of this.
    let thief = SwTpm::start(elsewhere.path());
    thief.store.public("create");
    let refused = thief.store.serve(&[activate(&credential)]);
    assert!(refused[0]["error"].is_string(), "{refused:?}");

    // And a reset is seen in what it signs.
    drop(tpm);
    let tpm = SwTpm::start(folder.path());
    let again = tpm.store.serve(&[json!({"quote": {"nonce": nonce, "registers": [0]}})]);
    let again = verified(&again[0], &attestation).unwrap();
    assert!(again.clock.resets > quoted.clock.resets, "{again:?}");
}

/// Our credentials are opened by tools that are not ours, with either kind of endorsement key.
#[test]
fn stock_tools_open_a_credential_of_ours() {
    let folder = TempDir::new().unwrap();
    let tpm = SwTpm::start(folder.path());
    let tools = |tool: &str, arguments: &[&str]| {
        let output = Command::new(tool)
            .args(arguments)
            .env("TPM2TOOLS_TCTI", &tpm.store.options[2])
            .current_dir(folder.path())
            .output()
            .expect("tpm2-tools are installed");
        assert!(output.status.success(), "{tool} {arguments:?}: {output:?}");
    };
    for algorithm in ["ecc", "rsa"] {
        tools("tpm2_createek", &["-c", "ek.ctx", "-G", algorithm, "-u", "ek.pub"]);
        let kind = ["-G", "ecc", "-g", "sha256", "-s", "ecdsa", "-u", "ak.pub"];
        tools("tpm2_createak", &[&["-C", "ek.ctx", "-c", "ak.ctx"][..], &kind].concat());
        tools("tpm2_flushcontext", &["-t"]);
        // The tools write the length before the public area.
        let public = |file: &str| {
            let bytes = std::fs::read(folder.path().join(file)).unwrap();
            Public::parse(&bytes[2..]).unwrap()
        };
        let (endorsement, attestation) = (public("ek.pub"), public("ak.pub"));
        let mut random = UnwrapErr(SysRng);
        let name = attestation.name();
        let made = credential::make(&endorsement, name, b"for you alone", &mut random).unwrap();
        let buffer =
            |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
        let head = [0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1];
        let file = [&head[..], &buffer(&made.blob), &buffer(&made.seed)].concat();
        std::fs::write(folder.path().join("credential"), file).unwrap();
        tools("tpm2_startauthsession", &["--policy-session", "-S", "session.ctx"]);
        tools("tpm2_policysecret", &["-S", "session.ctx", "-c", "e"]);
        let keys = ["-c", "ak.ctx", "-C", "ek.ctx", "-P", "session:session.ctx"];
        let files = ["-i", "credential", "-o", "secret"];
        tools("tpm2_activatecredential", &[&keys[..], &files].concat());
        let secret = std::fs::read(folder.path().join("secret")).unwrap();
        assert_eq!(secret, b"for you alone", "{algorithm}");
        tools("tpm2_flushcontext", &["session.ctx"]);
        tools("tpm2_flushcontext", &["-t"]);
    }
}

#[test]
fn a_wrapped_key_is_of_no_use_to_another_tpm() {
    let (mine, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let tpm = SwTpm::start(mine.path());
    tpm.store.public("create");
    let thief = SwTpm::start(other.path());
    std::fs::create_dir_all(other.path().join("wrapped")).unwrap();
    let key = mine.path().join("wrapped/tpm2-keys.json");
    std::fs::copy(key, other.path().join("wrapped/tpm2-keys.json")).unwrap();
    let answers = thief.store.serve(&[json!({"sign": "aGk="})]);
    let error = answers[0]["error"].as_str().unwrap();
    assert!(
        error.starts_with("the TPM cannot load that key: it was wrapped by another TPM"),
        "{error}"
    );
}
