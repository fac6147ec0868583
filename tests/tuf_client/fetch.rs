//! The repository over HTTP: no answer is longer than what was allowed for, nor waited for without
//! end.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context as _, bail};
use lazaret_protocol_tuf::{Supplied, WantedFile};
use ureq::Agent;

/// Longest wait for a connection, for an answer to begin, and for its next byte.
const WAIT: Duration = Duration::from_secs(20);
/// Longest time for one metadata file, which no repository may stretch byte by byte.
const METADATA_WAIT: Duration = Duration::from_secs(60);
/// Longest time for one target.
const TARGET_WAIT: Duration = Duration::from_secs(3600);

/// Files below one URL.
#[derive(Debug)]
pub(crate) struct Repository {
    base: String,
    agent: Agent,
}

impl Repository {
    pub(crate) fn new(base: &str) -> Self {
        let settings = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .user_agent("lazaret-tuf-client")
            .accept_encoding("")
            .timeout_connect(Some(WAIT))
            .timeout_recv_response(Some(WAIT))
            .build();
        let base = format!("{}/", base.trim_end_matches('/'));
        Self { base, agent: settings.new_agent() }
    }

    /// A metadata file, at most one byte more of it than allowed.
    pub(crate) fn metadata(&self, wanted: &WantedFile) -> anyhow::Result<Supplied> {
        let Some(body) = self.get(&wanted.name, METADATA_WAIT)? else {
            return Ok(Supplied::Missing);
        };
        let mut bytes = Vec::new();
        body.take(wanted.length_max.saturating_add(1))
            .read_to_end(&mut bytes)
            .with_context(|| format!("{} cannot be fetched", wanted.name))?;
        Ok(Supplied::Bytes(bytes))
    }

    /// A target, by its path below the base.
    pub(crate) fn target(&self, path: &str) -> anyhow::Result<Option<impl Read + use<>>> {
        self.get(&encoded(path), TARGET_WAIT)
    }

    /// None where the repository says that there is no such file.
    fn get(&self, path: &str, wait: Duration) -> anyhow::Result<Option<impl Read + use<>>> {
        let url = format!("{}{path}", self.base);
        let request = self.agent.get(&url).config().timeout_global(Some(wait)).build();
        let answer = request.call().with_context(|| format!("{url} cannot be fetched"))?;
        match answer.status().as_u16() {
            200 => Ok(Some(answer.into_body().into_reader())),
            // Stores that do not list their content say 403 for what they do not have.
            403 | 404 => Ok(None),
            status => bail!("expected {url} or no such file, got status {status}"),
        }
    }
}

/// Percent-encodes a path (RFC 3986, 3.3), its separators excepted: names may hold any character.
fn encoded(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
