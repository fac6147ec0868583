//! The server's keys: five, and five more while a change of them is under way. What loads them is
//! also what refuses to hold a key of an offline role.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use lazaret_protocol::key::PublicKey;
use serde::{Deserialize, Serialize};

use crate::durable::{self, Access, FileError};
use crate::key::{KeyError, PrivateKey};
use crate::role::OnlineRole;
use crate::sealed;

/// File name of the key that signs orders (`lazaret_protocol::order`).
pub const ORDERS_FILE: &str = "orders.pem";

/// File name of the key that signs checkpoints of the audit log.
pub const AUDIT_FILE: &str = "audit.pem";

/// File name of the public halves.
pub const ONLINE_PUBLIC_FILE: &str = "online.pub.json";

/// Files in a folder of online keys: five keys, their public halves, and room for notes.
const FOLDER_FILES_MAX: usize = 64;

/// How much of an unknown file is searched for a private key, in bytes.
const SEARCHED_BYTES_MAX: u64 = 64 * 1024;

/// The public halves of the online keys, as `online.pub.json` says them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnlinePublic {
    /// Signs snapshots.
    pub snapshot: PublicKey,
    /// Signs timestamps.
    pub timestamp: PublicKey,
    /// Signs lists of deltas.
    pub deltas: PublicKey,
    /// Signs orders to devices.
    pub orders: PublicKey,
    /// Signs checkpoints of the audit log. None in files from before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<PublicKey>,
}

/// The server's private keys. Wiped when dropped, never printed.
///
/// While keys change there are two sets. Which of them signs is not the server's choice: for a role
/// it is the one whose key the offline roles list, for orders and for the audit log the first that
/// the anchors list.
#[derive(Debug)]
pub struct OnlineKeys {
    present: Set,
    next: Option<Set>,
    /// Whether orders are signed by the key that is to come.
    orders_by_next: AtomicBool,
    /// Whether the audit log is.
    audit_by_next: AtomicBool,
}

/// One folder of keys.
struct Set {
    folder: PathBuf,
    snapshot: PrivateKey,
    timestamp: PrivateKey,
    deltas: PrivateKey,
    orders: PrivateKey,
    audit: PrivateKey,
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Set").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl OnlineKeys {
    /// Makes five keys and writes them into the new folder `folder`, whole or not at all.
    ///
    /// # Errors
    /// The folder is not empty or cannot be written, or there are no random numbers.
    pub fn create(folder: &Path) -> Result<OnlinePublic, KeyError> {
        let keys = Set {
            folder: folder.to_path_buf(),
            snapshot: PrivateKey::generate()?,
            timestamp: PrivateKey::generate()?,
            deltas: PrivateKey::generate()?,
            orders: PrivateKey::generate()?,
            audit: PrivateKey::generate()?,
        };
        let public = keys.public();
        let json = serde_json::to_vec(&public).map_err(|_| KeyError::Encoding)?;
        let pems = [
            keys.snapshot.to_pem()?,
            keys.timestamp.to_pem()?,
            keys.deltas.to_pem()?,
            keys.orders.to_pem()?,
            keys.audit.to_pem()?,
        ];
        let [snapshot, timestamp, deltas, orders, audit] =
            pems.each_ref().map(|pem| pem.as_bytes());
        let files = [
            ("snapshot.pem", snapshot, Access::Private),
            ("timestamp.pem", timestamp, Access::Private),
            ("deltas.pem", deltas, Access::Private),
            (ORDERS_FILE, orders, Access::Private),
            (AUDIT_FILE, audit, Access::Private),
            (ONLINE_PUBLIC_FILE, json.as_slice(), Access::Public),
        ];
        durable::write_folder(folder, &files)?;
        Ok(public)
    }

