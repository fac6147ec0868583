//! What can be typed: one file per command, listed here and nowhere else.

use clap::{Parser, Subcommand};

use crate::client::Client;
use crate::output::{Form, Output};
use crate::settings::Options;

mod anomaly;
mod approver;
mod audit;
mod delta;
mod device;
mod events;
mod evidence;
mod halt;
mod incident;
mod login;
mod operator;
mod policy;
mod release;
mod repo;
mod rollout;
mod signing;
mod sim;
mod sweep;
mod token;
mod webhook;
mod why;

/// Keep a fleet patched, contain what got in, preserve the evidence.
///
/// Commands talk to the server's operator listener with your certificate; `evidence verify` and
/// `evidence show` need no server.
#[derive(Debug, Parser)]
#[command(name = "lazaret", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "\
Exit codes: 0 done, 1 it did not work, 2 misuse, 3 a role expires soon (repo status).

Begin with a configuration file ~/.config/lazaret/cli.toml:
  server = \"https://lazaret.example:8444\"
  server_ca = \"server-ca.pem\"
  certificate = \"alice.pem\"
  key = \"alice.key.pem\"

which `lazaret login` writes from a one-time code, and then, for example:
  lazaret device list
  lazaret release create --model gw2 --version 2.0 --image gw2-2.0.img
  lazaret rollout start --model gw2 --version 2.0 --all --reason \"CVE-2026-1234\"")]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    options: Options,
    /// Answer with one JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Images and their deltas, and the signed metadata that makes them releases
    #[command(subcommand)]
    Release(release::Command),
    /// The signed repository: who may sign what, until when, and changes of that
    #[command(subcommand)]
    Repo(repo::Command),
    /// Machines: let them enrol, look at them, contain them
    #[command(subcommand)]
    Device(device::Command),
    /// Bring a release to devices, group by group
    #[command(subcommand)]
    Rollout(rollout::Command),
    /// How rollouts go about it: policies, shipped and your own
    #[command(subcommand)]
    Policy(policy::Command),
    /// What a policy would do to a fleet that does not exist
    Sim(sim::Args),
    /// Halt the whole fleet, or say whether it is halted
    Halt(halt::HaltArgs),
    /// Let the whole fleet go on
    Resume(halt::ResumeArgs),
    /// Why a device is not updating: the one gate that holds it
    Why(why::Args),
    /// SSH keys with which operators approve plans
    #[command(subcommand)]
    Approver(approver::Command),
    /// Who did what, and whether the log that says so is what was signed
    #[command(subcommand)]
    Audit(audit::Command),
    /// Turn a one-time code into a certificate, or renew yours
    Login(login::Args),
    /// Who may act here
    #[command(subcommand)]
    Operator(Box<operator::Command>),
    /// Service tokens for programs that act for you
    #[command(subcommand)]
    Token(token::Command),
    /// Addresses that the server tells of events
    #[command(subcommand)]
    Webhook(webhook::Command),
    /// What got in: who is in it, what was done and proved, what is due
    #[command(subcommand)]
    Incident(Box<incident::Command>),
    /// Who is affected: by a component, a vulnerability, a file
    Sweep(Box<sweep::Args>),
    /// What speaks against devices: clones, logs that were cut, changed SIMs
    #[command(subcommand)]
    Anomaly(anomaly::Command),
    /// What is known to be vulnerable: advisories, taken in
    #[command(subcommand)]
    Advisory(sweep::AdvisoryCommand),
    /// Bundles of forensic evidence: fetch, check, read
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// Deltas by hand, without any server
    #[command(subcommand)]
    Delta(delta::Command),
    /// What happened, as the server recorded it
    Events(events::Args),
}

pub(crate) use repo::Alarming;

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Session {
    /// Where answers go.
    pub(crate) output: Output,
    options: Options,
}

impl Session {
    /// The server. Settings are read only by commands that need them.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        Client::new(&self.options.settings()?)
    }
}

impl Cli {
    /// Does what was typed.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let form = if self.json { Form::Json } else { Form::Human };
        let session = Session { output: Output::new(form), options: self.options };
        match self.command {
            Command::Release(command) => command.run(&session),
            Command::Repo(command) => command.run(&session),
            Command::Device(command) => command.run(&session),
            Command::Rollout(command) => command.run(&session),
            Command::Policy(command) => command.run(&session),
            Command::Sim(args) => sim::run_args(&args, &session),
            Command::Halt(args) => halt::halt(args, &session),
            Command::Resume(args) => halt::resume(args, &session),
            Command::Why(args) => why::run(&args, &session),
            Command::Approver(command) => command.run(&session),
            Command::Audit(command) => command.run(&session),
            Command::Login(args) => login::run(args, &session),
            Command::Operator(command) => command.run(&session),
            Command::Token(command) => command.run(&session),
            Command::Webhook(command) => command.run(&session),
            Command::Incident(command) => command.run(&session),
            Command::Sweep(args) => sweep::run(*args, &session),
            Command::Anomaly(command) => command.run(&session),
            Command::Advisory(command) => command.run(&session),
            Command::Evidence(command) => command.run(&session),
            Command::Delta(command) => command.run(&session),
            Command::Events(args) => events::run(args, &session),
        }
    }
}

/// How far a list is shown.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Range {
    /// Show what comes after this one
    #[arg(long, value_name = "NAME")]
    after: Option<String>,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,
}

/// What stands below a list that goes on, or that is empty.
fn list_end(what: &str, count: usize, next: Option<&str>) -> String {
    match next {
        Some(next) => format!("\n{count} {what} shown; there are more: --after {next}"),
        None if count == 0 => format!("\nno {what}"),
        None => format!("\n{count} {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_teaches_with_an_example() {
        fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, String)>) {
            if command.get_subcommands().next().is_none() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                found.push((path.to_owned(), help));
            }
            for sub in command.get_subcommands() {
                leaves(sub, &format!("{path} {}", sub.get_name()), found);
            }
        }
        let mut found = Vec::new();
        leaves(&Cli::command(), "lazaret", &mut found);
        assert!(found.len() >= 48, "{found:?}");
        for (path, help) in found {
            let words = format!("{help}\n").replace('\n', " ");
            assert!(words.contains(&format!("{path} ")), "{path} has no example: {help:?}");
        }
    }
}
