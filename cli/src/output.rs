//! How answers are shown: tables and drawn bars for people, one JSON object for programs. Whatever
//! comes from outside passes [`shown`] or [`Output::show`], so that no text of a device or a server
//! can move the cursor, hide a line or forge one.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use lazaret_protocol::time::Timestamp;
use serde::Serialize;

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Tables and sentences.
    Human,
    /// One JSON object; where an answer goes on, one a line.
    Json,
}

/// Where answers and remarks go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    form: Form,
}

impl Output {
    /// An output of this form.
    pub(crate) const fn new(form: Form) -> Self {
        Self { form }
    }

    /// Shows an answer on standard output.
    pub(crate) fn show<T: Serialize + ?Sized>(
        self,
        answer: &T,
        in_words: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        let text = match self.form {
            Form::Human => in_words(answer),
            Form::Json => json(answer)?,
        };
        self.print(&text)
    }

    /// Prints text that is safe to print, with one line feed at its end.
    fn print(self, text: &str) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", text.trim_end_matches('\n'))?;
        Ok(out.flush()?)
    }

    /// A remark for the person, on standard error.
    pub(crate) fn remark(self, text: &str) {
        eprintln!("{}", shown(text));
    }

    /// A bar for bytes, on standard error; nothing where that is not a terminal.
    pub(crate) fn bytes_bar(self, what: &str, total: u64) -> ProgressBar {
        let form = "{msg:<10} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}";
        let bar = ProgressBar::new(total).with_message(shown(what));
        bar.with_style(style(form).progress_chars("█▉▊▋▌▍▎▏ "))
    }

    /// A turning sign for a wait of unknown length, likewise.
    pub(crate) fn spinner(self, what: &str) -> ProgressBar {
        let bar = ProgressBar::new_spinner().with_message(shown(what));
        let bar = bar.with_style(style("{spinner} {msg} {elapsed}"));
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// Draws `text` over what the last call drew, where standard output is a terminal; otherwise
    /// below it. Returns how many lines to go back next time.
    pub(crate) fn redraw(self, text: &str, lines_back: usize) -> anyhow::Result<usize> {
        let mut out = io::stdout().lock();
        if lines_back > 0 && io::stdout().is_terminal() {
            write!(out, "\u{1b}[{lines_back}A\u{1b}[J")?;
        }
        let text = text.trim_end_matches('\n');
        writeln!(out, "{text}")?;
        out.flush()?;
        Ok(text.lines().count())
    }

    /// The form.
    pub(crate) const fn form(self) -> Form {
        self.form
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Whether the reader of our output went away.
pub(crate) fn is_closed_pipe(err: &anyhow::Error) -> bool {
    err.downcast_ref::<io::Error>().is_some_and(|err| err.kind() == io::ErrorKind::BrokenPipe)
}

/// Text as a terminal may have it: control characters, and the invisible ones that turn or hide
/// what stands beside them, are replaced by a visible sign.
pub(crate) fn shown(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
        )
}

/// JSON whose strings a terminal may have: what [`shown`] replaces is escaped, and reads as before.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<String> {
    let mut text = String::new();
    // The serialiser has escaped what is below U+0020, and the rest of these stand in strings only.
    for c in serde_json::to_string(value)?.chars() {
        if is_unsafe(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            text.push(c);
        }
    }
    Ok(text)
}

/// A table with these columns; those that end in `>` are set to the right, as numbers are.
pub(crate) fn table(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| column.trim_end_matches('>')));
    for row in rows {
        let cells = row.iter().zip(columns).map(|(text, column)| {
            let right = column.ends_with('>');
            let alignment = if right { CellAlignment::Right } else { CellAlignment::Left };
            Cell::new(shown(text)).set_alignment(alignment)
        });
        table.add_row(cells);
    }
    table.trim_fmt()
}

/// Lines of `name  value`, the values below each other.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{name:<width$}  {}\n", shown(value));
    facts.iter().map(line).collect()
}

