//! Where files of the repository come from: the server, a mirror, or a bundle that somebody brought
//! along. TUF judges what they say; here it is only made sure that none of them can hold the device
//! up, fill it, or send it elsewhere. Nothing is retried here.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use ureq::http::{HeaderMap, StatusCode};
use ureq::{Agent, Body};

use crate::clock::Clock;
use crate::offline::OfflineBundle;
use crate::transport::{TransportError, succeeded, unreachable};

/// Remarks that are kept until somebody asks for them.
const REMARKS_MAX: usize = 8;

/// Bytes that are read and thrown away at once, where a source cannot begin in the middle.
const SKIP_BYTES: usize = 16 * 1024;

/// A file of the repository, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The file, at most one byte longer than was allowed.
    Bytes(Vec<u8>),
    /// The repository has no such file.
    Missing,
}

/// How fast a source has to be at least.
#[derive(Debug, Clone, Copy)]
pub struct Pull {
    /// Bytes per second; 0 for no limit.
    pub bytes_per_second_min: u64,
    /// Over so many milliseconds of waiting for it.
    pub window_ms: u64,
}

/// One place that has the repository.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    way: Way,
    pull: Pull,
    clock: Clock,
    remarks: Arc<Mutex<Vec<TransportError>>>,
}

#[derive(Debug, Clone)]
enum Way {
    Http { agent: Agent, base: String },
    Bundle(Arc<OfflineBundle>),
}

impl Source {
    /// A source below `base`, which has `metadata/` and `targets/`.
    #[must_use]
    pub fn over_http(name: &str, (agent, base): (Agent, String), pull: Pull, clock: Clock) -> Self {
        let way = Way::Http { agent, base };
        Self { name: name.to_owned(), way, pull, clock, remarks: Arc::default() }
    }

    /// A bundle that was opened and found whole.
    #[must_use]
    pub fn bundle(bundle: Arc<OfflineBundle>, clock: Clock) -> Self {
        let pull = Pull { bytes_per_second_min: 0, window_ms: 0 };
        let (name, way) = ("bundle".to_owned(), Way::Bundle(bundle));
        Self { name, way, pull, clock, remarks: Arc::default() }
    }

