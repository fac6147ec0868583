//! `lazaret sweep` and `lazaret advisory ...`: who is affected, by what the server knows.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::operator::{
    AdvisoryView, Page, SWEEP_FILE_BYTES_MAX, SweepQuery, SweepRequest, SweepView,
};

use super::Session;
use crate::output;

/// Columns of a drawn bar.
const BAR_COLUMNS: u64 = 24;

/// What is looked for; shared with `incident open`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Query {
    /// Devices whose release has this component, such as 'openssl>=3.0,<3.0.14' or
    /// 'pkg:deb/debian/zlib1g<1:1.3'
    #[arg(long, value_name = "COMPONENT", group = "asked")]
    component: Option<String>,
    /// Devices whose release has what an imported advisory names, by its identifier or an alias
    #[arg(long, value_name = "ID", group = "asked")]
    advisory: Option<String>,
    /// Devices whose release has a file, or is the image, with this SHA-256
    #[arg(long, value_name = "SHA256", group = "asked")]
    file: Option<Sha256Digest>,
}

impl Query {
    /// As the server takes it; none where nothing is looked for.
    pub(crate) fn into_query(self, filter: Option<String>) -> Option<SweepQuery> {
        let Self { component, advisory, file } = self;
        let asked = component.is_some() || advisory.is_some() || file.is_some();
        asked.then_some(SweepQuery { component, advisory, file, filter })
    }
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true)
    .args(["component", "advisory", "file", "filter"])))]
#[command(after_help = "\
Answered from the server's records, so that devices that are off count too. What is in a release
say bills of materials (`release sbom`); a device that runs a release without one is unknown, and
never counted among the safe. Then confirm on the devices: open an incident over the affected and
collect from them.

Examples:
  lazaret sweep --component 'openssl>=3.0,<3.0.14'
  lazaret sweep --advisory CVE-2026-1234 --by region --devices 100
  lazaret sweep --file 5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef
  lazaret sweep --filter 'attribute.kernel==6.1.*;last_seen=gt=7d'
  lazaret incident open --advisory CVE-2026-1234 --title \"CVE-2026-1234\" --severity high \\
      --declare --reason \"sweep\"")]
pub(crate) struct Args {
    #[command(flatten)]
    query: Query,
    /// Only among devices that match, as in `device list --filter`; alone: who matches
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// The label by whose values the affected are counted
    #[arg(long, value_name = "LABEL", default_value = "site")]
    by: String,
    /// Name so many of the affected
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    devices: u64,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let filter = args.filter.clone();
    let alone = SweepQuery { filter: args.filter, ..SweepQuery::default() };
    let query = args.query.into_query(filter).unwrap_or(alone);
    let request = SweepRequest { query, label: Some(args.by), devices: args.devices };
    let view: SweepView = session.client()?.post("/v1/sweeps", &request)?;
    session.output.show(&view, in_words)
}

fn in_words(view: &SweepView) -> String {
    let part = |count: u64| {
        let bar = output::drawn(count, view.fleet, BAR_COLUMNS);
        format!("{count:>9}  {bar} {}", output::percent(count, view.fleet))
    };
    let mut text = output::facts(&[
        ("asked", output::shown(&view.asked)),
        ("devices", format!("{:>9}  in service", view.fleet)),
        ("affected", part(view.affected)),
        ("unknown", part(view.unknown)),
        ("not affected", part(view.unaffected)),
        (
            "of the affected",
            format!("{} in quarantine, {} silent for a day", view.quarantined, view.silent),
        ),
        ("answered in", format!("{} ms", view.took_ms)),
    ]);
    if view.not_followed > 0 {
        text.push_str(&format!(
            "\n{} statements of the advisory cannot be followed: more may be affected\n",
            view.not_followed
        ));
    }
    let rows = view.releases.iter().map(|one| {
        let name = |it: &Option<String>| output::shown(it.as_deref().unwrap_or("-"));
        let why = output::shown(&one.why.join(", "));
        vec![
            name(&one.model),
            name(&one.version),
            one.affected.clone(),
            one.devices.to_string(),
            why,
        ]
    });
    text.push('\n');
    text.push_str(&output::table(&["model", "version", "is", "devices", "by"], rows));
    for radius in view.radius.iter().filter(|_| view.affected > 0) {
        let rows = radius.rows.iter().take(10).map(|row| {
            let bar = output::drawn(row.devices, view.affected, BAR_COLUMNS);
            vec![output::shown(&row.name), row.devices.to_string(), bar]
        });
        text.push('\n');
        text.push_str(&output::table(&[&radius.by, "affected", ""], rows));
    }
    if !view.devices.is_empty() {
        let names: Vec<&str> = view.devices.iter().map(|device| device.as_str()).collect();
        text.push_str(&format!("\n{}\n", names.join("\n")));
    }
    text
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdvisoryCommand {
    /// Take in an advisory: OSV or CSAF 2.0, as JSON
    Import(ImportArgs),
    /// List advisories that were taken in
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The same identifier again replaces what was known of it. What of an advisory cannot be followed,
such as products without a package, is counted and said with every answer that rests on it.

Example:
  lazaret advisory import CVE-2026-1234.json
  lazaret sweep --advisory CVE-2026-1234")]
pub(crate) struct ImportArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret advisory list")]
pub(crate) struct ListArgs {}

impl AdvisoryCommand {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::Import(args) => {
                let file = json_file(&args.file)?;
                let view: AdvisoryView = session.client()?.publish("/v1/advisories", &file)?;
                session.output.show(&view, advisory_in_words)
            }
            Self::List(_) => {
                let page: Page<AdvisoryView> = session.client()?.get("/v1/advisories?limit=500")?;
                session.output.show(&page, |page| {
                    let rows = page.items.iter().map(|one| {
                        let affected = output::shown(&one.affected.join("; "));
                        vec![
                            one.id.clone(),
                            one.format.clone(),
                            affected,
                            output::shown(&one.summary),
                        ]
                    });
                    output::table(&["advisory", "format", "affected", "what"], rows)
                })
            }
        }
    }
}

fn advisory_in_words(view: &AdvisoryView) -> String {
    output::facts(&[
        ("advisory", output::shown(&view.id)),
        ("aliases", output::shown(&view.aliases.join(", "))),
        ("what", output::shown(&view.summary)),
        ("format", view.format.clone()),
        ("affected", output::shown(&view.affected.join("\n"))),
        ("not followed", view.not_followed.to_string()),
    ])
}

/// Reads a file of JSON, within what the server takes. It is sent as it is, so that its digest is
/// that of the file.
pub(crate) fn json_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let length = std::fs::metadata(path).with_context(|| path.display().to_string())?.len();
    anyhow::ensure!(
        length <= SWEEP_FILE_BYTES_MAX,
        "{}: expected at most {SWEEP_FILE_BYTES_MAX} bytes, got {length}",
        path.display()
    );
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice::<serde::de::IgnoredAny>(&bytes)
        .with_context(|| format!("{}: expected JSON", path.display()))?;
    Ok(bytes)
}
