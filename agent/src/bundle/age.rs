//! Encryption to the responders, so that a bundle is never on the disk in the clear: the age format
//! (age-encryption.org/v1) with recipients of X25519, over the cryptography that TLS links already.
//! `age`, the program, opens it. Its text is `lazaret_protocol_evidence::age`.

use std::io::{self, Write};

use lazaret_protocol_evidence::age::{
    CHUNK_BYTES, FILE_KEY_BYTES, INFO_HEADER, INFO_PAYLOAD, INFO_X25519, NONCE_BYTES, Recipient,
    Stanza, chunk_nonce, header, mac_line,
};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

/// Encrypts what is written to it.
pub(super) struct Encryptor<W: Write> {
    to: W,
    key: LessSafeKey,
    chunk: Vec<u8>,
    number: u64,
}

fn failed<E>(_: E) -> io::Error {
    io::Error::other("encryption failed")
}

impl<W: Write> Encryptor<W> {
    /// Writes the header for these recipients, of whom there is at least one.
    ///
    /// # Errors
    /// There is no randomness, a recipient is no point of the curve, or `to` takes no bytes.
    pub(super) fn begin(mut to: W, recipients: &[Recipient]) -> io::Result<Self> {
        let random = SystemRandom::new();
        let mut file_key = [0; FILE_KEY_BYTES];
        let mut nonce = [0; NONCE_BYTES];
        random.fill(&mut file_key).map_err(failed)?;
        random.fill(&mut nonce).map_err(failed)?;
        let mut stanzas = Vec::new();
        for recipient in recipients {
            stanzas.push(wrapped(&file_key, recipient, &random)?);
        }
        let text = header(&stanzas);
        let mac = hmac::Key::new(hmac::HMAC_SHA256, &derived(&[], &file_key, INFO_HEADER)?);
        let mac = hmac::sign(&mac, text.as_bytes());
        to.write_all(text.as_bytes())?;
        to.write_all(mac_line(mac.as_ref().try_into().map_err(failed)?).as_bytes())?;
        to.write_all(&nonce)?;
        let key = aead(&derived(&nonce, &file_key, INFO_PAYLOAD)?)?;
        Ok(Self { to, key, chunk: Vec::with_capacity(CHUNK_BYTES), number: 0 })
    }

    /// Writes the last chunk, without which nobody takes the file for whole.
    ///
    /// # Errors
    /// `to` takes no bytes.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        Ok(self.to)
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        let nonce = Nonce::assume_unique_for_key(chunk_nonce(self.number, last));
        let mut chunk = std::mem::take(&mut self.chunk);
        self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut chunk).map_err(failed)?;
        self.to.write_all(&chunk)?;
        chunk.clear();
        self.chunk = chunk;
        self.number = self.number.saturating_add(1);
        Ok(())
    }
}

impl<W: Write> Write for Encryptor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits until it is known that it is not the last.
        if self.chunk.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.seal(false)?;
        }
        let room = CHUNK_BYTES.saturating_sub(self.chunk.len());
        let taken = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        self.chunk.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file key for one recipient: under a key that only a key made for this file and that of the
/// recipient agree on.
fn wrapped(
    file_key: &[u8; FILE_KEY_BYTES],
    recipient: &Recipient,
    random: &SystemRandom,
) -> io::Result<Stanza> {
    let own = EphemeralPrivateKey::generate(&X25519, random).map_err(failed)?;
    let share = own.compute_public_key().map_err(failed)?;
    let share: [u8; 32] = share.as_ref().try_into().map_err(failed)?;
    let salt = [share, recipient.0].concat();
    let theirs = UnparsedPublicKey::new(&X25519, recipient.0);
    let key = agree_ephemeral(own, &theirs, |shared| derived(&salt, shared, INFO_X25519));
    let key = aead(&key.map_err(failed)??)?;
    let mut wrapped = file_key.to_vec();
    // The key is used for this alone.
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut wrapped).map_err(failed)?;
    Ok(Stanza { share, wrapped })
}

fn derived(salt: &[u8], secret: &[u8], info: &[u8]) -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    let secret = Salt::new(HKDF_SHA256, salt).extract(secret);
    let info = [info];
    let expanded = secret.expand(&info, HKDF_SHA256).map_err(failed)?;
    expanded.fill(&mut key).map_err(failed)?;
    Ok(key)
}

fn aead(key: &[u8; 32]) -> io::Result<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, key).map(LessSafeKey::new).map_err(failed)
}