    /// What it is called in logs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was wrong with it since this was last asked, though it could be used.
    #[must_use]
    pub fn remarks(&self) -> Vec<TransportError> {
        std::mem::take(&mut *self.remarks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `metadata/FILE`, at most `max` bytes and one more, which proves that there are too many.
    ///
    /// # Errors
    /// No answer, or a refusal other than that there is no such file.
    pub fn metadata(&self, file: &str, max: u64) -> Result<Fetched, TransportError> {
        const WHAT: &str = "metadata";
        let (agent, base) = match &self.way {
            Way::Http { agent, base } => (agent, base),
            Way::Bundle(bundle) => {
                // A bundle has its files under the names that a URL has them under.
                return match bundle.read(&format!("metadata/{file}"), max) {
                    Ok(Some(bytes)) => Ok(Fetched::Bytes(bytes)),
                    Ok(None) => Ok(Fetched::Missing),
                    Err(err) => Err(unreachable(WHAT)(err.into())),
                };
            }
        };
        let address = format!("{base}/metadata/{file}");
        let response = agent.get(address).call().map_err(unreachable(WHAT))?;
        // TUF 5.3.3 and what content delivery networks answer for what they do not have.
        if matches!(response.status(), StatusCode::NOT_FOUND) {
            return Ok(Fetched::Missing);
        }
        let body = succeeded(WHAT, response)?;
        let mut bytes = Vec::new();
        let reader = self.paced(WHAT, body.into_reader());
        match reader.take(max.saturating_add(1)).read_to_end(&mut bytes) {
            Ok(_) => Ok(Fetched::Bytes(bytes)),
            Err(err) => Err(TransportError::unreadable(WHAT, err)),
        }
    }

    /// `targets/PATH` from a byte on; `path` is as TUF says it and is percent-encoded here.
    /// `length` is the whole target's signed length in bytes.
    ///
    /// # Errors
    /// No answer, a refusal, or another part or length than the one that was asked for.
    pub fn target(
        &self,
        path: &str,
        from: u64,
        length: u64,
    ) -> Result<TargetReader, TransportError> {
        const WHAT: &str = "a target";
        let (agent, base) = match &self.way {
            Way::Http { agent, base } => (agent, base),
            Way::Bundle(bundle) => return target_of(bundle, path, from, length),
        };
        let address = format!("{base}/targets/{}", encoded(path));
        let request = agent.get(address).header(RANGE, format!("bytes={from}-"));
        let response = request.call().map_err(unreachable(WHAT))?;
        let status = response.status();
        let part = status == StatusCode::PARTIAL_CONTENT;
        if part {
            check_range(path, response.headers(), from, length)?;
        } else if status.is_success() {
            check_length(path, response.headers(), length)?;
        }
        let body: Body = succeeded(WHAT, response)?;
        // Whoever reads knows from signed metadata how much to take; the client's own limit is
        // lifted.
        let reader = body.into_with_config().limit(u64::MAX).reader();
        let left = length.saturating_sub(from);
        let remarks = Arc::clone(&self.remarks);
        let reader: Box<dyn Read + Send> = Box::new(self.paced(WHAT, reader));
        let path = path.to_owned();
        let mut reader = TargetReader { reader, path, length, left, remarks };
        if !part && from > 0 {
            reader.skip(from)?;
        }
        Ok(reader)
    }

    fn paced<R: Read>(&self, what: &'static str, reader: R) -> Paced<R> {
        Paced { reader, what, pull: self.pull, clock: self.clock.clone(), waited_ms: 0, got: 0 }
    }
}

/// The target in a bundle, whose length was checked when it was opened.
fn target_of(
    bundle: &OfflineBundle,
    path: &str,
    from: u64,
    length: u64,
) -> Result<TargetReader, TransportError> {
    const WHAT: &str = "a target";
    let (file, at, whole) = bundle.open(&format!("targets/{path}")).map_err(|source| {
        let source = Box::new(source.into());
        TransportError::Unreachable { what: WHAT, source }
    })?;
    if whole != length {
        let (path, got) = (path.to_owned(), whole.to_string());
        return Err(TransportError::WrongTotal { path, expected: length, got });
    }
    let left = length.saturating_sub(from);
    let part = FilePart { file, at: at.saturating_add(from), left };
    let (reader, path) = (Box::new(part), path.to_owned());
    Ok(TargetReader { reader, path, length, left, remarks: Arc::default() })
}

/// Whether a 206 is the part that was asked for: from the right byte to the end of a whole of the
/// right length (RFC 9110, 14.4). `*` for an unknown length is taken.
fn check_range(
    path: &str,
    headers: &HeaderMap,
    from: u64,
    length: u64,
) -> Result<(), TransportError> {
    let said = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let said = said.unwrap_or("no range");
    let got: String = said.chars().filter(|c| !c.is_control()).take(100).collect();
    let wrong = || TransportError::WrongRange { path: path.to_owned(), from, got: got.clone() };
    let rest = said.strip_prefix("bytes ").ok_or_else(wrong)?;
    let (range, total) = rest.split_once('/').ok_or_else(wrong)?;
    let (first, last) = range.split_once('-').ok_or_else(wrong)?;
    if total != "*" && total.parse() != Ok(length) {
        let (path, got) = (path.to_owned(), got.clone());
        return Err(TransportError::WrongTotal { path, expected: length, got });
    }
    let last: u64 = last.parse().map_err(|_| wrong())?;
    if first.parse() != Ok(from) || last < from || last >= length {
        return Err(wrong());
    }
    Ok(())
}

/// Whether a 200 that says its length says the right one.
fn check_length(path: &str, headers: &HeaderMap, length: u64) -> Result<(), TransportError> {
    let Some(said) = headers.get(CONTENT_LENGTH) else { return Ok(()) };
    let said = said.to_str().unwrap_or("nothing readable");
    if said.trim().parse() == Ok(length) {
        return Ok(());
    }
    let got = said.chars().filter(|c| !c.is_control()).take(100).collect();
    Err(TransportError::WrongTotal { path: path.to_owned(), expected: length, got })
}

/// A target as it comes in. It ends at the signed length, whatever follows.
pub struct TargetReader {
    reader: Box<dyn Read + Send>,
    path: String,
    length: u64,
    left: u64,
    remarks: Arc<Mutex<Vec<TransportError>>>,
}

impl TargetReader {
    /// Reads what was not asked for and throws it away: a server without ranges is slow, not wrong.
    fn skip(&mut self, from: u64) -> Result<(), TransportError> {
        self.remark(TransportError::NoRanges { path: self.path.clone(), from });
        let mut piece = vec![0; SKIP_BYTES];
        let mut left = from;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(SKIP_BYTES);
            let read = self.reader.read(piece.get_mut(..want).unwrap_or_default());
            let read = read.map_err(|err| TransportError::unreadable("a target", err))?;
            if read == 0 {
                let got = format!("an end after {} bytes", from.saturating_sub(left));
                return Err(TransportError::WrongRange { path: self.path.clone(), from, got });
            }
            left = left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    fn remark(&self, remark: TransportError) {
        let mut remarks = self.remarks.lock().unwrap_or_else(PoisonError::into_inner);
        if remarks.len() < REMARKS_MAX {
            remarks.push(remark);
        }
    }

    /// Asks for one byte more than there should be, once.
    fn check_end(&mut self) {
        if matches!(self.reader.read(&mut [0]), Ok(1..)) {
            let path = self.path.clone();
            self.remark(TransportError::TooLong { path, expected: self.length });
        }
    }
}

impl Read for TargetReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        if want == 0 {
            return Ok(0);
        }
        let read = self.reader.read(buf.get_mut(..want).unwrap_or_default())?;
        self.left = self.left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
        if read > 0 && self.left == 0 {
            self.check_end();
        }
        Ok(read)
    }
}

impl std::fmt::Debug for TargetReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TargetReader").field("left", &self.left).finish_non_exhaustive()
    }
}

