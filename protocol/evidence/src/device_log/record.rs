//! One record, as the entry of a log: deterministic CBOR (RFC 8949, 4.2.1) of the array
//! `[1, seq, boot, monotonic ms, wall ms or null, clock, kind, {attribute: text or integer}, crc]`,
//! its last item the CRC-32C (RFC 3720, B.4) of all bytes before it. The Merkle tree proves what a
//! record was when the log was sealed; the CRC tells a torn record before that.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::convert::Infallible;

use crc::{CRC_32_ISCSI, Crc, Table};
use lazaret_protocol::time::{TIMESTAMP_MS_MAX, Timestamp};
use minicbor::data::Type;
use minicbor::encode;
use minicbor::{Decoder, Encoder};

use crate::log::{Clock, DETAILS_MAX, Detail, DetailValue, KIND_BYTES_MAX, Kind};

/// Longest record, in bytes. The format itself would allow 65,535.
pub const RECORD_BYTES_MAX: usize = 4096;

/// What nearly every record has room in.
const USUAL_BYTES: usize = 160;

const VERSION: u64 = 1;
const ITEMS: u64 = 9;
/// By tables of 16 KiB: a record is checked sixteen bytes at a time.
const CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// What happened on a device, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the log, from 0 on, without gaps: the index of its entry.
    pub seq: u64,
    /// Starts of the agent since the device was enrolled.
    pub boot: u64,
    /// Milliseconds since that boot, by a clock that nobody sets.
    pub monotonic: u64,
    /// When, where anything is known of it. By [`Clock::Floor`] it is later than this.
    pub at: Option<Timestamp>,
    /// What that moment rests on.
    pub clock: Clock,
    /// What happened.
    pub kind: Kind,
    /// Its particulars.
    pub detail: Detail,
}

/// Bytes that are no record, or a record that has no bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is too long.
    #[error("expected a record of at most {RECORD_BYTES_MAX} bytes, got {got}")]
    Long {
        /// Its length in bytes.
        got: usize,
    },
    /// It has too many particulars.
    #[error("expected at most {DETAILS_MAX} details, got {got}")]
    TooManyDetails {
        /// How many.
        got: u64,
    },
    /// It is not the CBOR that a record is.
    #[error("expected a record in CBOR: {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// It is of a later version.
    #[error("expected a record of version {VERSION}, got {got}")]
    Version {
        /// Its version.
        got: u64,
    },
    /// Its checksum is not that of its bytes.
    #[error("the checksum of the record does not hold")]
    Checksum,
    /// It can be written in another, shorter or better ordered way: one record has one form.
    #[error("expected the deterministic form of the record")]
    NotDeterministic,
}

impl Record {
    /// Its bytes.
    ///
    /// # Errors
    /// It is beyond a limit.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        // A `Vec` takes everything: the error type is uninhabited, and so is its CBOR half here.
        if self.write(&mut bytes).is_err() {
            return Err(RecordError::Malformed { what: "it cannot be encoded" });
        }
        let crc = CRC.checksum(&bytes);
        if Encoder::new(&mut bytes).u32(crc).is_err() {
            return Err(RecordError::Malformed { what: "it cannot be encoded" });
        }
        let count = self.detail.iter().len();
        if count > DETAILS_MAX {
            return Err(RecordError::TooManyDetails {
                got: u64::try_from(count).unwrap_or(u64::MAX),
            });
        }
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::Long { got: bytes.len() });
        }
        Ok(bytes)
    }

    /// Everything up to the checksum.
    fn write(&self, bytes: &mut Vec<u8>) -> Result<(), encode::Error<Infallible>> {
        let mut cbor = Encoder::new(bytes);
        cbor.array(ITEMS)?.u64(VERSION)?.u64(self.seq)?.u64(self.boot)?.u64(self.monotonic)?;
        match self.at {
            Some(at) => cbor.u64(at.as_ms())?,
            None => cbor.null()?,
        };
        cbor.u8(clock_number(self.clock))?.str(self.kind.as_str())?;
        cbor.map(u64::try_from(self.detail.iter().len()).unwrap_or(u64::MAX))?;
        for (key, value) in self.detail.iter() {
            cbor.str(key)?;
            match value {
                DetailValue::Natural(number) => cbor.u64(*number)?,
                DetailValue::Negative(number) => cbor.i64(*number)?,
                DetailValue::Text(text) => cbor.str(text)?,
            };
        }
        Ok(())
    }

    /// Reads one.
    ///
    /// # Errors
    /// The bytes are anything but one whole record in its one form.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::Long { got: bytes.len() });
        }
        let mut cbor = Decoder::new(bytes);
        let record = read(&mut cbor)?;
        let checked = bytes.get(..cbor.position()).unwrap_or_default();
        let crc = cbor.u32().map_err(|_| malformed("the checksum is no 32-bit number"))?;
        if crc != CRC.checksum(checked) {
            return Err(RecordError::Checksum);
        }
        if cbor.position() != bytes.len() {
            return Err(malformed("something follows the checksum"));
        }
        if record.to_bytes()? != bytes {
            return Err(RecordError::NotDeterministic);
        }
        Ok(record)
    }
}

