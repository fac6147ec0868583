//! Reading TOML setting by setting, so that one wrong setting does not hide the next.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// One setting that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which, such as `probes[1].command`; empty where the file is not TOML at all.
    pub setting: String,
    /// What was expected and what came.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.setting.is_empty() {
            return f.write_str(&self.what);
        }
        write!(f, "{}: {}", self.setting, self.what)
    }
}

/// Takes settings out of a table and collects what is wrong with them.
#[derive(Debug)]
pub struct Reader<'a> {
    table: Table,
    folder: &'a Path,
    prefix: String,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// A reader of a whole file.
    pub(crate) fn new(text: &str, folder: &'a Path) -> Self {
        let mut reader =
            Self { table: Table::new(), folder, prefix: String::new(), problems: Vec::new() };
        match text.parse::<Table>() {
            Ok(table) => reader.table = table,
            Err(err) => reader.problems.push(Problem {
                setting: String::new(),
                what: format!("expected TOML: {}", err.to_string().trim_end().replace('\n', " ")),
            }),
        }
        reader
    }

    /// What is wrong; a setting that nobody has asked for is wrong as well.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        let unknown: Vec<String> = self.table.keys().cloned().collect();
        for name in unknown {
            self.wrong(&name, "is not a setting");
        }
        self.problems
    }

    /// Leaves aside what was not asked for.
    pub fn forget(&mut self) {
        self.table.clear();
    }

    /// Notes that a setting is wrong.
    pub fn wrong(&mut self, name: &str, what: impl Into<String>) {
        let setting = format!("{}{name}", self.prefix);
        self.problems.push(Problem { setting, what: what.into() });
    }

    /// A text that must be there.
    pub fn required<T>(
        &mut self,
        name: &str,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.table.contains_key(name) {
            self.wrong(name, "is required");
            return None;
        }
        self.text(name, "", check)
    }

    /// A text with a default.
    pub fn text<T>(
        &mut self,
        name: &str,
        default: &str,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = match self.table.remove(name) {
            None => default.to_owned(),
            Some(Value::String(text)) => text,
            Some(other) => {
                self.wrong(name, format!("expected a text, got {}", describe(&other)));
                return None;
            }
        };
        match check(&text) {
            Ok(value) => Some(value),
            Err(what) => {
                self.wrong(name, what);
                None
            }
        }
    }

    /// A path that must be there; relative ones are below the folder of the file.
    pub fn path(&mut self, name: &str) -> Option<PathBuf> {
        let folder = self.folder;
        self.required(name, |text| {
            if text.is_empty() {
                Err("expected a path, got none".into())
            } else {
                Ok(folder.join(text))
            }
        })
    }

    /// A path that may be absent.
    pub fn optional_path(&mut self, name: &str) -> Option<PathBuf> {
        if self.table.contains_key(name) { self.path(name) } else { None }
    }

    /// A number within limits. What is out of them is noted, and the default is returned.
    pub fn number(&mut self, name: &str, default: u64, limits: RangeInclusive<u64>) -> u64 {
        let Some(value) = self.table.remove(name) else { return default };
        let number = match value {
            Value::Integer(number) => u64::try_from(number).ok(),
            _ => None,
        };
        match number {
            Some(number) if limits.contains(&number) => number,
            _ => {
                let (low, high) = (limits.start(), limits.end());
                let got = describe(&value);
                self.wrong(name, format!("expected a number from {low} to {high}, got {got}"));
                default
            }
        }
    }

    /// A flag that is false unless set.
    pub fn flag(&mut self, name: &str) -> bool {
        match self.table.remove(name) {
            None => false,
            Some(Value::Boolean(flag)) => flag,
            Some(other) => {
                self.wrong(name, format!("expected true or false, got {}", describe(&other)));
                false
            }
        }
    }

    /// A list of texts, empty where it is absent.
    pub fn texts(&mut self, name: &str) -> Vec<String> {
        let Some(value) = self.table.remove(name) else { return Vec::new() };
        let texts = match &value {
            Value::Array(items) => {
                items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
            }
            _ => None,
        };
        texts.unwrap_or_else(|| {
            self.wrong(name, format!("expected a list of texts, got {}", describe(&value)));
            Vec::new()
        })
    }

    /// Whether a setting is there and was not asked for yet.
    pub fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// One table, read by `read`; an empty one where it is absent.
    pub fn table<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
    ) -> Option<T> {
        let table = match self.table.remove(name) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(other) => {
                self.wrong(name, format!("expected a table [{name}], got {}", describe(&other)));
                return None;
            }
        };
        let prefix = format!("{}{name}.", self.prefix);
        let mut inner = Reader { table, folder: self.folder, prefix, problems: Vec::new() };
        let value = read(&mut inner);
        self.problems.extend(inner.finish());
        value
    }

    /// Tables of one kind, each read by `read`.
    pub fn tables<T>(
        &mut self,
        name: &str,
        max: usize,
        read: impl Fn(&mut Reader<'_>) -> Option<T>,
    ) -> Vec<T> {
        let items = match self.table.remove(name) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.wrong(name, format!("expected [[{name}]] tables, got {}", describe(&other)));
                return Vec::new();
            }
        };
        if items.len() > max {
            self.wrong(name, format!("expected at most {max}, got {}", items.len()));
            return Vec::new();
        }
        let mut out = Vec::new();
        for (i, item) in items.into_iter().enumerate() {
            let prefix = format!("{}{name}[{i}].", self.prefix);
            let Value::Table(table) = item else {
                self.wrong(name, format!("expected [[{name}]] tables, got {}", describe(&item)));
                continue;
            };
            let mut inner = Reader { table, folder: self.folder, prefix, problems: Vec::new() };
            out.extend(read(&mut inner));
            self.problems.extend(inner.finish());
        }
        out
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        other => format!("a {}", other.type_str()),
    }
}
