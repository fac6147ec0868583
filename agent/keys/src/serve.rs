//! The conversation with the agent: one request per line, one answer per line, both JSON. A request
//! that fails is answered with its error; only a broken pipe ends the conversation.

use std::io::{self, BufRead, Read as _, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lazaret_protocol::key::PublicKey;
use serde::{Deserialize, Serialize};

use crate::stores::{Claims, KeyStore, KeyStoreError, Statement};

/// Longest line: a message of 256 KiB in base64.
const LINE_BYTES_MAX: u64 = 512 * 1024;

/// What the agent asks.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Request {
    /// The public half; the key is made if there is none: `"create"`.
    Create,
    /// The public half of a key that is there: `"public"`.
    Public,
    /// A signature over a message in base64: `{"sign": "..."}`.
    Sign(Base64),
    /// What the TPM says it is: `"claims"`.
    Claims,
    /// The secret in a credential: `{"activate": {"blob": "...", "seed": "..."}}`.
    Activate { blob: Base64, seed: Base64 },
    /// A statement that the device's key is in this TPM: `{"certify": {"nonce": "..."}}`.
    Certify { nonce: Base64 },
    /// A statement over registers: `{"quote": {"nonce": "...", "registers": [0, 7]}}`.
    Quote { nonce: Base64, registers: Vec<u8> },
}

/// Bytes as standard base64 (RFC 4648, 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Base64(Vec<u8>);

impl TryFrom<String> for Base64 {
    type Error = base64::DecodeError;
    fn try_from(text: String) -> Result<Self, base64::DecodeError> {
        STANDARD.decode(text).map(Self)
    }
}

impl From<Base64> for String {
    fn from(bytes: Base64) -> Self {
        STANDARD.encode(bytes.0)
    }
}

/// What it is answered.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Public(PublicKey),
    /// ECDSA over P-256 with SHA-256, DER.
    Signature(Base64),
    Claims {
        endorsement: Base64,
        certificate: Option<Base64>,
        attestation: Base64,
        device: Base64,
    },
    Secret(Base64),
    Statement {
        statement: Base64,
        signature: Base64,
    },
    Error(String),
}

/// Answers until the input ends.
///
/// # Errors
/// The pipe breaks.
pub(crate) fn serve(
    store: &mut dyn KeyStore,
    mut input: impl BufRead,
    mut output: impl Write,
) -> io::Result<()> {
    loop {
        let mut line = Vec::new();
        let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') {
            // Where the next request would begin is not known any more.
            let why = format!("expected a line of at most {LINE_BYTES_MAX} bytes");
            return write(&mut output, &Answer::Error(why));
        }
        write(&mut output, &answer(store, &line))?;
    }
}

fn write(output: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

fn answer(store: &mut dyn KeyStore, line: &[u8]) -> Answer {
    let request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(err) => return Answer::Error(format!("expected a request: {err}")),
    };
    carried_out(store, request).unwrap_or_else(|err| Answer::Error(chain(&err)))
}

fn carried_out(store: &mut dyn KeyStore, request: Request) -> Result<Answer, KeyStoreError> {
    let request = match request {
        Request::Create => return store.load_or_create().map(Answer::Public),
        Request::Public => {
            return store.public()?.ok_or(KeyStoreError::NoKey).map(Answer::Public);
        }
        Request::Sign(message) => {
            return Ok(Answer::Signature(Base64(store.sign(&message.0)?)));
        }
        request => request,
    };
    let attester = store.attester().ok_or(KeyStoreError::NoAttester)?;
    let statement = match request {
        Request::Certify { nonce } => attester.certify(&nonce.0)?,
        Request::Quote { nonce, registers } => attester.quote(&nonce.0, &registers)?,
        Request::Activate { blob, seed } => {
            return Ok(Answer::Secret(Base64(attester.activate(&blob.0, &seed.0)?)));
        }
        _ => {
            let Claims { endorsement, certificate, attestation, device } = attester.claims()?;
            return Ok(Answer::Claims {
                endorsement: Base64(endorsement),
                certificate: certificate.map(Base64),
                attestation: Base64(attestation),
                device: Base64(device),
            });
        }
    };
    let Statement { statement, signature } = statement;
    Ok(Answer::Statement { statement: Base64(statement), signature: Base64(signature) })
}

/// The error with what caused it: the agent logs one line.
fn chain(err: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(err), |err| err.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
