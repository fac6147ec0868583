//! One delta, frame by frame: fetch, decode against the image that runs, hand the bytes over. Every
//! doubt is said in words and ends the delta. What the frames yield counts for nothing before the
//! whole image is checked.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;

use lazaret_protocol::target::DeltaCustom;
use lazaret_protocol_delta::{BaseReader, DecodeLimits, Decoder, Frame, HEADER_BYTES_MAX, Header};
use lazaret_protocol_tuf::Target;

use super::{StageError, length_of};
use crate::source::{Source, TargetReader};
use crate::transport::TransportError;

/// The format that this agent decodes.
const FORMAT: &str = "lazaret-delta-1";

/// What to do next.
pub(super) enum Step {
    /// The delta is not to be trusted, and why.
    Doubt(String),
    /// Only so many bytes of what is in the slot fit the delta.
    KeepOnly(u64),
    /// These bytes come next.
    Append(Vec<u8>),
    /// All of them are there.
    End,
}

/// A delta that is being applied.
#[derive(Debug)]
pub(super) struct DeltaRun {
    target: Target,
    custom: DeltaCustom,
    base: Base,
    decoder: Option<Decoder>,
    connection: Option<Connection>,
    fetched: u64,
    /// Kept from frame to frame, so that each is allocated once.
    payload: Vec<u8>,
    result: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    reader: TargetReader,
    /// Where in the delta it stands.
    at: u64,
}

#[derive(Debug)]
struct Base(File);

