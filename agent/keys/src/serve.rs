//! The conversation with the agent: one request per line, one answer per line, both JSON. A request
//! that fails is answered with its error; only a broken pipe ends the conversation.

use std::io::{self, BufRead, Read as _, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lazaret_protocol::key::PublicKey;
use serde::{Deserialize, Serialize};

use crate::stores::KeyStore;

/// Longest line: a message of 256 KiB in base64.
const LINE_BYTES_MAX: u64 = 512 * 1024;

/// What the agent asks.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Request {
    /// The public half; the key is made if there is none: `"create"`.
    Create,
    /// A signature over a message in base64: `{"sign": "..."}`.
    Sign(String),
}

/// What it is answered.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Public(PublicKey),
    /// ECDSA over P-256 with SHA-256, DER, in base64.
    Signature(String),
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
    let outcome = match request {
        Request::Create => store.load_or_create().map(Answer::Public),
        Request::Sign(message) => match STANDARD.decode(message) {
            Ok(message) => store.sign(&message).map(|it| Answer::Signature(STANDARD.encode(it))),
            Err(err) => return Answer::Error(format!("expected a message in base64: {err}")),
        },
    };
    outcome.unwrap_or_else(|err| Answer::Error(chain(&err)))
}

/// The error with what caused it: the agent logs one line.
fn chain(err: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(err), |err| err.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