const fn malformed(what: &'static str) -> RecordError {
    RecordError::Malformed { what }
}

fn read(cbor: &mut Decoder<'_>) -> Result<Record, RecordError> {
    let items = cbor.array().map_err(|_| malformed("it is no array"))?;
    if items != Some(ITEMS) {
        return Err(malformed("the array has not nine items"));
    }
    let mut number = |what| cbor.u64().map_err(|_| malformed(what));
    let version = number("the version is no number")?;
    if version != VERSION {
        return Err(RecordError::Version { got: version });
    }
    let seq = number("the sequence is no number")?;
    let boot = number("the boot is no number")?;
    let monotonic = number("the monotonic time is no number")?;
    let at = moment(cbor)?;
    let clock = cbor.u8().ok().and_then(clock_of).ok_or(malformed("the clock is none of three"))?;
    let kind = cbor.str().map_err(|_| malformed("the kind is no text"))?;
    if kind.len() > KIND_BYTES_MAX {
        return Err(malformed("the kind is too long"));
    }
    let kind = Kind::try_from(kind.to_string()).map_err(|_| malformed("the kind is no kind"))?;
    let detail = details(cbor)?;
    Ok(Record { seq, boot, monotonic, at, clock, kind, detail })
}

fn moment(cbor: &mut Decoder<'_>) -> Result<Option<Timestamp>, RecordError> {
    if matches!(cbor.datatype(), Ok(Type::Null)) {
        cbor.null().map_err(|_| malformed("the time is neither number nor null"))?;
        return Ok(None);
    }
    let millis = cbor.u64().map_err(|_| malformed("the time is neither number nor null"))?;
    if millis > TIMESTAMP_MS_MAX {
        return Err(malformed("the time is past the year 9999"));
    }
    Ok(Some(Timestamp::from_ms(millis)))
}

fn details(cbor: &mut Decoder<'_>) -> Result<Detail, RecordError> {
    let count = cbor.map().ok().flatten().ok_or(malformed("the details are no map"))?;
    if usize::try_from(count).map_or(true, |count| count > DETAILS_MAX) {
        return Err(RecordError::TooManyDetails { got: count });
    }
    let mut detail = Detail::none();
    for _ in 0..count {
        let key: String = cbor.str().map_err(|_| malformed("a detail's key is no text"))?.into();
        let value = match cbor.datatype() {
            Ok(Type::String) => cbor.str().map(|text| DetailValue::Text(text.into())),
            Ok(Type::U8 | Type::U16 | Type::U32 | Type::U64) => cbor.u64().map(DetailValue::from),
            _ => cbor.i64().map(DetailValue::from),
        };
        let value = value.map_err(|_| malformed("a detail is neither text nor integer"))?;
        detail = detail.exactly(key, value);
    }
    Ok(detail)
}

const fn clock_number(clock: Clock) -> u8 {
    match clock {
        Clock::Floor => 0,
        Clock::System => 1,
        Clock::Authenticated => 2,
    }
}

const fn clock_of(number: u8) -> Option<Clock> {
    match number {
        0 => Some(Clock::Floor),
        1 => Some(Clock::System),
        2 => Some(Clock::Authenticated),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests;
