//! The age format (age-encryption.org/v1) as far as it is text: recipients and identities of
//! X25519, and the header of a file. What computes keys stands in the programs; `age` itself opens
//! what they write. Only X25519 recipients are written; stanzas of other kinds are passed over.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// The first line of every file.
pub const FIRST_LINE: &str = "age-encryption.org/v1";

/// HKDF's `info` for the key that wraps the file key.
pub const INFO_X25519: &[u8] = b"age-encryption.org/v1/X25519";

/// HKDF's `info` for the key of the header's MAC.
pub const INFO_HEADER: &[u8] = b"header";

/// HKDF's `info` for the key of the payload, whose salt is the nonce behind the header.
pub const INFO_PAYLOAD: &[u8] = b"payload";

/// Bytes of a file key.
pub const FILE_KEY_BYTES: usize = 16;

/// Bytes of the nonce behind the header.
pub const NONCE_BYTES: usize = 16;

/// Bytes of plain text in one chunk; the last may have fewer.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Bytes of the tag behind each chunk.
pub const TAG_BYTES: usize = 16;

/// Recipients of one file.
pub const RECIPIENTS_MAX: usize = 20;

/// Longest header that is read, in bytes.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;

const COLUMNS: usize = 64;
const PUBLIC: &str = "age";
const SECRET: &str = "age-secret-key-";

/// A text that is no recipient, no identity, or no header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct AgeError {
    /// What was expected.
    pub expected: &'static str,
}

/// Whom a file is encrypted to: a public key of X25519. As text, `age1...`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipient(pub [u8; 32]);

impl FromStr for Recipient {
    type Err = AgeError;
    fn from_str(text: &str) -> Result<Self, AgeError> {
        let refused = AgeError { expected: "an age recipient of X25519, age1 and 58 characters" };
        if text.chars().any(char::is_uppercase) {
            return Err(refused);
        }
        decode(PUBLIC, text).map(Self).ok_or(refused)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(PUBLIC, &self.0))
    }
}

/// Who opens a file: a secret key of X25519. As text, `AGE-SECRET-KEY-1...`.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity(pub [u8; 32]);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

impl FromStr for Identity {
    type Err = AgeError;
    fn from_str(text: &str) -> Result<Self, AgeError> {
        let refused = AgeError { expected: "an age identity, AGE-SECRET-KEY-1 and 58 characters" };
        if text.chars().any(char::is_lowercase) {
            return Err(refused);
        }
        decode(SECRET, &text.to_lowercase()).map(Self).ok_or(refused)
    }
}

impl Identity {
    /// The text of its file.
    #[must_use]
    pub fn to_text(&self) -> String {
        encode(SECRET, &self.0).to_uppercase()
    }
}

/// The identities in a file as `age-keygen` writes it: one a line, between comments and empty
/// lines.
///
/// # Errors
/// A line is something else, or there is none.
pub fn identities(text: &str) -> Result<Vec<Identity>, AgeError> {
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let found: Vec<Identity> = lines.map(str::parse).collect::<Result<_, _>>()?;
    if found.is_empty() {
        return Err(AgeError { expected: "at least one age identity" });
    }
    Ok(found)
}

/// The stanza of one recipient of X25519.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    /// The share of a key made for this file alone.
    pub share: [u8; 32],
    /// The file key, wrapped: 16 bytes and a tag.
    pub wrapped: Vec<u8>,
}

/// The header up to the MAC: what is authenticated, `---` included.
#[must_use]
pub fn header(stanzas: &[Stanza]) -> String {
    let mut text = String::from(FIRST_LINE);
    text.push('\n');
    for Stanza { share, wrapped } in stanzas {
        text.push_str("-> X25519 ");
        text.push_str(&STANDARD_NO_PAD.encode(share));
        text.push('\n');
        let body = STANDARD_NO_PAD.encode(wrapped);
        let mut rest = body.as_str();
        // A body ends with a line shorter than 64 columns, even with an empty one.
        while let Some((line, after)) = rest.split_at_checked(COLUMNS) {
            text.push_str(line);
            text.push('\n');
            rest = after;
        }
        text.push_str(rest);
        text.push('\n');
    }
    text.push_str("---");
    text
}

/// The line of the MAC that follows [`header`].
#[must_use]
pub fn mac_line(mac: &[u8; 32]) -> String {
    alloc::format!(" {}\n", STANDARD_NO_PAD.encode(mac))
}

/// A header that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The stanzas of X25519.
    pub stanzas: Vec<Stanza>,
    /// How many bytes are authenticated.
    pub authenticated: usize,
    /// The MAC over them.
    pub mac: [u8; 32],
    /// How many bytes the header has; the nonce follows.
    pub length: usize,
}

