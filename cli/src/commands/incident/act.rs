//! What is done to an incident: led on, noted, linked, its steps ended, its filings noted, its
//! evidence ordered.

use lazaret_protocol::id::{IncidentId, RolloutId};
use lazaret_protocol::operator::{
    AdvanceRequest, CollectionCount, FilingRequest, IncidentState, IncidentView, LinkRequest,
    NoteRequest, ReasonCount, ReasonRequest, StepRequest,
};
use lazaret_protocol::time::Timestamp;
use serde::Serialize;

use super::open::word;
use super::show::view_in_words;
use crate::commands::Session;
use crate::words::{Accepted, Reason};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
contained asks that every device says that its quarantine holds; eradicated, that every device runs
what a linked rollout brought; closed, that every clock has its filing, every step has ended and no
device is in quarantine. Devices without that proof are accepted by what they lack, as `incident
status` counts them. From any state but suspected, declared again is a relapse; a suspicion may be
closed as a false alarm.

Example:
  lazaret incident advance i-1 --to contained --accept never-seen=2 --reason \"two are in store\"")]
pub(crate) struct AdvanceArgs {
    /// Which incident
    #[arg(value_name = "ID")]
    incident: IncidentId,
    /// Where to
    #[arg(long, value_name = "STATE", value_parser = state)]
    to: IncidentState,
    /// Accept devices without proof, such as never-seen=2
    #[arg(long, value_name = "CODE=COUNT", value_delimiter = ',')]
    accept: Vec<Accepted>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

fn state(text: &str) -> Result<IncidentState, String> {
    word(text, "declared, contained, eradicated, recovering or closed")
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Notes are added and never changed.

Example:
  lazaret incident note i-1 \"the first beacon was on 3 March, says the firewall's log\"")]
pub(crate) struct NoteArgs {
    /// Which incident
    #[arg(value_name = "ID")]
    incident: IncidentId,
    /// The note
    #[arg(value_name = "TEXT")]
    text: String,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The moment at which the first linked rollout began counts as the corrective measure: the final
report of an exploited vulnerability is due 14 days after it.

Example:
  lazaret incident link i-1 --rollout r-1801526400000-0a1b2c --reason \"closes the way in\"")]
pub(crate) struct LinkArgs {
    /// Which incident
    #[arg(value_name = "ID")]
    incident: IncidentId,
    /// The rollout that cures it
    #[arg(long, value_name = "ID")]
    rollout: RolloutId,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A step that asks for a proof is done when its devices show it, not on a word.

Example:
  lazaret incident step i-1 contain --text \"all 41 say so\"
  lazaret incident step i-1 hold --waive --text \"nothing is going to court\"")]
pub(crate) struct StepArgs {
    /// Which incident
    #[arg(value_name = "ID")]
    incident: IncidentId,
    /// Which step
    #[arg(value_name = "STEP")]
    step: String,
    /// What was done, or why it is not
    #[arg(long, value_name = "TEXT")]
    text: String,
    /// It is not done, and will not be
    #[arg(long)]
    waive: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret incident file i-1 --clock early-warning --reference ENISA-2026-1234")]
pub(crate) struct FileArgs {
    /// Which incident
    #[arg(value_name = "ID")]
    incident: IncidentId,
    /// What it answers
    #[arg(long, value_parser = ["early-warning", "notification", "final-report"])]
    clock: String,
    /// The authority's reference, or where the copy lies
    #[arg(long, value_name = "TEXT")]
    reference: String,
    /// When it was filed [default: now]
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    at: Option<Timestamp>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each device is asked once, however often this is typed: who enrolled late is asked the next time.

Example:
  lazaret incident collect i-1 --reason \"before the cure overwrites it\"")]
pub(crate) struct CollectArgs {
    /// Which incident
    #[arg(value_name = "ID")]
    incident: IncidentId,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

pub(super) fn advance(args: AdvanceArgs, session: &Session) -> anyhow::Result<()> {
    let accept = args.accept.into_iter();
    let accept = accept.map(|Accepted { code, count }| ReasonCount { code, count }).collect();
    let body = AdvanceRequest { to: args.to, reason: args.reason.into(), accept };
    act(&args.incident, "advance", &body, session)
}

pub(super) fn note(args: NoteArgs, session: &Session) -> anyhow::Result<()> {
    act(&args.incident, "notes", &NoteRequest { text: args.text }, session)
}

pub(super) fn link(args: LinkArgs, session: &Session) -> anyhow::Result<()> {
    let body = LinkRequest { rollout: args.rollout, reason: args.reason.into() };
    act(&args.incident, "links", &body, session)
}

pub(super) fn step(args: StepArgs, session: &Session) -> anyhow::Result<()> {
    let what = format!("steps/{}", crate::client::escaped(&args.step));
    act(&args.incident, &what, &StepRequest { text: args.text, waive: args.waive }, session)
}

pub(super) fn file(args: FileArgs, session: &Session) -> anyhow::Result<()> {
    let body = FilingRequest { clock: args.clock, reference: args.reference, at: args.at };
    act(&args.incident, "filings", &body, session)
}

pub(super) fn collect(args: CollectArgs, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/incidents/{}/evidence", args.incident);
    let body = ReasonRequest { reason: args.reason.into() };
    let count: CollectionCount = session.client()?.post(&path, &body)?;
    session.output.show(&count, |count| {
        let refused = count.refused.len();
        let mut text =
            format!("{} asked, {} asked before, {refused} not\n", count.ordered, count.before);
        for device in &count.refused {
            text.push_str(&format!("  {device} is gone, or has too many open orders\n"));
        }
        text
    })?;
    anyhow::ensure!(count.refused.is_empty(), "{} devices were not asked", count.refused.len());
    Ok(())
}

fn act<T: Serialize>(
    incident: &IncidentId,
    what: &str,
    body: &T,
    session: &Session,
) -> anyhow::Result<()> {
    let path = format!("/v1/incidents/{incident}/{what}");
    let view: IncidentView = session.client()?.post(&path, body)?;
    session.output.show(&view, view_in_words)
}
