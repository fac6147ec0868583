//! `lazaret incident playbook ...`: the playbooks that are shipped, and whether one's own can be
//! used. Needs no server: the rules are the server's own.

use std::path::Path;

use anyhow::Context as _;
use clap::Subcommand;
use lazaret_protocol::operator::PlaybookView;
use lazaret_server_domain::incident::playbook::{PLAYBOOK_BYTES_MAX, Playbook, SHIPPED};

use crate::commands::Session;
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the playbooks that are shipped
    List(ListArgs),
    /// Print a shipped playbook, to begin one's own from
    Show(NameArgs),
    /// Say everything that is wrong with a playbook
    Check(NameArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret incident playbook list")]
pub(crate) struct ListArgs {}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret incident playbook show compromised-device > ours.toml
  lazaret incident playbook check ours.toml")]
pub(crate) struct NameArgs {
    /// A shipped playbook, or a file
    #[arg(value_name = "NAME|FILE")]
    playbook: String,
}

impl Command {
    pub(super) fn run(self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::List(_) => {
                let all = SHIPPED.iter().map(|(name, _)| usable(name).map(|one| view(&one)));
                let all = all.collect::<anyhow::Result<Vec<PlaybookView>>>()?;
                session.output.show(&all, |all| {
                    let rows = all
                        .iter()
                        .map(|one| vec![one.name.clone(), one.steps.join(", "), one.about.clone()]);
                    output::table(&["playbook", "steps", "for"], rows)
                })
            }
            Self::Show(args) => {
                let shown = text(&args.playbook)?;
                session.output.show(&shown, Clone::clone)
            }
            Self::Check(args) => {
                let playbook = usable(&args.playbook)?;
                session.output.show(&view(&playbook), |one| {
                    format!("{} can be used: {} steps\n", one.name, one.steps.len())
                })
            }
        }
    }
}

fn view(playbook: &Playbook) -> PlaybookView {
    PlaybookView {
        name: playbook.name.clone(),
        about: playbook.about.clone(),
        steps: playbook.steps.iter().map(|step| step.name.clone()).collect(),
    }
}

/// The text of a playbook: a shipped one by its name, otherwise a file.
pub(super) fn text(name: &str) -> anyhow::Result<String> {
    if let Some((_, text)) = SHIPPED.iter().find(|(known, _)| *known == name) {
        return Ok((*text).to_owned());
    }
    let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
    let wanted = || format!("expected one of {} or a file, got {name:?}", names.join(", "));
    let length = std::fs::metadata(Path::new(name)).with_context(wanted)?.len();
    anyhow::ensure!(
        length <= u64::try_from(PLAYBOOK_BYTES_MAX)?,
        "{name}: expected a playbook of at most {PLAYBOOK_BYTES_MAX} bytes, got {length}"
    );
    std::fs::read_to_string(name).with_context(|| format!("cannot read {name}"))
}

/// A playbook that can be used.
pub(super) fn usable(name: &str) -> anyhow::Result<Playbook> {
    let playbook: Playbook =
        toml::from_str(&text(name)?).with_context(|| format!("{name}: no playbook"))?;
    let problems: Vec<String> = playbook.check().iter().map(|one| format!("  {one}")).collect();
    anyhow::ensure!(problems.is_empty(), "{name} cannot be used:\n{}", problems.join("\n"));
    Ok(playbook)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_playbook_that_is_shipped_can_be_used() {
        for (name, _) in SHIPPED {
            assert_eq!(usable(name).unwrap().name, *name);
        }
    }

    #[test]
    fn everything_that_is_wrong_with_a_playbook_is_said_at_once() {
        let text = "name = \"a b\"\n[[step]]\nname = \"x\"\nwhat = \"\"\nowner = \"nobody\"\n\
                    due = \"0s\"\n[[step]]\nname = \"x\"\nwhat = \"y\"\nowner = \"responder\"\n\
                    due = \"1h\"\n";
        let playbook: Playbook = toml::from_str(text).unwrap();
        let at: Vec<String> = playbook.check().into_iter().map(|problem| problem.at).collect();
        let expected =
            ["name", "step 1 (x).what", "step 1 (x).owner", "step 1 (x).due", "step 2 (x).name"];
        assert_eq!(at, expected);
    }
}