    /// Loads the keys of a folder, and refuses one that holds any other private key.
    ///
    /// # Errors
    /// A key is missing, encrypted, readable by others or malformed, or another private key is
    /// there.
    pub fn load(folder: &Path) -> Result<Self, KeyError> {
        let (orders_by_next, audit_by_next) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { present: Set::load(folder)?, next: None, orders_by_next, audit_by_next })
    }

    /// Adds the keys that are to come.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn with_next(mut self, folder: &Path) -> Result<Self, KeyError> {
        self.next = Some(Set::load(folder)?);
        Ok(self)
    }

    /// Refuses to go on if one of these keys is also a key of an offline role. `offline` holds
    /// every key that any root lists for root or targets, or that targets lists for a release role
    /// or the emergency role.
    ///
    /// # Errors
    /// The first key that is in `offline`.
    pub fn refuse_offline(&self, offline: &[PublicKey]) -> Result<(), KeyError> {
        for set in self.sets() {
            let named = OnlineRole::ALL.map(|role| (file_of(role), set.private(role).public()));
            let orders = (ORDERS_FILE.to_owned(), set.orders.public());
            let audit = (AUDIT_FILE.to_owned(), set.audit.public());
            for (file, public) in named.into_iter().chain([orders, audit]) {
                if offline.contains(&public) {
                    return Err(KeyError::OfflineKey { path: set.folder.join(file) });
                }
            }
        }
        Ok(())
    }

    /// Signs the canonical bytes of `role`'s metadata with the key that is `listed` for it; none
    /// where this server does not hold it.
    #[must_use]
    pub fn sign_as(&self, role: OnlineRole, listed: &PublicKey, payload: &[u8]) -> Option<Vec<u8>> {
        let set = self.sets().find(|set| set.private(role).public() == *listed)?;
        Some(set.private(role).sign(payload))
    }

    /// Signs the canonical bytes of `role`'s metadata with its present key.
    #[must_use]
    pub fn sign(&self, role: OnlineRole, payload: &[u8]) -> Vec<u8> {
        self.present.private(role).sign(payload)
    }

    /// Has orders signed by the first of `listed` that this server holds, as the anchors list them.
    /// Says whether there is one; where there is none, the key stays as it was.
    pub fn choose_orders(&self, listed: &[PublicKey]) -> bool {
        let is_of = |set: &Set, key: &PublicKey| set.orders.public() == *key;
        for key in listed {
            let by_next = self.next.as_ref().is_some_and(|next| is_of(next, key));
            if by_next || is_of(&self.present, key) {
                self.orders_by_next.store(by_next, Ordering::Release);
                return true;
            }
        }
        false
    }

    /// Signs the pre-authentication encoding of an order's envelope
    /// (`lazaret_protocol::signed::Envelope::seal`).
    #[must_use]
    pub fn sign_order(&self, pre_authentication_encoding: &[u8]) -> Vec<u8> {
        self.ordering().orders.sign(pre_authentication_encoding)
    }

    /// The public half that orders are checked against.
    #[must_use]
    pub fn orders_public(&self) -> PublicKey {
        self.ordering().orders.public()
    }

    /// Has the audit log signed by the first of `listed` that this server holds. Says whether there
    /// is one; where there is none, the key stays as it was.
    pub fn choose_audit(&self, listed: &[PublicKey]) -> bool {
        let is_of = |set: &Set, key: &PublicKey| set.audit.public() == *key;
        for key in listed {
            let by_next = self.next.as_ref().is_some_and(|next| is_of(next, key));
            if by_next || is_of(&self.present, key) {
                self.audit_by_next.store(by_next, Ordering::Release);
                return true;
            }
        }
        false
    }

    /// Signs the text of a checkpoint of the audit log.
    #[must_use]
    pub fn sign_audit(&self, text: &[u8]) -> Vec<u8> {
        self.auditing().audit.sign(text)
    }

    /// The public halves for the audit log: the one that signs, then the other where there is one.
    #[must_use]
    pub fn audit_public(&self) -> Vec<PublicKey> {
        let signing = self.auditing().audit.public();
        let others = self.sets().map(|set| set.audit.public()).filter(|key| *key != signing);
        core::iter::once(signing.clone()).chain(others.collect::<Vec<_>>()).collect()
    }

    /// The public half of a role's present key.
    #[must_use]
    pub fn role_public(&self, role: OnlineRole) -> PublicKey {
        self.present.private(role).public()
    }

    /// The present public halves.
    #[must_use]
    pub fn public(&self) -> OnlinePublic {
        self.present.public()
    }

    fn sets(&self) -> impl Iterator<Item = &Set> {
        core::iter::once(&self.present).chain(&self.next)
    }

    fn ordering(&self) -> &Set {
        let next = self.next.as_ref().filter(|_| self.orders_by_next.load(Ordering::Acquire));
        next.unwrap_or(&self.present)
    }

    fn auditing(&self) -> &Set {
        let next = self.next.as_ref().filter(|_| self.audit_by_next.load(Ordering::Acquire));
        next.unwrap_or(&self.present)
    }
}

