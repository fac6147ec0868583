//! A key behind `lazaret-agent-keys`, a program of its own, so that the agent links no library of
//! a TPM or a token. It is asked over a pipe, a JSON object per line, and every question has a time
//! limit: a helper that stalls is ended, one that died is started again, and one that keeps failing
//! rests for longer each time. Nothing waits here for longer than `key.timeout_ms`, twice.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lazaret_protocol::attested::{Octets, TpmStatement};
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Attester, KeyError, KeyStore, TpmClaims};
use crate::clock::{Clock, sleep_ms};
use crate::config::{HelperConfig, HelperStore};

/// Longest message that is signed, in bytes: what the helper takes in one line.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// Longest answer, in bytes. A TPM's claims have some 4 KiB.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Most words of a refusal that are passed on, in characters.
const REFUSAL_CHARS_MAX: usize = 512;

/// Rest after the first failure, and the longest rest, in milliseconds.
const REST_MS: u64 = 500;
const REST_MS_MAX: u64 = 60_000;

/// How long a helper that is told to end may take, in milliseconds: it makes room in its TPM.
const FAREWELL_MS: u64 = 500;
const FAREWELL_TICK_MS: u64 = 10;

/// What the helper is asked.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Request {
    /// The public half; the key is made if there is none.
    Create,
    /// The public half of a key that is there.
    Public,
    /// A signature over a message.
    Sign(Octets),
    /// What the TPM says it is.
    Claims,
    /// The secret in a credential.
    Activate { blob: Octets, seed: Octets },
    /// A statement that the device's key is in this TPM.
    Certify { nonce: Octets },
    /// A statement over registers.
    Quote { nonce: Octets, registers: Vec<u8> },
}

/// What it answers.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Public(PublicKey),
    /// ECDSA over P-256 with SHA-256, DER.
    Signature(Octets),
    Claims {
        endorsement: Octets,
        certificate: Option<Octets>,
        attestation: Octets,
        device: Octets,
    },
    Secret(Octets),
    Statement(TpmStatement),
    Error(String),
}

/// The helper: how it is started, and the one that runs.
#[derive(Debug)]
pub(super) struct Helper {
    program: PathBuf,
    arguments: Vec<OsString>,
    timeout_ms: u64,
    /// It speaks to a TPM.
    attests: bool,
    /// The key that it had at first; it must be the same after each start.
    point: Vec<u8>,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: Option<Running>,
    /// In a row.
    failures: u32,
    /// On the monotonic clock.
    rests_until_ms: u64,
}

impl Helper {
    /// Starts the helper, which makes the key if there is none. The key's point goes with it.
    ///
    /// # Errors
    /// It cannot be started, or has no key.
    pub(super) fn start(
        config: &HelperConfig,
        state_dir: &Path,
    ) -> Result<(Self, Vec<u8>), KeyError> {
        let mut helper = Self {
            program: program(config),
            arguments: arguments(&config.store, state_dir),
            timeout_ms: config.timeout_ms,
            attests: matches!(config.store, HelperStore::Tpm2 { .. }),
            point: Vec::new(),
            // Only its monotonic side is read.
            clock: Clock::new(Timestamp::default()),
            state: Mutex::default(),
        };
        let mut running = helper.spawn()?;
        let point = point(running.ask(&Request::Create, helper.timeout_ms))?;
        helper.point.clone_from(&point);
        helper.state = Mutex::new(State { running: Some(running), ..State::default() });
        Ok((helper, point))
    }

    fn statement(&self, request: &Request) -> Result<TpmStatement, KeyError> {
        match self.ask(request)? {
            Answer::Statement(statement) => Ok(statement),
            _ => Err(KeyError::Malformed { expected: "a statement of the TPM" }),
        }
    }

