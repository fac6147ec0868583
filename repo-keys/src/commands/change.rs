//! `change plan|sign|assemble`: holders, thresholds, models and the server's keys change, and all
//! that depends on them is signed again, as one set that is published whole or not at all.

mod assemble;
mod folder;
mod plan;
mod sign;

use clap::Subcommand;

use crate::error::StepError;
use crate::session::Session;

pub use assemble::AssembleChange;
pub use plan::PlanChange;
pub use sign::SignChange;

/// A change of who may sign.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Work out what a change means: what would be different, who must sign what, and what the
    /// server signs again.
    #[command(after_help = "\
Examples:
  lazaret-keys change plan --metadata metadata --holders holders \\
      --replace root=carol.pub:dora.pub --replace targets=carol.pub:dora.pub \\
      --replace rel-gw2=carol.pub:dora.pub --out change
  lazaret-keys change plan --metadata metadata --threshold root=3 --dry-run
  lazaret-keys change plan --metadata metadata --online online-2/online.pub.json \\
      --anchors anchors-2.json --out change
  lazaret-keys change plan --metadata metadata --add-model gw4=alice.pub,bob.pub:2 --out change
  lazaret-keys change plan --metadata metadata --renew root --out change

`--metadata` is a folder with every root and the last signed version of each other role, as
`lazaret repo fetch` brings it. A role whose holders change is signed again by those who hold it
from then on. With --dry-run nothing is written.")]
    Plan(PlanChange),
    /// Sign, with one key, all that its holder may sign of a change.
    #[command(after_help = "\
Example:
  lazaret-keys change sign --change change --key alice.key --trusted-root 1.root.json \\
      --out-dir signatures

Every payload is shown first, against the last signed version. With --trusted-root, your own copy
of any root, the chain from it to the change is checked; without, it is taken at your word.")]
    Sign(SignChange),
    /// Put the signatures of all holders on a change, if it is complete.
    #[command(after_help = "\
Examples:
  lazaret-keys change assemble --change change --signatures signatures --dry-run
  lazaret-keys change assemble --change change --signatures signatures --out-dir signed

No key is needed. As long as one role is below its threshold nothing is written, and what is
missing is named. The files in --out-dir go to the server together:
  lazaret repo publish --change signed")]
    Assemble(AssembleChange),
}

/// Runs one of them.
///
/// # Errors
/// As the step.
pub fn run(session: &Session, command: &Command) -> Result<(), StepError> {
    match command {
        Command::Plan(args) => plan::run(session, args),
        Command::Sign(args) => sign::run(session, args),
        Command::Assemble(args) => assemble::run(session, args),
    }
}
