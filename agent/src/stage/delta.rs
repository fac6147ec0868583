//! One delta, frame by frame: fetch, decode against the image that runs, hand the bytes over. Every
//! doubt is said in words and ends the delta. What the frames yield counts for nothing before the
//! whole image is checked.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;

use lazaret_protocol::target::DeltaCustom;
use lazaret_protocol_delta::{BaseReader, DecodeLimits, HEADER_BYTES_MAX, Header};
use lazaret_protocol_delta_repack::{Application, ApplyError, fitting, needed_bytes};
use lazaret_protocol_tuf::Target;

use super::{StageError, length_of};
use crate::slots::SlotFile;
use crate::source::{Source, TargetReader};
use crate::transport::TransportError;

/// The format that this agent decodes.
const FORMAT: &str = "lazaret-delta-1";

/// Bytes that are read at once: between two reads the time is looked at.
const READ_BYTES: usize = 16 * 1024;

/// What to do next.
pub(super) enum Step {
    /// The delta is not to be trusted, and why.
    Doubt(String),
    /// Only so many bytes of what is in the slot fit the delta.
    KeepOnly(u64),
    /// So many bytes have been written to the slot.
    Wrote(u64),
    /// The time is up, in the middle of a frame.
    Paused,
    /// All of them are there.
    End,
}

/// A delta that is being applied.
#[derive(Debug)]
pub(super) struct DeltaRun {
    target: Target,
    custom: DeltaCustom,
    base: File,
    application: Option<Application<Image>>,
    connection: Option<Connection>,
    fetched: u64,
    /// Kept from frame to frame, so that it is allocated once.
    payload: Vec<u8>,
    /// Where in the delta the payload begins, while it is not whole.
    begun: Option<u64>,
}

#[derive(Debug)]
struct Connection {
    reader: TargetReader,
    /// Where in the delta it stands.
    at: u64,
}

/// An image on a disk: the one that runs, or the one that is made.
#[derive(Debug)]
struct Image(File);

impl BaseReader for Image {
    type Error = io::Error;

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), io::Error> {
        self.0.read_exact_at(buf, offset)
    }
}

impl DeltaRun {
    pub(super) fn new(target: Target, custom: DeltaCustom, base: File) -> Self {
        Self {
            target,
            custom,
            base,
            application: None,
            connection: None,
            fetched: 0,
            payload: Vec::new(),
            begun: None,
        }
    }

    pub(super) const fn fetched(&self) -> u64 {
        self.fetched
    }

    pub(super) fn hang_up(&mut self) {
        self.connection = None;
    }

    /// The next step from `offset` on. `limits` are the memory it may take and the image it has to
    /// yield.
    pub(super) fn next(
        &mut self,
        source: &Source,
        slot: &SlotFile,
        offset: u64,
        (limits, time_is_up): ((u64, &Target), &dyn Fn() -> bool),
    ) -> Result<Step, StageError> {
        if self.application.is_none() {
            return self.begin(source, slot, offset, limits);
        }
        let outcome = self.step((source, time_is_up), slot, offset);
        match outcome {
            Ok(step) => Ok(step),
            Err(Fetch::Doubt(why)) => Ok(Step::Doubt(why)),
            Err(Fetch::Later(err)) => Err(err),
        }
    }

    /// Fetches what the delta wants next, and writes what that makes of the image from `offset` on.
    fn step(
        &mut self,
        from: (&Source, &dyn Fn() -> bool),
        slot: &SlotFile,
        offset: u64,
    ) -> Result<Step, Fetch> {
        let wanted = self.application.as_ref().and_then(Application::wanted);
        let Some(wanted) = wanted else { return Ok(self.end()) };
        let length = wanted.end.saturating_sub(wanted.start);
        if self.payload(from, wanted.start, length)? == Payload::Partial {
            return Ok(Step::Paused);
        }
        let Some(application) = &mut self.application else { return Ok(Step::End) };
        let frame = application.frame();
        let mut at = offset;
        let taken = application.take(&self.payload, |bytes| {
            slot.write_all_at(bytes, at)?;
            at = at.saturating_add(length_of(bytes.len()));
            Ok(())
        });
        match taken {
            Ok(()) => Ok(Step::Wrote(at.saturating_sub(offset))),
            Err(ApplyError::Write(err)) => Err(Fetch::Later(StageError::Slot(err))),
            Err(err) => Ok(Step::Doubt(format!("frame {frame}: {}", in_full(&err)))),
        }
    }

    /// A delta that is longer than its frames is not what its encoder made.
    fn end(&self) -> Step {
        let end = self.application.as_ref().and_then(|it| it.header().delta_length());
        match end {
            Some(end) if end != self.target.length => Step::Doubt(format!(
                "expected a delta of {} bytes, its frames end at {end}",
                self.target.length
            )),
            _ => Step::End,
        }
    }