/// A drawn bar of `width` characters, full where `part` is `whole`. It is full only then, and empty
/// only where `part` is nothing.
pub(crate) fn drawn(part: u64, whole: u64, width: u64) -> String {
    let part = part.min(whole);
    let filled = match whole {
        0 => 0,
        _ => {
            let exact = u128::from(part) * u128::from(width) / u128::from(whole);
            let floor = u64::try_from(exact).unwrap_or(width);
            if part > 0 { floor.max(1) } else { 0 }
        }
    };
    (0..width).map(|place| if place < filled { '█' } else { '░' }).collect()
}

/// `part` of `whole` in percent with one decimal, rounded up so that something is never nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let tenths = (u128::from(part) * 1000).div_ceil(u128::from(whole));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// A number of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}

/// How long ago `then` was, for people.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.since_ms(then) / 1000;
    match seconds {
        _ if then > now.plus_ms(1000) => then.to_rfc3339(),
        0..=119 => format!("{seconds} s ago"),
        120..=7199 => format!("{} min ago", seconds / 60),
        7200..=172_799 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// This machine's time.
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    Timestamp::from_ms(u64::try_from(ms).unwrap_or(u64::MAX))
}

/// A word of the interface, such as `kebab-case` states, as it travels.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_steer_the_terminal() {
        let hostile = "a\u{1b}[2Jb\rc\nd\u{9b}1me\u{202e}f\u{200b}g\u{7f}";
        let safe = shown(hostile);
        assert_eq!(safe, "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}1me\u{fffd}f\u{fffd}g\u{fffd}");
        let said = json(hostile).unwrap();
        assert!(!said.chars().any(is_unsafe), "{said:?}");
        assert_eq!(serde_json::from_str::<String>(&said).unwrap(), hostile);
        let drawn = table(&["name"], [vec![hostile.to_owned()]]);
        assert!(!drawn.replace('\n', "").chars().any(is_unsafe), "{drawn:?}");
    }

    #[test]
    fn json_escapes_beyond_the_basic_plane_read_as_before() {
        let text = "\u{e0041}x";
        assert_eq!(json(text).unwrap(), r#""\udb40\udc41x""#);
        assert_eq!(serde_json::from_str::<String>(&json(text).unwrap()).unwrap(), text);
    }

    #[test]
    fn bars_are_full_only_at_the_end_and_empty_only_at_the_beginning() {
        assert_eq!(drawn(0, 10, 4), "░░░░");
        assert_eq!(drawn(1, 1000, 4), "█░░░");
        assert_eq!(drawn(999, 1000, 4), "███░");
        assert_eq!(drawn(1000, 1000, 4), "████");
        assert_eq!(drawn(0, 0, 4), "░░░░");
        assert_eq!(drawn(u64::MAX, u64::MAX, 4), "████");
    }

    #[test]
    fn percents_round_up() {
        assert_eq!(percent(1, 1_000_000), "0.1 %");
        assert_eq!(percent(25, 1000), "2.5 %");
        assert_eq!(percent(1000, 1000), "100.0 %");
        assert_eq!(percent(1, 0), "-");
    }

    #[test]
    fn ages_are_told_in_the_unit_that_fits() {
        let now = Timestamp::from_ms(1_000_000_000_000);
        let ago = |seconds: u64| ago(Timestamp::from_ms(now.as_ms() - seconds * 1000), now);
        assert_eq!(
            [ago(5), ago(300), ago(9000), ago(200_000)],
            ["5 s ago", "5 min ago", "2 h ago", "2 d ago"]
        );
        assert_eq!(super::ago(now.plus_ms(5000), now), now.plus_ms(5000).to_rfc3339());
    }

    #[test]
    fn a_table_sets_numbers_to_the_right() {
        insta::assert_snapshot!(table(
            &["base", "bytes>"],
            [
                vec!["1.0".to_owned(), "5".to_owned()],
                vec!["1.10".to_owned(), "12345678".to_owned()],
            ]
        ));
    }
}