impl Header {
    /// Reads the header at the beginning of a file.
    ///
    /// # Errors
    /// It is none, or longer than [`HEADER_BYTES_MAX`].
    pub fn parse(file: &[u8]) -> Result<Self, AgeError> {
        let refused = |expected| AgeError { expected };
        let head = file.get(..file.len().min(HEADER_BYTES_MAX)).unwrap_or_default();
        let mut at = 0_usize;
        let mut line = || {
            let rest = head.get(at..)?;
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            let start = at;
            at = at.checked_add(end)?.checked_add(1)?;
            let text = core::str::from_utf8(rest.get(..end)?).ok()?;
            Some((start, text))
        };
        if line().map(|(_, text)| text) != Some(FIRST_LINE) {
            return Err(refused("a file of age, beginning with age-encryption.org/v1"));
        }
        let cut = || refused("a whole header of age");
        let mut stanzas = Vec::new();
        loop {
            let (start, text) = line().ok_or_else(cut)?;
            if let Some(mac) = text.strip_prefix("--- ") {
                let mac = STANDARD_NO_PAD.decode(mac).ok().and_then(|mac| mac.try_into().ok());
                let mac = mac.ok_or(refused("a MAC of 32 bytes at the end of the header"))?;
                let authenticated = start.saturating_add(3);
                return Ok(Self { stanzas, authenticated, mac, length: at });
            }
            let words = text.strip_prefix("-> ").ok_or(refused("a stanza or the header's end"))?;
            let mut body = String::new();
            loop {
                let (_, text) = line().ok_or_else(cut)?;
                body.push_str(text);
                if text.len() < COLUMNS {
                    break;
                }
            }
            let mut words = words.split(' ');
            if words.next() != Some("X25519") {
                continue;
            }
            let share = words.next().and_then(|share| STANDARD_NO_PAD.decode(share).ok());
            let share = share.and_then(|share| share.try_into().ok());
            let wrapped = STANDARD_NO_PAD.decode(&body).ok();
            let (Some(share), Some(wrapped), None) = (share, wrapped, words.next()) else {
                return Err(refused("a share and a wrapped key in a stanza of X25519"));
            };
            stanzas.push(Stanza { share, wrapped });
        }
    }
}

/// The nonce of a chunk: its number in 11 bytes and whether it is the last (age, STREAM).
#[must_use]
pub fn chunk_nonce(number: u64, last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    for (byte, value) in nonce.iter_mut().skip(3).zip(number.to_be_bytes()) {
        *byte = value;
    }
    if let Some(flag) = nonce.last_mut() {
        *flag = u8::from(last);
    }
    nonce
}

const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];

/// Bech32's checksum (BIP 173).
fn polymod(values: impl Iterator<Item = u8>) -> u32 {
    values.fold(1, |sum, value| {
        let top = sum >> 25;
        let next = ((sum & 0x01ff_ffff) << 5) ^ u32::from(value);
        GENERATOR
            .iter()
            .enumerate()
            .filter(|(bit, _)| (top >> bit) & 1 == 1)
            .fold(next, |sum, (_, term)| sum ^ term)
    })
}

fn expanded(prefix: &str) -> impl Iterator<Item = u8> + '_ {
    prefix.bytes().map(|byte| byte >> 5).chain([0]).chain(prefix.bytes().map(|byte| byte & 31))
}

/// Bytes regrouped from `from` to `to` bits each; none where bits are left that are not zero.
fn regrouped(bytes: &[u8], from: u32, to: u32, pad: bool) -> Option<Vec<u8>> {
    let (mut held, mut bits) = (0_u32, 0_u32);
    let mut out = Vec::new();
    let mask = (1_u32 << to).checked_sub(1)?;
    for byte in bytes {
        held = ((held << from) | u32::from(*byte)) & 0xffff;
        bits = bits.checked_add(from)?;
        while bits >= to {
            bits = bits.checked_sub(to)?;
            out.push(u8::try_from((held >> bits) & mask).ok()?);
        }
    }
    let rest = held & (1_u32 << bits).checked_sub(1)?;
    if pad && bits > 0 {
        out.push(u8::try_from((rest << to.checked_sub(bits)?) & mask).ok()?);
    } else if !pad && (rest != 0 || bits >= from) {
        return None;
    }
    Some(out)
}

fn encode(prefix: &str, key: &[u8; 32]) -> String {
    let data = regrouped(key, 8, 5, true).unwrap_or_default();
    let sum = polymod(expanded(prefix).chain(data.iter().copied()).chain([0; 6])) ^ 1;
    let check = (0..6_u32).rev().map(|at| u8::try_from((sum >> (at * 5)) & 31).unwrap_or(0));
    let symbol = |value: u8| char::from(ALPHABET.get(usize::from(value)).copied().unwrap_or(b'q'));
    let symbols = data.iter().copied().chain(check).map(symbol);
    prefix.chars().chain(['1']).chain(symbols).collect()
}

fn decode(prefix: &str, text: &str) -> Option<[u8; 32]> {
    let data = text.strip_prefix(prefix)?.strip_prefix('1')?;
    let value = |symbol: u8| {
        let at = ALPHABET.iter().position(|known| *known == symbol)?;
        u8::try_from(at).ok()
    };
    let values: Vec<u8> = data.bytes().map(value).collect::<Option<_>>()?;
    if polymod(expanded(prefix).chain(values.iter().copied())) != 1 {
        return None;
    }
    let payload = values.get(..values.len().checked_sub(6)?)?;
    let key: [u8; 32] = regrouped(payload, 5, 8, false)?.try_into().ok()?;
    // One text for one key.
    (encode(prefix, &key) == alloc::format!("{prefix}1{data}")).then_some(key)
}

#[cfg(test)]
mod tests;
