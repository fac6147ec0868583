//! One run of a step: every file it reads and writes goes through here, so that the transcript
//! cannot forget one. The transcript is what people compare afterwards; it decides nothing.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::limits::METADATA_BYTES_MAX;
use lazaret_protocol::time::Timestamp;
use lazaret_repo_keys_signing::durable::{self, Access};
use lazaret_repo_keys_signing::passphrase::PASSPHRASE_BYTES_MAX;
use lazaret_repo_keys_signing::sources::{self, Secret, Wants};
use lazaret_repo_keys_signing::{Passphrase, Pin};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StepError;
use crate::hashing::{self, Measured};

/// How a step speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// Plain words.
    Words,
    /// One JSON object per line.
    Json,
    /// Nothing on the terminal; the transcript in plain words.
    Quiet,
}

/// Whether a passphrase opens an existing key or will protect a new one, which is asked for twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To open.
    Open,
    /// To protect.
    Protect,
}

/// What every step is given.
#[derive(Debug, Clone)]
pub struct Session {
    /// How to speak.
    pub voice: Voice,
    /// The moment that counts as the present.
    pub now: Timestamp,
    /// Where the transcript goes; beside the output where none is named.
    pub transcript: Option<PathBuf>,
    /// Where the passphrase is; asked for at the terminal where none is named.
    pub passphrase_file: Option<PathBuf>,
    /// The file descriptor that a token's PIN is read from; asked for where there is none.
    pub pin_fd: Option<u32>,
}

/// A file and its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Touched {
    /// As it was named.
    pub path: PathBuf,
    /// SHA-256 of its content.
    pub sha256: Sha256Digest,
}

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When, RFC 3339.
    pub at: String,
    /// Which step, such as `sign`.
    pub step: String,
    /// What was done, in plain words, one sentence each.
    pub words: Vec<String>,
    /// What was read.
    pub read: Vec<Touched>,
    /// What was written. Private keys are named in the words only.
    pub wrote: Vec<Touched>,
}

/// A step under way.
#[derive(Debug)]
pub struct Step {
    entry: Entry,
    beside: Option<PathBuf>,
}

impl Session {
    /// Begins a step.
    #[must_use]
    pub fn begin(&self, step: &str) -> Step {
        let at = self.now.to_rfc3339();
        let (words, read, wrote) = (Vec::new(), Vec::new(), Vec::new());
        Step { entry: Entry { at, step: step.to_owned(), words, read, wrote }, beside: None }
    }

    /// Ends a step that wrote something: prints its entry and appends it to the transcript. The
    /// outputs are on the disk before; a step that a power cut kept out of the transcript is simply
    /// run again.
    ///
    /// # Errors
    /// The transcript cannot be written.
    pub fn finish(&self, step: Step) -> Result<Entry, StepError> {
        let path = self.transcript.clone().or_else(|| {
            let output = step.beside.as_ref()?;
            Some(output.parent().unwrap_or(Path::new("")).join("transcript.txt"))
        });
        if let Some(path) = path {
            durable::append_line(&path, &self.render(&step.entry))?;
        }
        self.show(&step.entry);
        Ok(step.entry)
    }

    /// Ends a step that only looked: prints its entry.
    pub fn finish_reading(&self, step: Step) -> Entry {
        self.show(&step.entry);
        step.entry
    }

    /// The passphrase, from the file or the terminal.
    ///
    /// # Errors
    /// No terminal, an unreadable file, two different answers, a length that is not allowed, or,
    /// for a new key, one that is guessed first.
    pub fn passphrase(&self, what: &str, purpose: Purpose) -> Result<Passphrase, StepError> {
        let taken = match purpose {
            Purpose::Open => Passphrase::new,
            Purpose::Protect => Passphrase::choose,
        };
        if let Some(path) = &self.passphrase_file {
            let max = u64::try_from(PASSPHRASE_BYTES_MAX).unwrap_or(u64::MAX);
            let bytes = durable::read(path, max.saturating_add(2))?;
            let text = String::from_utf8(bytes)
                .map_err(|_| StepError::misuse("expected a passphrase file in UTF-8"))?;
            return Ok(taken(text.trim_end_matches(['\r', '\n']).to_owned())?);
        }
        let ask =
            |prompt: String| rpassword::prompt_password(prompt).map_err(StepError::NoTerminal);
        let first = taken(ask(format!("Passphrase for {what}: "))?)?;
        if purpose == Purpose::Protect {
            let again = ask(format!("The same passphrase for {what} again: "))?;
            if Passphrase::new(again)? != first {
                return Err(StepError::misuse("the two passphrases differ"));
            }
        }
        Ok(first)
    }

