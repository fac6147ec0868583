//! `lazaret rollout plan`.

use std::path::PathBuf;

use lazaret_protocol::id::{IncidentId, ModelName, VersionName};
use lazaret_protocol::operator::{PlanRequest, PlanView, PolicyChoice};
use lazaret_server_domain::rollout::preview::Preview;

use super::plan_view;
use super::start::{devices, read};
use crate::commands::Session;
use crate::words::Reason;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Shows who is in the rollout, who is not and why, its groups, what it costs and how long it takes.
Nothing begins: others approve it (`rollout approve`), and then somebody applies it (`rollout
apply`).
The policies normal, slow and emergency come with the server; --policy takes a file of your own,
too.

Example:
  lazaret rollout plan --model gw2 --version 2.0 --reason \"CVE-2026-1234 in openssl\"
  lazaret rollout plan --model gw2 --version 2.0 --filter 'label.site==lyon;last_seen=lt=7d' \\
      --policy slow --dry-run --reason \"how many would it be?\"
  lazaret rollout plan --model gw2 --version 2.1 --policy emergency --incident i-1 \\
      --reason \"closes the way in\"")]
pub(crate) struct Args {
    /// The hardware model
    #[arg(long, value_name = "MODEL")]
    model: ModelName,
    /// The version to install
    #[arg(long, value_name = "VERSION")]
    version: VersionName,
    /// Only devices that match [default: every device of the model]
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// Only these devices
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    devices: Option<Vec<lazaret_protocol::id::DeviceId>>,
    /// Only the devices in this file, one a line
    #[arg(long, value_name = "FILE", conflicts_with = "devices")]
    devices_file: Option<PathBuf>,
    #[command(flatten)]
    how: How,
    /// The incident that it cures: devices in quarantine are cured too, and those of the incident
    /// send their evidence first
    #[arg(long, value_name = "INCIDENT")]
    incident: Option<IncidentId>,
    /// A version that devices below it must run first
    #[arg(long, value_name = "VERSION")]
    via: Vec<VersionName>,
}

/// What plans onwards and back have in common.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// The policy: normal, slow or emergency, or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "normal")]
    policy: String,
    /// Only show what it would be
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Why it is done
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Reason,
}

impl How {
    /// A name is one of the server's policies; whatever has a dot or a slash is a file.
    pub(super) fn policy(&self) -> anyhow::Result<PolicyChoice> {
        if !self.policy.contains(['.', '/']) {
            return Ok(PolicyChoice::Shipped(self.policy.clone()));
        }
        Ok(PolicyChoice::Text(read(self.policy.as_ref())?))
    }
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let policy = args.how.policy()?;
    let request = PlanRequest {
        model: args.model,
        version: args.version,
        filter: args.filter,
        devices: devices(args.devices, args.devices_file)?,
        policy,
        incident: args.incident,
        via: args.via,
        reason: args.how.reason.into(),
        dry_run: args.how.dry_run,
    };
    let plan: PlanView<Preview> = session.client()?.post("/v1/plans", &request)?;
    plan_view::show(&plan, args.how.dry_run, session)
}
