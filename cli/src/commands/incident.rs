//! `lazaret incident ...`: what got in, who is in it, what was done, what is due.

use clap::Subcommand;

use super::Session;

mod act;
mod contain;
mod list;
mod open;
mod playbook;
mod report;
mod show;
mod timeline;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Open an incident over the devices that match
    Open(open::Args),
    /// List incidents
    List(list::Args),
    /// Show an incident: clocks, steps, how its devices stand, who did not answer
    Status(show::Args),
    /// Lead an incident on: declared, contained, eradicated, recovering, closed
    Advance(act::AdvanceArgs),
    /// Add a line to the timeline
    Note(act::NoteArgs),
    /// Say that a rollout is the corrective measure
    Link(act::LinkArgs),
    /// End a step of the playbook, or waive it
    Step(act::StepArgs),
    /// Note what was filed with an authority, which stops its clock
    File(act::FileArgs),
    /// Put every device of an incident in quarantine
    Contain(contain::Args),
    /// Order evidence from every device of an incident that was not asked yet
    Collect(act::CollectArgs),
    /// Show what happened, in order
    Timeline(timeline::Args),
    /// Write the report: one HTML file, or JSON
    Report(report::Args),
    /// Playbooks: list, show and check them
    #[command(subcommand)]
    Playbook(playbook::Command),
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::Open(args) => open::run(args, session),
            Self::List(args) => list::run(args, session),
            Self::Status(args) => show::run(&args, session),
            Self::Advance(args) => act::advance(args, session),
            Self::Note(args) => act::note(args, session),
            Self::Link(args) => act::link(args, session),
            Self::Step(args) => act::step(args, session),
            Self::File(args) => act::file(args, session),
            Self::Contain(args) => contain::run(args, session),
            Self::Collect(args) => act::collect(args, session),
            Self::Timeline(args) => timeline::run(&args, session),
            Self::Report(args) => report::run(&args, session),
            Self::Playbook(command) => command.run(session),
        }
    }
}