    /// The PIN of a token, from a file descriptor or the terminal; never from an argument, which
    /// everybody on the machine sees.
    ///
    /// # Errors
    /// No terminal, an unreadable descriptor, or no PIN.
    pub fn pin(&self, what: &str) -> Result<Pin, StepError> {
        let Some(descriptor) = self.pin_fd else {
            let prompt = format!("PIN for {what}: ");
            let typed = rpassword::prompt_password(prompt).map_err(StepError::NoTerminal)?;
            return Ok(Pin::new(typed)?);
        };
        let path = PathBuf::from(format!("/dev/fd/{descriptor}"));
        let max = u64::try_from(PASSPHRASE_BYTES_MAX).unwrap_or(u64::MAX);
        let bytes = durable::read(&path, max.saturating_add(2))?;
        let text =
            String::from_utf8(bytes).map_err(|_| StepError::misuse("expected a PIN in UTF-8"))?;
        Ok(Pin::new(text.trim_end_matches(['\r', '\n']).to_owned())?)
    }

    /// What opens the key that `reference` names: a passphrase for a file, a PIN for a token.
    ///
    /// # Errors
    /// As [`Self::passphrase`] and [`Self::pin`].
    pub fn secret(&self, reference: &str) -> Result<Secret, StepError> {
        match sources::wants(reference)? {
            Wants::Passphrase => Ok(Secret::Passphrase(self.passphrase(reference, Purpose::Open)?)),
            Wants::Pin => Ok(Secret::Pin(self.pin(reference)?)),
        }
    }

    fn show(&self, entry: &Entry) {
        use std::io::Write as _;
        if self.voice == Voice::Quiet {
            return;
        }
        // A reader that went away (`| head`) is no failure of the step, which is done.
        let _printed = writeln!(std::io::stdout().lock(), "{}", self.render(entry));
    }

    fn render(&self, entry: &Entry) -> String {
        match self.voice {
            Voice::Json => serde_json::to_string(entry).unwrap_or_default(),
            Voice::Words | Voice::Quiet => in_words(entry),
        }
    }

    /// Shows what was said so far to a person who is about to be asked for a passphrase.
    pub fn show_before_asking(&self, step: &Step) {
        if self.passphrase_file.is_none() && self.pin_fd.is_none() {
            step.entry.words.iter().for_each(|words| self.warn(words));
        }
    }

    /// Says something to a person who watches, on the error stream.
    pub fn warn(&self, text: &str) {
        use std::io::Write as _;
        let watched = std::io::stderr().is_terminal() && self.voice == Voice::Json;
        if self.voice == Voice::Words || watched {
            let _printed = writeln!(std::io::stderr().lock(), "lazaret-keys: {text}");
        }
    }
}

fn in_words(entry: &Entry) -> String {
    let mut text = format!("{} {}", entry.at, entry.step);
    for line in &entry.words {
        text.push_str("\n  ");
        text.push_str(line);
    }
    for (verb, files) in [("read ", &entry.read), ("wrote", &entry.wrote)] {
        for file in files {
            text.push_str(&format!("\n  {verb} {}  sha256 {}", file.path.display(), file.sha256));
        }
    }
    text
}

impl Step {
    /// Adds a sentence.
    pub fn say(&mut self, words: impl Into<String>) {
        self.entry.words.push(words.into());
    }

    /// Reads a small file and notes it.
    ///
    /// # Errors
    /// It cannot be read, or is larger than any metadata.
    pub fn read(&mut self, path: &Path) -> Result<Vec<u8>, StepError> {
        let bytes = durable::read(path, METADATA_BYTES_MAX)?;
        let sha256 = Sha256Digest::of(&bytes);
        self.entry.read.push(Touched { path: path.to_path_buf(), sha256 });
        Ok(bytes)
    }

    /// Reads a JSON file and notes it.
    ///
    /// # Errors
    /// It cannot be read or is something else.
    pub fn read_json<T: DeserializeOwned>(
        &mut self,
        path: &Path,
        expected: &'static str,
    ) -> Result<T, StepError> {
        let bytes = self.read(path)?;
        serde_json::from_slice(&bytes).map_err(|source| StepError::Json {
            expected,
            path: path.to_path_buf(),
            source,
        })
    }

    /// Hashes a large file and notes it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn measure(&mut self, path: &Path) -> Result<Measured, StepError> {
        let measured = hashing::measure(path)?;
        let sha256 = measured.sha256;
        self.entry.read.push(Touched { path: path.to_path_buf(), sha256 });
        Ok(measured)
    }

    /// Writes a public file and notes it. The same bytes again are no error.
    ///
    /// # Errors
    /// Another file is there, or it cannot be written.
    pub fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<(), StepError> {
        durable::write_once(path, bytes, Access::Public)?;
        self.note_written(path, bytes);
        Ok(())
    }

    /// Notes a public file that something else wrote.
    pub fn note_written(&mut self, path: &Path, bytes: &[u8]) {
        let sha256 = Sha256Digest::of(bytes);
        self.entry.wrote.push(Touched { path: path.to_path_buf(), sha256 });
        self.beside(path);
    }

    /// Says which output the transcript lies beside.
    pub fn beside(&mut self, output: &Path) {
        self.beside.get_or_insert_with(|| output.to_path_buf());
    }
}
