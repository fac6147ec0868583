//! `lazaret device import`: an inventory of machines that may enrol, from a file.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use lazaret_protocol::operator::{
    INVENTORY_ITEMS_MAX, InventoryItem, InventoryReply, InventoryRequest, inventory_problems,
};
use serde_json::value::RawValue;

use crate::commands::Session;
use crate::output;
use crate::words::Reason;

/// Largest file, in bytes: what a request of the most machines may have.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Problems that are told at once.
const PROBLEMS_TOLD_MAX: usize = 50;

/// Every column there is. `serial` and `model` must be there.
const COLUMNS: [&str; 10] = [
    "serial",
    "device",
    "model",
    "group",
    "endorsement",
    "claim",
    "factory",
    "imei",
    "iccid",
    "imsi",
];

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file is taken in whole or not at all; what is wrong is said line by line. A CSV file begins with
the names of its columns, a JSON file is a list of objects with the same names:

  serial       printed on the machine (required)
  device       who it becomes; its serial number where this is absent
  model        its hardware model (required)
  group        the group that it is put in
  endorsement  SHA-256 of its TPM's endorsement key (SubjectPublicKeyInfo, DER), or `certificate`
               for the first TPM that a trusted maker has certified
  claim        its one-time claim, 22 to 128 characters; the server keeps the hash
  factory      the factory of the server's settings whose certificate it shows
  imei, iccid, imsi  the numbers of its modem, SIM card and subscriber; the server keeps them keyed

A machine has one of endorsement, claim and factory. Lines that are listed just so already change
nothing.

Examples:
  lazaret device import fleet.csv --dry-run --reason \"delivery 12\"
  lazaret device import fleet.csv --reason \"delivery 12\"")]
pub(crate) struct Args {
    /// The file, .csv or .json
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace machines that are listed with something else and have not enrolled
    #[arg(long)]
    replace: bool,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let text = read(&args.file)?;
    let rows = match args.file.extension().and_then(|it| it.to_str()) {
        Some("csv") => from_csv(&text),
        Some("json") => from_json(&text),
        _ => bail!("expected a file that ends in .csv or .json, got {}", args.file.display()),
    };
    let items = rows.and_then(|rows| checked(&rows));
    let items = items.with_context(|| format!("{} is not taken in", args.file.display()))?;
    let request = InventoryRequest {
        items,
        replace: args.replace,
        dry_run: args.dry_run,
        reason: args.reason.into(),
    };
    let reply: InventoryReply = session
        .client()?
        .post("/v1/inventory", &request)
        .with_context(|| format!("{} is not taken in", args.file.display()))?;
    session.output.show(&reply, |reply| {
        let what = if reply.dry_run { "nothing was changed; would be " } else { "" };
        output::facts(&[
            ("added", format!("{what}{}", reply.added)),
            ("replaced", format!("{what}{}", reply.replaced)),
            ("unchanged", reply.unchanged.to_string()),
        ])
    })
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("{} is not text in UTF-8", path.display()))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        bail!("expected at most {FILE_BYTES_MAX} bytes in {}; split it", path.display());
    }
    // Spreadsheets begin with a mark of the byte order.
    Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}

/// One row: its line and what stands in its columns. Empty cells are absent.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    line: u64,
    cells: BTreeMap<String, String>,
}

fn known(column: &str) -> Result<(), String> {
    if COLUMNS.contains(&column) {
        return Ok(());
    }
    Err(format!("{column:?} is no column; there are {}", COLUMNS.join(", ")))
}

fn from_csv(text: &str) -> anyhow::Result<Vec<Row>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(true)
        .trim(csv::Trim::All)
        .flexible(false)
        .from_reader(text.as_bytes());
    let columns: Vec<String> = reader.headers()?.iter().map(str::to_ascii_lowercase).collect();
    for (at, column) in columns.iter().enumerate() {
        known(column).map_err(|what| anyhow::anyhow!("line 1: {what}"))?;
        if columns.iter().skip(at.saturating_add(1)).any(|other| other == column) {
            bail!("line 1: the column {column:?} is there twice");
        }
    }
    let mut rows = Vec::new();
    let mut lines = Lines::of(text);
    for record in reader.records() {
        let record = record.map_err(|err| anyhow::anyhow!(in_words(&err, &mut lines)))?;
        let line = record.position().map_or(0, |at| lines.at(at.byte()));
        let cells = columns.iter().zip(record.iter()).filter(|(_, cell)| !cell.is_empty());
        let cells = cells.map(|(column, cell)| (column.clone(), cell.to_owned())).collect();
        rows.push(Row { line, cells });
    }
    Ok(rows)
}

