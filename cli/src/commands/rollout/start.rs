//! `lazaret rollout start`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lazaret_protocol::id::{DeviceId, ModelName, VersionName};
use lazaret_protocol::limits::OPERATOR_BODY_BYTES_MAX;
use lazaret_protocol::operator::{RolloutRequest, RolloutScope, RolloutView};

use crate::commands::Session;
use crate::words::{Groups, Reason, devices_in, typed_devices};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The next group opens once enough of the one before has confirmed success; too many failures in one
group halt the whole rollout. Devices also keep to the schedule that the release signers signed.

Example:
  lazaret rollout start --model gw2 --version 2.0 --all --reason \"CVE-2026-1234 in openssl\"
  lazaret rollout start --model gw2 --version 2.0 --devices d-1,d-2 --groups 500,500 \\
      --success 100 --error 50 --reason \"canaries\"")]
pub(crate) struct Args {
    /// The hardware model
    #[arg(long, value_name = "MODEL")]
    model: ModelName,
    /// The version to install
    #[arg(long, value_name = "VERSION")]
    version: VersionName,
    #[command(flatten)]
    scope: Scope,
    /// Sizes of the groups in permille of the devices
    #[arg(long, value_name = "LIST", default_value = "100,400,500")]
    groups: Groups,
    /// Percent of a group that must succeed before the next one opens
    #[arg(long, value_name = "PERCENT", default_value_t = 80)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
    success: u8,
    /// Percent of a group whose failure halts the rollout
    #[arg(long, value_name = "PERCENT", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
    error: u8,
    /// Why it is done
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Scope {
    /// Every device of the model
    #[arg(long)]
    all: bool,
    /// These devices
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    devices: Option<Vec<DeviceId>>,
    /// The devices in this file, one a line
    #[arg(long, value_name = "FILE")]
    devices_file: Option<PathBuf>,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let request = RolloutRequest {
        scope: scope(args.scope)?,
        model: args.model,
        version: args.version,
        groups_permille: args.groups.0,
        success_percent: args.success,
        error_percent: args.error,
        reason: args.reason.into(),
    };
    let rollout: RolloutView = session.client()?.post("/v1/rollouts", &request)?;
    super::show(&rollout, session)
}

fn scope(scope: Scope) -> anyhow::Result<RolloutScope> {
    let devices = devices(scope.devices, scope.devices_file)?;
    Ok(devices.map_or(RolloutScope::Model, |devices| RolloutScope::Devices { devices }))
}

/// The devices that were typed or are in a file; none where there is neither.
pub(super) fn devices(
    typed: Option<Vec<DeviceId>>,
    file: Option<PathBuf>,
) -> anyhow::Result<Option<Vec<DeviceId>>> {
    Ok(match (typed, file) {
        (Some(devices), _) => Some(typed_devices(devices)?),
        (None, Some(path)) => Some(devices_in(&path, &read(&path)?)?),
        (None, None) => None,
    })
}

/// A file of bounded size.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    let named = || format!("cannot read {}", path.display());
    let mut text = String::new();
    let file = File::open(path).with_context(named)?;
    let limit = OPERATOR_BODY_BYTES_MAX;
    file.take(limit.saturating_add(1)).read_to_string(&mut text).with_context(named)?;
    anyhow::ensure!(text.len() as u64 <= limit, "expected a list of at most {limit} bytes");
    Ok(text)
}
