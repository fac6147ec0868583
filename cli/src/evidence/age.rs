//! Opening what devices encrypted to responders (age-encryption.org/v1). Any `age` does so too;
//! this spares a responder the clear text on the disk.

use std::io::{self, Read};

use curve25519_dalek::montgomery::MontgomeryPoint;
use lazaret_protocol_evidence::age::{
    AgeError, CHUNK_BYTES, FILE_KEY_BYTES, HEADER_BYTES_MAX, Header, INFO_HEADER, INFO_PAYLOAD,
    INFO_X25519, Identity, NONCE_BYTES, Stanza, TAG_BYTES, chunk_nonce,
};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac;

/// Why a file is not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// It cannot be read.
    #[error("cannot read the encrypted file")]
    Unreadable(#[from] io::Error),
    /// Its beginning is no header of age.
    #[error("the header of the encrypted file is damaged")]
    Header(#[from] AgeError),
    /// It is encrypted to others.
    #[error(
        "encrypted to others: none of the identities given opens it, which has {recipients} \
         recipients"
    )]
    NotForUs { recipients: usize },
    /// The header was changed.
    #[error("the header of the encrypted file was changed")]
    HeaderChanged,
    /// A chunk was changed, moved, or is no last one.
    #[error("the encrypted file was changed or cut within bytes {from} to {to}")]
    Chunk { from: u64, to: u64 },
    /// Something follows the last chunk.
    #[error("something follows the end of the encrypted file")]
    Trailing,
}

/// Decrypts `from` into `to`, which gets nothing that was not authenticated.
pub(crate) fn open(
    mut from: impl Read,
    identities: &[Identity],
    to: &mut impl io::Write,
) -> Result<(), OpenError> {
    let mut head = Vec::new();
    let most = u64::try_from(HEADER_BYTES_MAX + NONCE_BYTES).unwrap_or(u64::MAX);
    from.by_ref().take(most).read_to_end(&mut head)?;
    let header = Header::parse(&head)?;
    let file_key = file_key(&header, identities)
        .ok_or(OpenError::NotForUs { recipients: header.stanzas.len() })?;
    let authenticated = head.get(..header.authenticated).unwrap_or_default();
    let key = derived(&[], &file_key, INFO_HEADER).ok_or(OpenError::HeaderChanged)?;
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), authenticated, &header.mac)
        .map_err(|_| OpenError::HeaderChanged)?;
    let rest = head.split_off(header.length.min(head.len()));
    let mut from = io::Cursor::new(rest).chain(from);
    let mut nonce = [0; NONCE_BYTES];
    from.read_exact(&mut nonce)?;
    let key = derived(&nonce, &file_key, INFO_PAYLOAD).and_then(|key| aead(&key));
    let key = key.ok_or(OpenError::HeaderChanged)?;
    chunks(&mut from, &key, u64::try_from(header.length + NONCE_BYTES).unwrap_or(0), to)
}

fn chunks(
    from: &mut impl Read,
    key: &LessSafeKey,
    mut at: u64,
    to: &mut impl io::Write,
) -> Result<(), OpenError> {
    let most = u64::try_from(CHUNK_BYTES + TAG_BYTES).unwrap_or(u64::MAX);
    let mut chunk = Vec::new();
    from.by_ref().take(most).read_to_end(&mut chunk)?;
    for number in 0.. {
        // Whether a chunk is the last is known once the next one is empty.
        let mut next = Vec::new();
        from.by_ref().take(most).read_to_end(&mut next)?;
        let last = next.is_empty();
        let length = u64::try_from(chunk.len()).unwrap_or(0);
        let changed = OpenError::Chunk { from: at, to: at.saturating_add(length) };
        let nonce = |last| Nonce::assume_unique_for_key(chunk_nonce(number, last));
        let mut clear = chunk.clone();
        match key.open_in_place(nonce(last), Aad::empty(), &mut clear) {
            Ok(bytes) if bytes.is_empty() && number > 0 => return Err(changed),
            Ok(bytes) => to.write_all(bytes)?,
            // A last chunk that is whole and has something behind it.
            Err(_) if !last && key.open_in_place(nonce(true), Aad::empty(), &mut chunk).is_ok() => {
                return Err(OpenError::Trailing);
            }
            Err(_) => return Err(changed),
        }
        if last {
            return Ok(());
        }
        at = at.saturating_add(length);
        chunk = next;
    }
    Ok(())
}

fn file_key(header: &Header, identities: &[Identity]) -> Option<[u8; FILE_KEY_BYTES]> {
    let pairs = identities.iter().flat_map(|it| header.stanzas.iter().map(move |s| (it, s)));
    pairs.into_iter().find_map(|(identity, stanza)| unwrapped(identity, stanza))
}

fn unwrapped(identity: &Identity, stanza: &Stanza) -> Option<[u8; FILE_KEY_BYTES]> {
    let own = MontgomeryPoint::mul_base_clamped(identity.0).to_bytes();
    let shared = MontgomeryPoint(stanza.share).mul_clamped(identity.0).to_bytes();
    // RFC 7748, 6.1: a point of small order agrees on zero with everybody.
    if shared == [0; 32] {
        return None;
    }
    let key = aead(&derived(&[stanza.share, own].concat(), &shared, INFO_X25519)?)?;
    let mut wrapped = stanza.wrapped.clone();
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let file_key = key.open_in_place(nonce, Aad::empty(), &mut wrapped).ok()?;
    (&*file_key).try_into().ok()
}

fn derived(salt: &[u8], secret: &[u8], info: &[u8]) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    let secret = Salt::new(HKDF_SHA256, salt).extract(secret);
    let info = [info];
    secret.expand(&info, HKDF_SHA256).ok()?.fill(&mut key).ok()?;
    Some(key)
}

fn aead(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, key).ok().map(LessSafeKey::new)
}