    fn ask(&self, request: &Request) -> Result<Answer, KeyError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ran = state.running.is_some();
        let mut outcome = self.ask_once(&mut state, request);
        if ran && matches!(outcome, Err(KeyError::Ended)) {
            // It died since it was last asked, which is no failure to answer.
            outcome = self.ask_once(&mut state, request);
        }
        match &outcome {
            Ok(_) => state.failures = 0,
            Err(KeyError::Resting { .. }) => {}
            Err(_) => {
                // Also after a refusal: its way to a TPM or token may be broken for good.
                state.running = None;
                state.failures = state.failures.saturating_add(1);
                let rest_ms = rest_ms(state.failures);
                state.rests_until_ms = self.clock.monotonic_ms().saturating_add(rest_ms);
            }
        }
        outcome
    }

    fn ask_once(&self, state: &mut State, request: &Request) -> Result<Answer, KeyError> {
        if state.running.is_none() {
            let ms = state.rests_until_ms.saturating_sub(self.clock.monotonic_ms());
            if ms > 0 {
                return Err(KeyError::Resting { failures: state.failures, ms });
            }
            let mut running = self.spawn()?;
            let found = point(running.ask(&Request::Public, self.timeout_ms))?;
            if found != self.point {
                let wanted = PublicKey::EcdsaP256(self.point.clone()).key_id();
                return Err(KeyError::Changed { wanted });
            }
            state.running = Some(running);
        }
        let Some(running) = &mut state.running else { return Err(KeyError::Ended) };
        let outcome = running.ask(request, self.timeout_ms);
        if outcome.is_err() {
            state.running = None;
        }
        outcome
    }

    fn spawn(&self) -> Result<Running, KeyError> {
        let failed = |source| KeyError::NotStarted { program: self.program.clone(), source };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(io::ErrorKind::BrokenPipe.into()));
        };
        let (requests, to_send) = channel();
        let (received, answers) = channel();
        std::thread::spawn(move || converse((input, output), &to_send, &received));
        Ok(Running { child, requests: Some(requests), answers })
    }
}

impl KeyStore for Helper {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(KeyError::TooLong { max: MESSAGE_BYTES_MAX, got: message.len() });
        }
        match self.ask(&Request::Sign(Octets(message.to_vec())))? {
            Answer::Signature(signature) => Ok(signature.0),
            _ => Err(KeyError::Malformed { expected: "a signature" }),
        }
    }

    fn attester(&self) -> Option<&dyn Attester> {
        self.attests.then_some(self)
    }
}

impl Attester for Helper {
    fn claims(&self) -> Result<TpmClaims, KeyError> {
        match self.ask(&Request::Claims)? {
            Answer::Claims { endorsement, certificate, attestation, device } => Ok(TpmClaims {
                endorsement: endorsement.0,
                certificate: certificate.map(|octets| octets.0),
                attestation: attestation.0,
                device: device.0,
            }),
            _ => Err(KeyError::Malformed { expected: "what the TPM says it is" }),
        }
    }

    fn activate(&self, blob: &[u8], seed: &[u8]) -> Result<Vec<u8>, KeyError> {
        let (blob, seed) = (Octets(blob.to_vec()), Octets(seed.to_vec()));
        match self.ask(&Request::Activate { blob, seed })? {
            Answer::Secret(secret) => Ok(secret.0),
            _ => Err(KeyError::Malformed { expected: "the secret of a credential" }),
        }
    }

    fn certify(&self, nonce: &[u8]) -> Result<TpmStatement, KeyError> {
        self.statement(&Request::Certify { nonce: Octets(nonce.to_vec()) })
    }

    fn quote(&self, nonce: &[u8], registers: &[u8]) -> Result<TpmStatement, KeyError> {
        let (nonce, registers) = (Octets(nonce.to_vec()), registers.to_vec());
        self.statement(&Request::Quote { nonce, registers })
    }
}

/// The longer the more often it failed, up to a minute.
fn rest_ms(failures: u32) -> u64 {
    let doublings = failures.saturating_sub(1).min(16);
    REST_MS.saturating_mul(1_u64 << doublings).min(REST_MS_MAX)
}

fn point(answer: Result<Answer, KeyError>) -> Result<Vec<u8>, KeyError> {
    match answer? {
        Answer::Public(PublicKey::EcdsaP256(point)) => Ok(point),
        _ => Err(KeyError::Malformed { expected: "a P-256 public key" }),
    }
}

