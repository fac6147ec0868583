//! Where this device stands, for programs beside the agent: a unix socket that answers whoever may
//! know with one JSON object and hears nothing. Who asks is known by the kernel's word. Nothing is
//! decided here, and no request is read: what cannot be said cannot be attacked.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use lazaret_agent_core::journal::{Journal, Quarantine};
use lazaret_agent_core::slot::Slot;
use serde_json::{Value, json};

use crate::config::Reader;

/// Longest answer that a client takes, in bytes: some of the journal's reports are long.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// How long one client may take to be written to, and how long it waits for the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most users that a device names.
const USERS_MAX: usize = 32;

/// Who may ask where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusConfig {
    /// The socket; none where nobody may ask.
    pub socket: Option<PathBuf>,
    /// Numbers of users that may ask, beside root and the agent's own.
    pub users: Vec<u32>,
}

impl StatusConfig {
    /// Reads `status_socket` and `status_users`.
    pub(crate) fn read(from: &mut Reader<'_>) -> Self {
        let socket = from.optional_path("status_socket");
        let listed = from.texts("status_users");
        if listed.len() > USERS_MAX {
            from.wrong("status_users", format!("expected at most {USERS_MAX} users"));
            return Self { socket, users: Vec::new() };
        }
        let mut users = Vec::new();
        for user in listed {
            match user.parse() {
                Ok(number) => users.push(number),
                Err(_) => {
                    let what = format!("expected numbers of users such as \"1000\", got {user:?}");
                    from.wrong("status_users", what);
                }
            }
        }
        Self { socket, users }
    }

    /// Whether the user of that number may ask. `own` is the agent's.
    fn lets_in(&self, user: u32, own: u32) -> bool {
        user == 0 || user == own || self.users.contains(&user)
    }
}

/// What is said of a device by its journal and its bootloader.
#[must_use]
pub fn of(journal: &Journal, booted: Option<Slot>) -> Value {
    json!({
        "state": journal.update.name(),
        "slot": booted,
        "running": booted.and_then(|slot| journal.slots.release(slot)),
        "quarantined": journal.quarantine != Quarantine::Free,
        "journal": journal,
    })
}

/// What the socket says at present.
#[derive(Debug, Clone, Default)]
pub struct Board {
    text: Option<Arc<Mutex<String>>>,
}

impl Board {
    /// Opens the socket where the configuration has one. A socket that was left behind is replaced;
    /// anything else of that name is not touched.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(config: &StatusConfig) -> io::Result<Self> {
        let Some(path) = &config.socket else { return Ok(Self::default()) };
        match std::fs::symlink_metadata(path) {
            Ok(there) if there.file_type().is_socket() => std::fs::remove_file(path)?,
            // Binding says what is wrong with it.
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        // Everybody may knock; who is let in is asked of the kernel and not of the file's mode,
        // because a mode knows one group and says nothing to whoever is turned away.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
        let text = Arc::new(Mutex::new(String::new()));
        let (said, config) = (Arc::clone(&text), config.clone());
        thread::Builder::new().name("status".into()).stack_size(128 * 1024).spawn(move || {
            for client in listener.incoming() {
                // A client that hangs up early has itself to blame.
                let _ = client.and_then(|client| answer(client, &config, &said));
            }
        })?;
        Ok(Self { text: Some(text) })
    }

    /// As [`open`](Self::open). A device runs on without its socket, as it does without a watchdog.
    #[must_use]
    pub fn or_none(config: &StatusConfig) -> Self {
        Self::open(config).unwrap_or_else(|err| {
            tracing::error!("nobody can ask for the status: {err}");
            Self::default()
        })
    }

    /// Says this from here on.
    pub fn say(&self, of: impl FnOnce() -> Value) {
        if let Some(text) = &self.text {
            *text.lock().unwrap_or_else(PoisonError::into_inner) = of().to_string();
        }
    }
}

fn answer(mut client: UnixStream, config: &StatusConfig, said: &Mutex<String>) -> io::Result<()> {
    client.set_write_timeout(Some(PATIENCE))?;
    let who = rustix::net::sockopt::socket_peercred(&client)?;
    let own = rustix::process::geteuid().as_raw();
    if !config.lets_in(who.uid.as_raw(), own) {
        tracing::warn!(user = who.uid.as_raw(), "status is not for that user");
        let why = "expected root, the agent's own user or one of status_users";
        let refusal = json!({"code": "not-permitted", "detail": why});
        return client.write_all(format!("{refusal}\n").as_bytes());
    }
    let text = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
    client.write_all(format!("{text}\n").as_bytes())
}

/// Asks the agent that listens there.
///
/// # Errors
/// Nobody listens, it does not answer, or it refuses; the text says why.
pub fn ask(socket: &Path) -> io::Result<Value> {
    let client = UnixStream::connect(socket)?;
    client.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    client.take(ANSWER_BYTES_MAX).read_to_string(&mut text)?;
    let answer: Value = serde_json::from_str(&text)?;
    match answer.get("code").and_then(Value::as_str) {
        Some("not-permitted") => {
            let detail = answer.get("detail").and_then(Value::as_str).unwrap_or_default();
            Err(io::Error::new(io::ErrorKind::PermissionDenied, detail.to_owned()))
        }
        _ => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(socket: &Path) -> StatusConfig {
        StatusConfig { socket: Some(socket.to_owned()), users: vec![1000] }
    }

    #[test]
    fn root_the_agent_itself_and_who_is_listed_may_ask_and_nobody_else() {
        let config = config(Path::new("socket"));
        let asking = [0, 7, 1000, 1001];
        let may: Vec<u32> = asking.into_iter().filter(|user| config.lets_in(*user, 7)).collect();
        assert_eq!(may, [0, 7, 1000]);
    }

    #[test]
    fn what_was_said_last_is_answered_and_a_socket_that_was_left_behind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.sock");
        drop(UnixListener::bind(&path).unwrap());
        let board = Board::open(&config(&path)).unwrap();
        let journal = Journal::fresh();
        board.say(|| of(&journal, Some(Slot::A)));
        let answer = ask(&path).unwrap();
        assert_eq!((&answer["state"], &answer["slot"]), (&json!("idle"), &json!("a")));
        board.say(|| json!({"state": "staging"}));
        assert_eq!(ask(&path).unwrap(), json!({"state": "staging"}));
    }

    #[test]
    fn a_file_of_that_name_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.sock");
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), b"dear").unwrap();
        let refused = Board::open(&config(&path)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).unwrap(), b"dear");
    }

    #[test]
    fn without_a_setting_there_is_no_socket_and_nothing_is_made_to_say() {
        let board = Board::open(&StatusConfig::default()).unwrap();
        board.say(|| unreachable!("nobody asks"));
    }
}
