//! `lazaret rollout approve`.

use std::path::PathBuf;

use anyhow::Context as _;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::RolloutId;
use lazaret_protocol::operator::{ApprovalRequest, PlanView, RolloutView, approval_text};
use lazaret_protocol::sshsig::NAMESPACE_PLAN;
use lazaret_server_domain::rollout::preview::Preview;

use super::{plan_view, start};
use crate::commands::{Session, signing};
use crate::words::Misuse;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Signs the hash of the plan as you see it here. ssh-keygen does the signing, so keys in files, in
ssh-agent (give the public key) and in FIDO2 tokens will do. Enter your key once with `lazaret
approver add`. An approval dies when the plan changes, and nobody approves their own plan.

Without --ssh-key and --signature it shows the plan and the command that signs it elsewhere:
  echo HASH | ssh-keygen -Y sign -n lazaret-plan@lazaret -f ~/.ssh/id_ed25519 > plan.sig

Example:
  lazaret rollout approve r-1 --ssh-key ~/.ssh/id_ed25519
  lazaret rollout approve r-1 --signature plan.sig")]
pub(crate) struct Args {
    /// Which rollout
    #[arg(value_name = "ID")]
    rollout: RolloutId,
    /// Your SSH key; a public key where the private one is in ssh-agent
    #[arg(long, value_name = "FILE", conflicts_with = "signature")]
    ssh_key: Option<PathBuf>,
    /// A signature that was made elsewhere
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Approve only if the plan has this hash
    #[arg(long, value_name = "HASH")]
    plan: Option<Sha256Digest>,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    let path = format!("/v1/rollouts/{}", args.rollout);
    let plan: PlanView<Preview> = client.get(&format!("{path}/plan"))?;
    plan_view::check(&plan)?;
    let hash = plan.plan.with_context(|| format!("{} was never planned", args.rollout))?;
    anyhow::ensure!(
        args.plan.is_none_or(|wanted| wanted == hash),
        "expected the plan {:?}, it is {hash}",
        args.plan
    );
    let text = approval_text(&hash);
    let signature = match (&args.ssh_key, &args.signature) {
        (Some(key), _) => signing::sign(key, NAMESPACE_PLAN, &text)?,
        (None, Some(file)) => start::read(file)?,
        (None, None) => {
            plan_view::show(&plan, false, session)?;
            return Err(Misuse::NoKey { command: command(&hash) }.into());
        }
    };
    signing::check(&signature, NAMESPACE_PLAN, &text)?;
    let request = ApprovalRequest { plan: hash, signature };
    let rollout: RolloutView = client.post(&format!("{path}/approve"), &request)?;
    super::show(&rollout, session)
}

fn command(hash: &Sha256Digest) -> String {
    format!("echo {hash} | ssh-keygen -Y sign -n {NAMESPACE_PLAN} -f ~/.ssh/id_ed25519 > plan.sig")
}