/// The helper's program stands beside the agent's unless the settings say otherwise.
fn program(config: &HelperConfig) -> PathBuf {
    const NAME: &str = "lazaret-agent-keys";
    config.program.clone().unwrap_or_else(|| {
        let own = std::env::current_exe().unwrap_or_default();
        own.parent().map_or_else(|| PathBuf::from(NAME), |folder| folder.join(NAME))
    })
}

fn arguments(store: &HelperStore, state_dir: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut add = |option: &str, value: OsString| arguments.extend([option.into(), value]);
    match store {
        HelperStore::Tpm2 { tcti, folder } => {
            let folder = folder.clone().unwrap_or_else(|| state_dir.join("identity"));
            add("--tcti", tcti.into());
            add("--folder", folder.into());
            arguments.insert(0, "tpm2".into());
        }
        HelperStore::Pkcs11 { module, token, label, pin_file } => {
            add("--module", module.into());
            add("--token", token.into());
            add("--key", label.into());
            add("--pin-file", pin_file.into());
            arguments.insert(0, "pkcs11".into());
        }
    }
    arguments.push("serve".into());
    arguments
}

/// A helper at work, which ends with this.
#[derive(Debug)]
struct Running {
    child: Child,
    /// Taken when it is told to end.
    requests: Option<Sender<Vec<u8>>>,
    answers: Receiver<io::Result<Vec<u8>>>,
}

impl Running {
    fn ask(&mut self, request: &Request, timeout_ms: u64) -> Result<Answer, KeyError> {
        let bad = KeyError::Malformed { expected: "an answer in JSON" };
        let mut line = serde_json::to_vec(request).map_err(|_| KeyError::Ended)?;
        line.push(b'\n');
        let requests = self.requests.as_ref().ok_or(KeyError::Ended)?;
        requests.send(line).map_err(|_| KeyError::Ended)?;
        match self.answers.recv_timeout(Duration::from_millis(timeout_ms)) {
            Ok(Ok(line)) => match serde_json::from_slice(&line).map_err(|_| bad)? {
                Answer::Error(why) => Err(KeyError::Refused { why: plain(&why) }),
                answer => Ok(answer),
            },
            Ok(Err(err)) if err.kind() == io::ErrorKind::InvalidData => {
                Err(KeyError::Malformed { expected: "a line of at most 64 KiB" })
            }
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => Err(KeyError::Ended),
            Err(RecvTimeoutError::Timeout) => {
                // It has no time left to say farewell.
                self.kill();
                Err(KeyError::Late { ms: timeout_ms })
            }
        }
    }

    fn kill(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let (Some(group), Ok(None)) = (group, self.child.try_wait()) {
            // It fails where nobody of the group is left, which is what is wanted.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }

    fn has_ended(&mut self) -> bool {
        for _ in 0..FAREWELL_MS / FAREWELL_TICK_MS {
            // Where the system does not know it any more, it has ended as well.
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            sleep_ms(FAREWELL_TICK_MS);
        }
        false
    }
}

impl Drop for Running {
    /// Its input ends, which it takes for an order to go. A helper that was killed in the middle of
    /// its work would leave keys behind in a TPM that nobody manages.
    fn drop(&mut self) {
        self.requests = None;
        if !self.has_ended() {
            self.kill();
            self.has_ended();
        }
    }
}

/// Carries lines to the helper and its answers back, until either side ends.
fn converse(
    (mut input, output): (ChildStdin, ChildStdout),
    requests: &Receiver<Vec<u8>>,
    answers: &Sender<io::Result<Vec<u8>>>,
) {
    let mut output = BufReader::new(output);
    for line in requests {
        let answer = input.write_all(&line).and_then(|()| one_line(&mut output));
        let broken = answer.is_err();
        if answers.send(answer).is_err() || broken {
            return;
        }
    }
}

fn one_line(output: &mut BufReader<ChildStdout>) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    output.by_ref().take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line)?;
    match line.last() {
        Some(b'\n') => Ok(line),
        _ if u64::try_from(line.len()).is_ok_and(|length| length >= ANSWER_BYTES_MAX) => {
            Err(io::ErrorKind::InvalidData.into())
        }
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(REFUSAL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
