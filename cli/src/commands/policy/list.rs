//! `lazaret policy list`.

use lazaret_server_domain::rollout::policy::SHIPPED;
use serde::Serialize;

use super::Session;
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret policy list")]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Row {
    name: String,
    approvals: u32,
    groups: usize,
    about: String,
}

pub(super) fn run(_: &Args, session: &Session) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for (name, text) in SHIPPED {
        let policy = super::usable(name)?;
        let about = text.lines().next().unwrap_or_default().trim_start_matches("# ").to_owned();
        let (approvals, groups) = (policy.approvals, policy.groups.len());
        rows.push(Row { name: (*name).to_owned(), approvals, groups, about });
    }
    session.output.show(&rows, |rows| {
        let cells = rows.iter().map(|row| {
            let (approvals, groups) = (row.approvals.to_string(), row.groups.to_string());
            vec![row.name.clone(), approvals, groups, row.about.clone()]
        });
        output::table(&["name", "approvals>", "groups>", "about"], cells)
    })
}
