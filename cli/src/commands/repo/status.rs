//! `lazaret repo status`: every role, who may sign it and who did, and for how long it is good.

use std::path::PathBuf;

use anyhow::Context as _;
use lazaret_protocol::target::{Urgency, expiry_urgency};
use lazaret_protocol::time::{DAY_MS, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::read::{self, Repository};
use super::signers::{self, Names, Signer};
use crate::client::pem_bytes;
use crate::commands::Session;
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything is verified from your own root on, as a device does it: the chain of roots, timestamp,
snapshot, targets, and every delegated role. What has expired is shown and not hidden.

Exit codes: 0 all is well, 1 it cannot be told (no server, or something does not verify), 2 misuse,
3 a role expires soon or has expired. Soon is 30 days for what people sign; the server signs its
own roles again long before: 12 hours for timestamp, 3 days for snapshot, 7 days for deltas.

Examples:
  lazaret repo status --root 1.root.json
  lazaret repo status --root 1.root.json --holders holders --json")]
pub(crate) struct Args {
    /// Any root that you trust, such as the first
    #[arg(long, value_name = "N.root.json")]
    root: PathBuf,
    /// A folder of public keys (alice.pub), for the names of holders
    #[arg(long, value_name = "DIR")]
    holders: Option<PathBuf>,
}

/// Something expires soon, or has expired: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Alarming {
    what: String,
}

#[derive(Debug, Serialize)]
struct Status {
    state: Urgency,
    roles: Vec<RoleStatus>,
}

#[derive(Debug, Serialize)]
struct RoleStatus {
    role: String,
    /// None where nothing was signed yet.
    version: Option<u64>,
    expires: Option<String>,
    days_left: Option<i64>,
    state: Urgency,
    threshold: u64,
    signers: Vec<Signer>,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let root = pem_bytes(&args.root)?;
    let names = match &args.holders {
        Some(folder) => Names::in_folder(folder)?,
        None => Names::default(),
    };
    let repository = read::repository(&session.client()?, root)?;
    let roles = roles(&repository, &names, output::now())?;
    let state = roles.iter().map(|role| role.state).max().unwrap_or(Urgency::Fine);
    let status = Status { state, roles };
    session.output.show(&status, in_words)?;
    let alarming: Vec<String> = status.roles.iter().filter_map(alarm).collect();
    match alarming.is_empty() {
        true => Ok(()),
        false => Err(Alarming { what: alarming.join("; ") }.into()),
    }
}

fn roles(
    repository: &Repository,
    names: &Names,
    now: Timestamp,
) -> anyhow::Result<Vec<RoleStatus>> {
    let bytes = |role: &str| repository.roles.get(role).and_then(Option::as_deref);
    let root = bytes("root").context("no root")?;
    let targets = bytes("targets").context("no targets")?;
    let delegated = read::delegations(targets).into_iter().map(|(role, _)| (role, targets));
    let top = ["root", "targets"].map(|role| (role.to_owned(), root));
    let online = ["snapshot", "timestamp"].map(|role| (role.to_owned(), root));
    let mut found = Vec::new();
    for (role, lister) in top.into_iter().chain(delegated).chain(online) {
        let document = bytes(&role);
        let (signers, threshold) = signers::of(&role, lister, document, names)?;
        let expires = document.map(expiry).transpose()?;
        let left = |expires: Timestamp| {
            let days = |ms: u64| i64::try_from(ms / DAY_MS).unwrap_or(i64::MAX);
            match expires > now {
                true => days(expires.since_ms(now)),
                // An hour past its end is the first day past it.
                false => -1 - days(now.since_ms(expires)),
            }
        };
        found.push(RoleStatus {
            version: document.and_then(read::version_of),
            expires: expires.map(Timestamp::to_rfc3339),
            days_left: expires.map(left),
            state: expires.map_or(Urgency::Fine, |at| expiry_urgency(&role, at, now)),
            role,
            threshold,
            signers,
        });
    }
    Ok(found)
}

fn expiry(document: &[u8]) -> anyhow::Result<Timestamp> {
    let file: Value = serde_json::from_slice(document)?;
    let expires = file.pointer("/signed/expires").and_then(Value::as_str);
    Ok(Timestamp::parse_rfc3339(expires.context("no expiry")?)?)
}

fn alarm(role: &RoleStatus) -> Option<String> {
    let expires = role.expires.as_deref()?;
    match role.state {
        Urgency::Fine => None,
        Urgency::Soon => Some(format!("{} expires {expires}", role.role)),
        Urgency::Expired => Some(format!("{} expired {expires}", role.role)),
    }
}

fn in_words(status: &Status) -> String {
    let rows = status.roles.iter().map(|role| {
        let names: Vec<String> = role.signers.iter().map(name).collect();
        vec![
            role.role.clone(),
            role.version.map_or_else(|| "none yet".to_owned(), |version| version.to_string()),
            format!("{} of {}", role.threshold, role.signers.len()),
            names.join(", "),
            role.expires.clone().unwrap_or_default(),
            role.days_left.map_or_else(String::new, |days| days.to_string()),
            output::word(&role.state),
        ]
    });
    let columns = ["role", "version>", "needs", "signers (* signed)", "expires", "days>", "state"];
    let table = output::table(&columns, rows);
    format!("{table}\nverified from your own root; days by this machine's clock")
}

/// `alice*`, or the beginning of the key id where nobody here knows whose it is.
fn name(signer: &Signer) -> String {
    let short: String = signer.keyid.chars().take(8).collect();
    let mark = if signer.signed { "*" } else { "" };
    format!("{}{mark}", output::shown(signer.holder.as_deref().unwrap_or(&short)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lazaret_protocol::time::HOUR_MS;

    #[test]
    fn days_are_told_as_people_count_them() {
        // The thresholds themselves are held by the protocol's own tests.
        let at = Timestamp::from_ms(40 * DAY_MS);
        let state = |now| expiry_urgency("root", at, Timestamp::from_ms(now));
        assert_eq!(state(0), Urgency::Fine);
        assert_eq!(state(10 * DAY_MS + HOUR_MS), Urgency::Soon);
        assert_eq!(state(40 * DAY_MS), Urgency::Expired);
    }
}