/// A reader that gives up on what trickles. Only the time that it waits counts, not what is done
/// with the bytes between two reads.
struct Paced<R> {
    reader: R,
    what: &'static str,
    pull: Pull,
    clock: Clock,
    waited_ms: u64,
    got: u64,
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let before = self.clock.monotonic_ms();
        let read = self.reader.read(buf)?;
        let waited = self.clock.monotonic_ms().saturating_sub(before);
        self.waited_ms = self.waited_ms.saturating_add(waited);
        self.got = self.got.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        if read > 0 && self.waited_ms >= self.pull.window_ms.max(1) {
            let expected = self.pull.bytes_per_second_min;
            let (got, ms) = (self.got, self.waited_ms);
            if got.saturating_mul(1000) < expected.saturating_mul(ms) {
                let what = self.what;
                return Err(io::Error::other(TransportError::TooSlow { what, expected, got, ms }));
            }
            (self.waited_ms, self.got) = (0, 0);
        }
        Ok(read)
    }
}

/// A stretch of a file.
struct FilePart {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for FilePart {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let read = self.file.read_at(buf.get_mut(..want).unwrap_or_default(), self.at)?;
        let length = u64::try_from(read).unwrap_or(u64::MAX);
        self.at = self.at.saturating_add(length);
        self.left = self.left.saturating_sub(length);
        Ok(read)
    }
}

/// Percent-encodes a target's path (RFC 3986, 3.3): TUF names may hold any character.
fn encoded(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests;