impl BaseReader for Base {
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
            base: Base(base),
            decoder: None,
            connection: None,
            fetched: 0,
            payload: Vec::new(),
            result: Vec::new(),
        }
    }

    pub(super) const fn fetched(&self) -> u64 {
        self.fetched
    }

    pub(super) fn hang_up(&mut self) {
        self.connection = None;
    }

    pub(super) fn take_back(&mut self, bytes: Vec<u8>) {
        self.result = bytes;
    }

    /// The next step from `offset` on. `limits` are the memory it may take and the image it has to
    /// yield.
    pub(super) fn next(
        &mut self,
        source: &Source,
        slot: &File,
        offset: u64,
        limits: (u64, &Target),
    ) -> Result<Step, StageError> {
        if self.decoder.is_none() {
            return self.begin(source, slot, offset, limits);
        }
        let outcome = self.frame(source, offset);
        match outcome {
            Ok(step) => Ok(step),
            Err(Fetch::Doubt(why)) => Ok(Step::Doubt(why)),
            Err(Fetch::Later(err)) => Err(err),
        }
    }

    /// Fetches and decodes the frame that begins at `offset`, after the control block that it needs.
    fn frame(&mut self, source: &Source, offset: u64) -> Result<Step, Fetch> {
        let Some(decoder) = &self.decoder else { return Ok(Step::End) };
        let frames = decoder.header().frames();
        let Some(number) = frames.iter().position(|frame| frame.result_offset >= offset) else {
            return Ok(self.end());
        };
        let Some(frame) = frames.get(number).copied() else { return Ok(Step::End) };
        if frame.result_offset != offset {
            return Ok(Step::KeepOnly(0));
        }
        let wanted = decoder.control_wanted(number);
        if let Some((section, at)) = wanted.map(|(section, at)| (section, *at)) {
            self.payload(source, at.control_offset, u64::from(at.control_length))?;
            let Some(decoder) = &mut self.decoder else { return Ok(Step::End) };
            let loaded = decoder.load_control(section, &self.payload);
            loaded.map_err(|err| Fetch::Doubt(err.to_string()))?;
        }
        self.payload(source, frame.payload_offset, u64::from(frame.payload_length))?;
        let Some(decoder) = &mut self.decoder else { return Ok(Step::End) };
        let mut result = std::mem::take(&mut self.result);
        match decoder.frame(number, &self.payload, &mut self.base, &mut result) {
            Ok(()) => Ok(Step::Append(result)),
            Err(err) => Ok(Step::Doubt(format!("frame {number}: {err}"))),
        }
    }

    /// A delta that is longer than its frames is not what its encoder made.
    fn end(&self) -> Step {
        let end = self.decoder.as_ref().and_then(|decoder| decoder.header().delta_length());
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
        slot: &File,
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
        if !header.tables().base_layout.is_plain() || !header.tables().result_layout.is_plain() {
            return Ok(Step::Doubt("it needs parts of an image to be packed again".into()));
        }
        if let Err(err) = header.check_base(&mut self.base) {
            return Ok(Step::Doubt(format!("the image that runs: {err}")));
        }
        let keep = fitting(&header, slot, offset)?;
        self.decoder = Some(Decoder::new(header));
        Ok(Step::KeepOnly(keep))
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
            return Some(format!(
                "it needs {} bytes of memory, {ram} are allowed",
                custom.ram_bytes
            ));
        }
        None
    }

    fn header(
        &mut self,
        source: &Source,
        (ram_bytes_max, image): (u64, &Target),
    ) -> Result<Header, Fetch> {
        let doubt = |err: lazaret_protocol_delta::DeltaError| Fetch::Doubt(err.to_string());
        self.payload(source, 0, 20)?;
        let length = Header::length_needed(&self.payload).map_err(doubt)?;
        if length > HEADER_BYTES_MAX || length_of(length) > self.target.length {
            return Err(Fetch::Doubt(format!("a header of {length} bytes is too long")));
        }
        let mut bytes = self.payload.clone();
        self.payload(source, 20, length_of(length.saturating_sub(20)))?;
        bytes.extend_from_slice(&self.payload);
        let limits = DecodeLimits { ram_bytes_max, result_bytes_max: image.length };
        Header::parse(&bytes, &limits).map(|(header, _)| header).map_err(doubt)
    }

    /// Fetches `length` bytes of the delta from `from` on into `self.payload`, over the connection
    /// that is open where it stands there.
    fn payload(&mut self, source: &Source, from: u64, length: u64) -> Result<(), Fetch> {
        let expected = self.target.length;
        if from.saturating_add(length) > expected {
            return Err(Fetch::Doubt(format!("expected {expected} bytes, its frames go on")));
        }
        self.payload.clear();
        if length == 0 {
            return Ok(());
        }
        let mut connection = match self.connection.take() {
            Some(connection) if connection.at == from => connection,
            _ => Connection { reader: self.open(source, from)?, at: from },
        };
        let read = connection.reader.by_ref().take(length).read_to_end(&mut self.payload);
        let got = length_of(self.payload.len());
        self.fetched = self.fetched.saturating_add(got);
        let at = from.saturating_add(got);
        if let Err(err) = read {
            return Err(match super::broke_off(expected, at, err) {
                StageError::Transport(err) if err.code().is_some() => Fetch::Doubt(named(&err)),
                err => Fetch::Later(err),
            });
        }
        if got < length {
            let (got, source) = (at, None);
            return Err(Fetch::Later(StageError::BrokeOff { expected, got, source }));
        }
        connection.at = from.saturating_add(length);
        self.connection = Some(connection);
        Ok(())
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

enum Fetch {
    Doubt(String),
    Later(StageError),
}

/// How many bytes in the slot are whole frames of this delta: each is hashed again, because the
/// power may have gone while they were written.
fn fitting(header: &Header, slot: &File, offset: u64) -> Result<u64, StageError> {
    let mut keep = 0;
    let mut bytes = Vec::new();
    for frame in header.frames() {
        let end = frame.result_offset.saturating_add(u64::from(frame.result_length));
        if end > offset {
            break;
        }
        bytes.resize(usize::try_from(frame.result_length).unwrap_or(usize::MAX), 0);
        slot.read_exact_at(&mut bytes, frame.result_offset).map_err(StageError::Slot)?;
        if Frame::digest_of(&bytes) != frame.digest {
            break;
        }
        keep = end;
    }
    Ok(keep)
}