    /// Fetches the header, checks what it is from and to, and finds how much of the slot fits it.
    fn begin(
        &mut self,
        source: &Source,
        slot: &SlotFile,
        offset: u64,
        limits: (u64, &Target),
    ) -> Result<Step, StageError> {
        if let Some(why) = self.unfit(limits) {
            return Ok(Step::Doubt(why));
        }
        let header = match self.header(source, limits) {
            Ok(header) => header,
            Err(Fetch::Doubt(why)) => return Ok(Step::Doubt(why)),
            Err(Fetch::Later(err)) => return Err(err),
        };
        if header.base().sha256 != *self.custom.base_sha256.as_bytes() {
            return Ok(Step::Doubt("its header names another base than its target".into()));
        }
        if Some(header.result().sha256) != limits.1.hashes.sha256 {
            return Ok(Step::Doubt("its header names another result than the image".into()));
        }
        if header.result().length != limits.1.length {
            return Ok(Step::Doubt("its header says another length than the image's".into()));
        }
        let mut base = Image(self.base.try_clone().map_err(StageError::Slot)?);
        if let Err(err) = header.check_base(&mut base) {
            return Ok(Step::Doubt(format!("the image that runs: {err}")));
        }
        match needed_bytes(&header) {
            Ok(needed) if needed <= limits.0 => {}
            Ok(needed) => return Ok(Step::Doubt(too_much_memory(needed, limits.0))),
            Err(err) => return Ok(Step::Doubt(err.to_string())),
        }
        let slot = Image(slot.reader().map_err(StageError::Slot)?);
        let kept = match fitting(&header, slot, offset) {
            Ok(kept) => kept,
            Err(err) => return Ok(Step::Doubt(err.to_string())),
        };
        let begun = Application::begin::<io::Error>(header, base, kept, limits.0);
        let (application, kept) = match begun {
            Ok(begun) => begun,
            Err(err) => return Ok(Step::Doubt(in_full(&err))),
        };
        self.application = Some(application);
        Ok(Step::KeepOnly(kept))
    }

    /// What the signed description alone rules out.
    fn unfit(&self, (ram, image): (u64, &Target)) -> Option<String> {
        let custom = &self.custom;
        if custom.format != FORMAT {
            return Some(format!("expected the format {FORMAT}, got {:?}", custom.format));
        }
        if Some(*custom.result_sha256.as_bytes()) != image.hashes.sha256 {
            return Some("its target names another result than the image".into());
        }
        if custom.ram_bytes > ram {
            return Some(too_much_memory(custom.ram_bytes, ram));
        }
        None
    }

    fn header(
        &mut self,
        source: &Source,
        (ram_bytes_max, image): (u64, &Target),
    ) -> Result<Header, Fetch> {
        let doubt = |err: lazaret_protocol_delta::DeltaError| Fetch::Doubt(err.to_string());
        self.payload((source, &|| false), 0, 20)?;
        let length = Header::length_needed(&self.payload).map_err(doubt)?;
        if length > HEADER_BYTES_MAX || length_of(length) > self.target.length {
            return Err(Fetch::Doubt(format!("a header of {length} bytes is too long")));
        }
        let mut bytes = self.payload.clone();
        self.payload((source, &|| false), 20, length_of(length.saturating_sub(20)))?;
        bytes.extend_from_slice(&self.payload);
        let limits = DecodeLimits { ram_bytes_max, result_bytes_max: image.length };
        Header::parse(&bytes, &limits).map(|(header, _)| header).map_err(doubt)
    }

    /// Fetches `length` bytes of the delta from `from` on into `self.payload`, over the connection
    /// that is open where it stands there. What came stays when the time is up or the link breaks.
    fn payload(
        &mut self,
        (source, time_is_up): (&Source, &dyn Fn() -> bool),
        from: u64,
        length: u64,
    ) -> Result<Payload, Fetch> {
        let expected = self.target.length;
        if from.saturating_add(length) > expected {
            return Err(Fetch::Doubt(format!("expected {expected} bytes, its frames go on")));
        }
        if self.begun != Some(from) {
            self.payload.clear();
            self.begun = Some(from);
        }
        let mut piece = [0; READ_BYTES];
        while length_of(self.payload.len()) < length {
            let at = from.saturating_add(length_of(self.payload.len()));
            let mut connection = match self.connection.take() {
                Some(connection) if connection.at == at => connection,
                _ => Connection { reader: self.open(source, at)?, at },
            };
            let left = from.saturating_add(length).saturating_sub(at);
            let want = super::piece_length(left, READ_BYTES);
            let read = connection.reader.read(piece.get_mut(..want).unwrap_or_default());
            let read = read.map_err(|err| match super::broke_off(expected, at, err) {
                StageError::Transport(err) if err.code().is_some() => Fetch::Doubt(named(&err)),
                err => Fetch::Later(err),
            })?;
            if read == 0 {
                let (got, source) = (at, None);
                return Err(Fetch::Later(StageError::BrokeOff { expected, got, source }));
            }
            self.payload.extend_from_slice(piece.get(..read).unwrap_or_default());
            self.fetched = self.fetched.saturating_add(length_of(read));
            connection.at = at.saturating_add(length_of(read));
            self.connection = Some(connection);
            if length_of(self.payload.len()) < length && time_is_up() {
                return Ok(Payload::Partial);
            }
        }
        self.begun = None;
        Ok(Payload::Whole)
    }

    fn open(&self, source: &Source, from: u64) -> Result<TargetReader, Fetch> {
        match source.target(&self.target.wire_path, from, self.target.length) {
            Ok(reader) => Ok(reader),
            Err(err @ TransportError::Refused { status: 404, .. }) => {
                Err(Fetch::Doubt(err.to_string()))
            }
            // A delta is never worth a quarrel with a lying mirror: the image can be had elsewhere.
            Err(err) if err.code().is_some() => Err(Fetch::Doubt(named(&err))),
            Err(err) => Err(Fetch::Later(err.into())),
        }
    }
}

/// An error under the name that the forensic log has for it.
fn named(err: &TransportError) -> String {
    format!("{}: {err}", err.code().unwrap_or("download"))
}

/// How much of a payload is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Payload {
    Whole,
    Partial,
}

enum Fetch {
    Doubt(String),
    Later(StageError),
}

fn too_much_memory(needed: u64, allowed: u64) -> String {
    format!("it needs {needed} bytes of memory, {allowed} are allowed")
}

/// An error with what caused it, in one line.
fn in_full(err: &ApplyError<io::Error, io::Error>) -> String {
    let mut words = err.to_string();
    let mut source = std::error::Error::source(err);
    while let Some(cause) = source {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        source = cause.source();
    }
    words
}