impl Set {
    fn load(folder: &Path) -> Result<Self, KeyError> {
        refuse_other_keys(folder)?;
        let read = |role: OnlineRole| PrivateKey::read_clear(&folder.join(file_of(role)));
        Ok(Self {
            folder: folder.to_path_buf(),
            snapshot: read(OnlineRole::Snapshot)?,
            timestamp: read(OnlineRole::Timestamp)?,
            deltas: read(OnlineRole::Deltas)?,
            orders: PrivateKey::read_clear(&folder.join(ORDERS_FILE))?,
            audit: PrivateKey::read_clear(&folder.join(AUDIT_FILE))?,
        })
    }

    fn public(&self) -> OnlinePublic {
        OnlinePublic {
            snapshot: self.snapshot.public(),
            timestamp: self.timestamp.public(),
            deltas: self.deltas.public(),
            orders: self.orders.public(),
            audit: Some(self.audit.public()),
        }
    }

    const fn private(&self, role: OnlineRole) -> &PrivateKey {
        match role {
            OnlineRole::Snapshot => &self.snapshot,
            OnlineRole::Timestamp => &self.timestamp,
            OnlineRole::Deltas => &self.deltas,
        }
    }
}

fn file_of(role: OnlineRole) -> String {
    format!("{}.pem", role.as_str())
}

fn is_ours(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name == ORDERS_FILE
        || name == AUDIT_FILE
        || OnlineRole::ALL.iter().any(|role| name == file_of(*role))
}

/// A holder's key that was copied onto the server by mistake is found here, whatever its name.
fn refuse_other_keys(folder: &Path) -> Result<(), KeyError> {
    let entries = fs::read_dir(folder).map_err(FileError::io("read", folder))?;
    for (seen, entry) in entries.enumerate() {
        if seen >= FOLDER_FILES_MAX {
            let path = folder.to_path_buf();
            return Err(KeyError::TooManyFiles { path, max: FOLDER_FILES_MAX });
        }
        let entry = entry.map_err(FileError::io("read", folder))?;
        let path = entry.path();
        if is_ours(&entry.file_name()) || path.is_dir() {
            continue;
        }
        if holds_private_key(&path)? {
            return Err(KeyError::Unexpected { path });
        }
    }
    Ok(())
}

fn holds_private_key(path: &Path) -> Result<bool, FileError> {
    use std::io::Read as _;
    let file = File::open(path).map_err(FileError::io("read", path))?;
    let mut start = pkcs8::der::zeroize::Zeroizing::new(Vec::new());
    file.take(SEARCHED_BYTES_MAX).read_to_end(&mut start).map_err(FileError::io("read", path))?;
    // Covers PKCS#8 in both forms, the older PEM labels (`EC PRIVATE KEY`, `OPENSSH PRIVATE KEY`),
    // and sealed keys.
    let needles = [&b"PRIVATE KEY-----"[..], sealed::KIND.as_bytes()];
    let holds = |needle: &[u8]| start.windows(needle.len()).any(|window| window == needle);
    Ok(needles.into_iter().any(holds))
}

#[cfg(test)]
mod tests;