/// Says on which line something begins. The reader of CSV does not count what it skips: empty
/// lines, and the second half of a line's end.
struct Lines<'a> {
    text: &'a [u8],
    from: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    const fn of(text: &'a str) -> Self {
        Self { text: text.as_bytes(), from: 0, line: 1 }
    }

    /// The line of what begins at this byte, or behind the ends of lines that are there. Asked from
    /// the front to the back.
    fn at(&mut self, byte: u64) -> u64 {
        let byte = usize::try_from(byte).unwrap_or(usize::MAX).min(self.text.len());
        let rest = self.text.get(byte..).unwrap_or_default();
        let ends = rest.iter().take_while(|it| matches!(it, b'\r' | b'\n')).count();
        let begin = byte.saturating_add(ends);
        let passed = self.text.get(self.from..begin).unwrap_or_default();
        let breaks = passed.iter().filter(|it| **it == b'\n').count();
        self.line = self.line.saturating_add(u64::try_from(breaks).unwrap_or(0));
        self.from = begin;
        self.line
    }
}

fn in_words(err: &csv::Error, lines: &mut Lines<'_>) -> String {
    match err.kind() {
        csv::ErrorKind::UnequalLengths { pos: Some(pos), expected_len, len } => {
            let line = lines.at(pos.byte());
            format!("line {line}: expected {expected_len} cells, got {len}")
        }
        _ => err.to_string(),
    }
}

fn from_json(text: &str) -> anyhow::Result<Vec<Row>> {
    let objects: Vec<&RawValue> =
        serde_json::from_str(text).context("expected a list of objects in JSON")?;
    let mut rows = Vec::new();
    let mut lines = Lines::of(text);
    for object in objects {
        // Where it begins within the text says its line.
        let from = object.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
        let line = lines.at(u64::try_from(from).unwrap_or(u64::MAX));
        let cells: BTreeMap<String, Option<String>> = serde_json::from_str(object.get())
            .map_err(|err| anyhow::anyhow!("line {line}: expected an object of texts: {err}"))?;
        for column in cells.keys() {
            known(column).map_err(|what| anyhow::anyhow!("line {line}: {what}"))?;
        }
        let cells = cells.into_iter().filter_map(|(column, cell)| Some((column, cell?)));
        rows.push(Row { line, cells: cells.filter(|(_, cell)| !cell.is_empty()).collect() });
    }
    Ok(rows)
}

/// The machines, or everything that is wrong with them.
fn checked(rows: &[Row]) -> anyhow::Result<Vec<InventoryItem>> {
    if rows.is_empty() || rows.len() > INVENTORY_ITEMS_MAX {
        bail!("expected 1 to {INVENTORY_ITEMS_MAX} machines, got {}; split the file", rows.len());
    }
    let mut problems = Vec::new();
    let mut items = Vec::new();
    for row in rows {
        match item(row) {
            Ok(item) => items.push(item),
            Err(what) => {
                problems.extend(what.into_iter().map(|what| format!("line {}: {what}", row.line)))
            }
        }
    }
    problems.extend(inventory_problems(&items).iter().map(ToString::to_string));
    if problems.is_empty() {
        return Ok(items);
    }
    let more = problems.len().saturating_sub(PROBLEMS_TOLD_MAX);
    problems.truncate(PROBLEMS_TOLD_MAX);
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    bail!("{}", problems.join("\n"))
}

fn item(row: &Row) -> Result<InventoryItem, Vec<String>> {
    let mut wrong = Vec::new();
    let cell = |name: &str| row.cells.get(name).cloned();
    let serial = parsed(cell("serial"), "serial", &mut wrong);
    let device = parsed(cell("device").or_else(|| cell("serial")), "device", &mut wrong);
    let model = parsed(cell("model"), "model", &mut wrong);
    let endorsement = cell("endorsement").map(lazaret_protocol::operator::Endorsement::try_from);
    let endorsement = endorsement.transpose().map_err(|what| wrong.push(what)).ok().flatten();
    match (serial, device, model) {
        (Some(serial), Some(device), Some(model)) if wrong.is_empty() => Ok(InventoryItem {
            line: row.line,
            serial,
            device,
            model,
            group: cell("group"),
            endorsement,
            claim: cell("claim"),
            factory: cell("factory"),
            imei: cell("imei"),
            iccid: cell("iccid"),
            imsi: cell("imsi"),
        }),
        _ => Err(wrong),
    }
}

fn parsed<T>(cell: Option<String>, name: &str, wrong: &mut Vec<String>) -> Option<T>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let Some(cell) = cell else {
        // That the serial number is missing is said once, though the device is named by it.
        if name != "device" {
            wrong.push(format!("expected a {name}, got none"));
        }
        return None;
    };
    cell.parse().map_err(|err| wrong.push(format!("{name}: {err}"))).ok()
}

#[cfg(test)]
mod tests;
