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
use lazaret_protocol::key::PublicKey;
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

#[test]
fn a_wrapped_key_is_of_no_use_to_another_tpm() {
    let (mine, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let tpm = SwTpm::start(mine.path());
    tpm.store.public("create");
    let thief = SwTpm::start(other.path());
    std::fs::create_dir_all(other.path().join("wrapped")).unwrap();
    let key = mine.path().join("wrapped/tpm2-key.json");
    std::fs::copy(key, other.path().join("wrapped/tpm2-key.json")).unwrap();
    let answers = thief.store.serve(&[json!({"sign": "aGk="})]);
    let error = answers[0]["error"].as_str().unwrap();
    assert!(error.starts_with("the TPM cannot sign with that key"), "{error}");
}
