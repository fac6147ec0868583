//! `lazaret policy check`.

use anyhow::bail;
use lazaret_server_domain::rollout::policy::{Policy, Problem};
use serde::Serialize;

use super::Session;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every problem is named, not only the first. The exit code is 1 where there is one.

Example:
  lazaret policy check fleet.toml
  lazaret policy check normal")]
pub(crate) struct Args {
    /// A file, or the name of a shipped policy
    #[arg(value_name = "FILE")]
    policy: String,
}

#[derive(Serialize)]
struct Checked {
    policy: String,
    ok: bool,
    problems: Vec<Problem>,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let text = super::text(&args.policy)?;
    let problems = match toml::from_str::<Policy>(&text) {
        Ok(policy) => policy.check(),
        Err(err) => vec![unread(&text, &err)],
    };
    let checked = Checked { policy: args.policy.clone(), ok: problems.is_empty(), problems };
    session.output.show(&checked, |checked| match checked.ok {
        true => format!("{} can be used", checked.policy),
        false => checked.problems.iter().map(|problem| format!("{problem}\n")).collect(),
    })?;
    if !checked.ok {
        bail!("{} cannot be used: {} found", args.policy, counted(checked.problems.len()));
    }
    Ok(())
}

fn counted(problems: usize) -> String {
    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") }
}

/// What the parser stopped at, with its line.
fn unread(text: &str, err: &toml::de::Error) -> Problem {
    let at = err.span().and_then(|span| text.get(..span.start));
    let at = at.map_or_else(
        || "the file".to_owned(),
        |before| {
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            format!("line {line}, column {column}")
        },
    );
    let got = err.message().lines().next().unwrap_or_default().to_owned();
    Problem { at, expected: "a policy in TOML".to_owned(), got }
}
