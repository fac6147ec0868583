//! One `[[attributes]]` table: a name, and what it says, either a text or the first line that a
//! command prints.

use crate::config::Reader;
use crate::program;

/// An attribute of the configuration.
#[derive(Debug)]
pub struct Saying {
    /// Its name.
    pub name: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Text(String),
    Command { command: Vec<String>, timeout_ms: u64 },
}

impl Saying {
    /// Reads one table: `name`, and `value` or `command` with `timeout_ms` (10000; 1 to 60000).
    pub fn read(from: &mut Reader<'_>) -> Option<Self> {
        let name = from.required("name", |text| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
                Ok(text.to_owned())
            } else {
                Err(format!("expected 1 to 64 letters, digits, dots, dashes, got {text:?}"))
            }
        });
        let value = from.text("value", "", |text| Ok(text.to_owned())).unwrap_or_default();
        let command = from.texts("command");
        let timeout_ms = from.number("timeout_ms", 10_000, 1..=60_000);
        let what = match (value.is_empty(), command.is_empty()) {
            (false, true) => What::Text(value),
            (true, false) => What::Command { command, timeout_ms },
            _ => {
                from.wrong("command", "expected either a command or a value");
                return None;
            }
        };
        Some(Self { name: name?, what })
    }

    /// What it says at this moment.
    ///
    /// # Errors
    /// Why the command says nothing.
    pub(super) fn say(&self) -> Result<String, String> {
        match &self.what {
            What::Text(text) => Ok(text.clone()),
            What::Command { command, timeout_ms } => {
                // What it says on standard error is for people, and no attribute.
                let quietly = ["/bin/sh", "-c", "exec \"$0\" \"$@\" 2>/dev/null"];
                let whole: Vec<String> =
                    quietly.into_iter().map(String::from).chain(command.clone()).collect();
                let said = program::run(&whole, &[], *timeout_ms);
                let said = said.map_err(|failure| failure.why)?;
                Ok(said.lines().next().unwrap_or_default().to_owned())
            }
        }
    }
}
