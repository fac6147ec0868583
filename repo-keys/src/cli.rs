//! The command line: what can be said to `lazaret-keys`, and where it goes.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use lazaret_protocol::time::Timestamp;

use crate::commands::{
    anchors, assemble, ca, ceremony, change, inspect, key, online, payload, responder, sign,
};
use crate::error::StepError;
use crate::session::{Session, Voice};

/// Makes and signs what a Lazaret server cannot: roots, delegations, releases and certificates.
///
/// Every file that devices trust is made in detached steps, so that several people on several
/// machines sign without meeting and without a network: `payload` makes the bytes, each holder
/// looks at them and runs `sign`, and `assemble` puts the signatures on. Each step appends what it
/// did, with the SHA-256 of what it read and wrote, to a transcript.
#[derive(Debug, Parser)]
#[command(name = "lazaret-keys", version, max_term_width = 110)]
#[command(after_help = "\
Exit codes: 0 done, 1 failed or refused, 2 misuse.

A first look:
  printf 'a long passphrase\\n' > pass && chmod 600 pass
  lazaret-keys ceremony --out demo --model gw2 --passphrase-file pass
  lazaret-keys inspect demo/metadata/1.root.json")]
pub struct Cli {
    /// Speak JSON: one object per step on standard output and in the transcript.
    #[arg(long, global = true)]
    pub json: bool,
    /// Where the transcript goes; `transcript.txt` beside the output where this is left out.
    #[arg(long, global = true, value_name = "FILE")]
    pub transcript: Option<PathBuf>,
    /// A file whose only line is the passphrase, instead of asking at the terminal.
    #[arg(long, global = true, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// A file descriptor that a token's PIN is read from, instead of asking at the terminal:
    /// `--pin-fd 3 3< pin`.
    #[arg(long, global = true, value_name = "N")]
    pub pin_fd: Option<u32>,
    /// The moment that counts as the present, such as 2026-11-22T12:00:00Z, instead of the clock's:
    /// the same inputs then give the same payload on every machine.
    #[arg(long, global = true, value_name = "RFC3339", value_parser = moment)]
    pub now: Option<Timestamp>,
    /// The step.
    #[command(subcommand)]
    pub command: Command,
}

/// The steps.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A holder's own key.
    #[command(subcommand)]
    Key(key::Command),
    /// The keys that a server may have.
    #[command(subcommand)]
    Online(online::Command),
    /// The age key of somebody who reads evidence, as age-keygen makes it too.
    #[command(after_help = "\
Example:
  lazaret-keys responder --out ines.age")]
    Responder(responder::Responder),
    /// What devices trust beside TUF: order keys, CAs and responders, as one file that targets
    /// signs.
    #[command(after_help = "\
Example:
  lazaret-keys anchors --online online/online.pub.json --ca ca/device-ca.pem \\
      --server-ca ca/server-ca.pem --responder age1...,age1... --out anchors.json")]
    Anchors(anchors::AnchorsArgs),
    /// The bytes that holders will sign.
    #[command(subcommand)]
    Payload(payload::Command),
    /// Sign a payload with your own key, after seeing what it changes.
    #[command(after_help = "\
Example:
  lazaret-keys sign --payload release.payload --key alice.key --previous 1.rel-gw2.json \\
      --targets 1.targets.json --image gw2/2.0=my-own-copy.img --out alice.sig

A new image is signed only if your own file has the same SHA-256. Look at the words before you
type the passphrase: they are all that the payload says.")]
    Sign(sign::Sign),
    /// Put signatures on a payload.
    #[command(after_help = "\
Examples:
  lazaret-keys assemble --payload root.payload --sig alice.sig --sig bob.sig --out-dir metadata
  lazaret-keys assemble --payload release.payload --sig alice.sig --sig bob.sig \\
      --targets metadata/1.targets.json --out-dir metadata

No key is needed. Below the threshold nothing is written.")]
    Assemble(assemble::Assemble),
    /// A change of who may sign: holders, thresholds, models, the server's keys.
    #[command(subcommand)]
    Change(change::Command),
    /// The certificate authority.
    #[command(subcommand)]
    Ca(ca::Command),
    /// Any file of a ceremony in plain words.
    #[command(after_help = "\
Example:
  lazaret-keys inspect metadata/1.targets.json")]
    Inspect(inspect::Inspect),
    /// All steps on one machine: for demonstrations, tests and very small teams.
    #[command(after_help = "\
Example:
  lazaret-keys ceremony --out demo --holders alice,bob,carol --threshold 2 --model gw2 \\
      --passphrase-file pass

Real ceremonies run the same steps on the holders' own machines.")]
    Ceremony(ceremony::Ceremony),
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).map_err(|err| err.to_string())
}

impl Cli {
    /// How this run speaks and what time it is.
    #[must_use]
    pub fn session(&self, clock: Timestamp) -> Session {
        Session {
            voice: if self.json { Voice::Json } else { Voice::Words },
            now: self.now.unwrap_or(clock),
            transcript: self.transcript.clone(),
            passphrase_file: self.passphrase_file.clone(),
            pin_fd: self.pin_fd,
        }
    }

    /// Runs the step.
    ///
    /// # Errors
    /// As the step.
    pub fn run(&self, session: &Session) -> Result<(), StepError> {
        match &self.command {
            Command::Key(command) => key::run(session, command),
            Command::Online(command) => online::run(session, command),
            Command::Responder(args) => responder::run(session, args).map(drop),
            Command::Anchors(args) => anchors::run(session, args),
            Command::Payload(command) => payload::run(session, command),
            Command::Sign(args) => sign::run(session, args),
            Command::Assemble(args) => assemble::run(session, args).map(|_| ()),
            Command::Change(command) => change::run(session, command),
            Command::Ca(command) => ca::run(session, command),
            Command::Inspect(args) => inspect::run(session, args),
            Command::Ceremony(args) => ceremony::run(session, args),
        }
    }
}
