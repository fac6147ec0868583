//! The command line of `lazaret-agent`: what people and supervisors call. Exit codes: 0 done, 1
//! failed, 2 misuse, 75 start me again (`restart = "exit"`).

use std::error::Error;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};
use lazaret_agent_core::journal::{Collection, Journal, Quarantine};
use lazaret_agent_core::slot::Slot;
use serde_json::Value;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::clock::sleep_ms;
use crate::config::{Config, ConfigError, LogFormat, Restart, SETTINGS};
use crate::drive::{self, Stop};
use crate::durable::{Durable, JournalFile};
use crate::failpoint::{self, Failpoints};
use crate::status;

mod apply;
mod measures;

/// The supervisor is asked to start the agent again (EX_TEMPFAIL of sysexits).
pub const EXIT_RESTART: u8 = 75;

const EXIT_FAILED: u8 = 1;
const EXIT_MISUSE: u8 = 2;

/// After a failure that a restart may heal, in milliseconds.
const FAILED_NAP_MS: u64 = 5000;

/// Keeps this device patched, and contained when it has to be.
#[derive(Debug, Parser)]
#[command(name = "lazaret-agent", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run until told to start again
    Run {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Abort at this point, the first time it is reached. For tests of power loss only
        #[arg(long, value_name = "NAME", hide = true)]
        danger_crash_at: Option<String>,
    },
    /// Say everything that is wrong with a configuration
    CheckConfig {
        /// The configuration file
        #[arg(long, value_name = "FILE", required_unless_present = "explain")]
        config: Option<PathBuf>,
        /// List every setting with its default, unit and limits
        #[arg(long)]
        explain: bool,
    },
    /// Say where this device stands: by the running agent's word where status_socket is set, else
    /// from its journal
    Status {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Prepare the state folder of a new device
    Provision {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Make a journal that is lost or corrupt anew from its copy
    #[command(after_help = "\
The agent refuses to start without its journal, because the floors in it keep old software out. This
command writes it anew from the copy beside it (journal.copy), which is never behind on a floor: the
release floor, the highest order, quarantine and the versions of signed metadata stay as they were.
What was there is moved aside, and the forensic log says that it happened. Without a good copy
nothing is recovered: such a device is provisioned anew. Metadata and trust anchors need no
recovery:
the agent refuses a bad file by name and fetches it again, above the same floors.")]
    Recover {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Say what would happen, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Carry out the containment that this device is under, and try it
    #[command(after_help = "\
Reads the journal and the order beside it, verifies the order anew, applies what it asks for and
tries it: the network is closed to all but the addresses of the order, units are stopped. A device
that is free has every measure taken back. Nothing is asked of the network. It is run before the
network comes up (lazaret-agent-measures.service) and whenever the agent has it run
(measures_command). Exit code 1: a measure does not hold.")]
    Measures {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Apply what is stored; without this, only say what holds
        #[arg(long)]
        apply_stored: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Install a release from a bundle that somebody brought along
    Apply(apply::Args),
    /// List the points at which `run --danger-crash-at` can abort
    #[command(hide = true)]
    Failpoints,
}

/// Parses the arguments and does what they say.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(err) => {
            let misuse = err.use_stderr();
            // Help that cannot be printed helps nobody, and there is no better place to say so.
            let _ = err.print();
            return ExitCode::from(if misuse { EXIT_MISUSE } else { 0 });
        }
    };
    match arguments.command {
        Action::Run { config, danger_crash_at } => {
            with_config(&config, |config| run(config, danger_crash_at.as_deref()))
        }
        Action::CheckConfig { explain: true, .. } => explain(),
        Action::CheckConfig { config, .. } => with_config(&config.unwrap_or_default(), |config| {
            let missing = config.missing_files();
            for problem in &missing {
                complain(&problem.to_string());
            }
            if !missing.is_empty() {
                return ExitCode::from(EXIT_MISUSE);
            }
            say(&format!("the configuration of {} {} is good", config.model, config.serial))
        }),
        Action::Status { config, json } => with_config(&config, |config| status(&config, json)),
        Action::Provision { config } => with_config(&config, |config| provision(&config)),
        Action::Recover { config, dry_run, json } => {
            with_config(&config, |config| recover(&config, dry_run, json))
        }
        Action::Measures { config, apply_stored, json } => {
            with_config(&config, |config| measures::run(&config, apply_stored, json))
        }
        Action::Apply(args) => apply::run(&args),
        Action::Failpoints => {
            let names: Vec<String> = failpoint::names().collect();
            say(&names.join("\n"))
        }
    }
}

/// An error and all that led to it, in one line.
#[must_use]
pub fn chain(err: &(dyn Error + 'static)) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(err) = source {
        text.push_str(": ");
        text.push_str(&err.to_string());
        source = err.source();
    }
    text
}

fn with_config(path: &Path, then: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match Config::load(path) {
        Ok(config) => then(config),
        Err(ConfigError::Wrong { problems }) => {
            for problem in problems {
                complain(&format!("{}: {problem}", path.display()));
            }
            ExitCode::from(EXIT_MISUSE)
        }
        Err(err @ ConfigError::Missing { .. }) => {
            complain(&chain(&err));
            ExitCode::from(EXIT_MISUSE)
        }
        Err(err) => failed(&err),
    }
}

fn run(config: Config, crash_at: Option<&str>) -> ExitCode {
    let points = match crash_at {
        None => Failpoints::default(),
        Some(name) => match Failpoints::danger_crash_at(name) {
            Some(points) => points,
            None => {
                complain(&format!("there is no failpoint {name}; `failpoints` lists them"));
                return ExitCode::from(EXIT_MISUSE);
            }
        },
    };
    if let Err(why) = log_to_stderr(&config) {
        complain(&format!("log: expected a tracing filter: {why}"));
        return ExitCode::from(EXIT_MISUSE);
    }
    let restart = config.restart.clone();
    let mut drive = match drive::start(config, points) {
        Ok(drive) => drive,
        Err(Stop::Restart) => return start_again(&restart),
        Err(Stop::Failed(err)) => return failed(&*err),
    };
    let stop = drive.run();
    // What replaces itself runs no destructors: the key helper and the lock end here.
    drop(drive);
    match stop {
        Stop::Restart => start_again(&restart),
        Stop::Failed(err) if restart == Restart::Exec => {
            // Nobody else would start the agent again, and a device without an agent is lost.
            tracing::error!("starting again after: {}", chain(&*err));
            sleep_ms(FAILED_NAP_MS);
            start_again(&restart)
        }
        Stop::Failed(err) => failed(&*err),
    }
}

fn start_again(restart: &Restart) -> ExitCode {
    match restart {
        Restart::Exit => ExitCode::from(EXIT_RESTART),
        Restart::Exec => {
            let program = match std::env::current_exe() {
                Ok(program) => program,
                Err(err) => return failed(&err),
            };
            // It returns only where it failed.
            failed(&Command::new(program).args(std::env::args_os().skip(1)).exec())
        }
        Restart::Command(command) => {
            let Some((program, arguments)) = command.split_first() else {
                return ExitCode::from(EXIT_FAILED);
            };
            match Command::new(program).args(arguments).status() {
                Ok(status) if status.success() => ExitCode::SUCCESS,
                Ok(status) => {
                    complain(&format!("{program}: expected exit code 0, got {status}"));
                    ExitCode::from(EXIT_FAILED)
                }
                Err(err) => failed(&err),
            }
        }
    }
}

/// Levels by target (`info`, `lazaret_agent=debug,warn`). Patterns and spans in a filter would
/// bring an engine for regular expressions onto every device.
fn log_to_stderr(config: &Config) -> Result<(), String> {
    let filter: Targets = config.log.parse().map_err(|err| format!("{err}"))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let set = match config.log_format {
        LogFormat::Human => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal()).with_filter(filter);
            tracing_subscriber::registry().with(lines).try_init()
        }
        LogFormat::Json => {
            tracing_subscriber::registry().with(lines.json().with_filter(filter)).try_init()
        }
    };
    set.map_err(|err| err.to_string())
}

fn explain() -> ExitCode {
    let lines: Vec<String> = SETTINGS
        .iter()
        .map(|setting| format!("{} ({})\n    {}", setting.name, setting.default, setting.doc))
        .collect();
    say(&lines.join("\n"))
}

fn provision(config: &Config) -> ExitCode {
    let durable = Durable::default();
    let made = durable
        .folder(&config.state_dir)
        .and_then(|()| JournalFile::provision(&durable, &config.journal()));
    match made {
        Ok(()) => say(&format!("{} is ready", config.state_dir.display())),
        Err(err) => failed(&err),
    }
}

fn recover(config: &Config, dry_run: bool, as_json: bool) -> ExitCode {
    let recovered = match drive::recover(config, dry_run) {
        Ok(recovered) => recovered,
        Err(err) => return failed(&err),
    };
    if as_json {
        return say(&serde_json::to_string(&recovered).unwrap_or_default());
    }
    let what = if dry_run { "would be made anew" } else { "is made anew" };
    say(&format!(
        "the journal {what} from its copy; {}\n\
         floor       {}\norders      up to {}\nroot        {}",
        recovered.why, recovered.release_floor, recovered.order_sequence, recovered.root
    ))
}

/// By the running agent's word where it listens, which needs no right to read its state; else from
/// the journal, as long as the agent is not there.
fn status(config: &Config, as_json: bool) -> ExitCode {
    let socket = config.around.status.socket.as_deref();
    let status = match socket.map(status::ask) {
        Some(Ok(status)) => Ok(status),
        Some(Err(err)) if err.kind() == io::ErrorKind::PermissionDenied => return failed(&err),
        _ => status_of_the_disk(config),
    };
    let status = match status {
        Ok(status) => status,
        Err(code) => return code,
    };
    if as_json {
        return say(&status.to_string());
    }
    let journal: Journal =
        match serde_json::from_value(status.get("journal").cloned().unwrap_or_default()) {
            Ok(journal) => journal,
            Err(err) => return failed(&err),
        };
    let slot = status.get("slot").and_then(Value::as_str);
    let running = slot.and_then(|name| {
        let slot = [Slot::A, Slot::B].into_iter().find(|slot| slot.as_str() == name)?;
        journal.slots.release(slot)
    });
    let slot = slot.unwrap_or("nothing");
    let release = running.map_or_else(
        || "an unknown release".to_owned(),
        |release| format!("{} (counter {})", release.version, release.counter),
    );
    say(&format!("slot        {slot}, {release}\n{}", told(&journal)))
}

fn status_of_the_disk(config: &Config) -> Result<Value, ExitCode> {
    let journal = JournalFile::load(&config.journal()).map_err(|err| failed(&err))?;
    let slots = drive::bootloader(config, &Durable::default()).map_err(|err| failed(&err))?;
    Ok(status::of(&journal, slots.booted()))
}

fn told(journal: &Journal) -> String {
    let quarantine = match &journal.quarantine {
        Quarantine::Free => "no".to_owned(),
        Quarantine::Held { order, reason, level, .. } => {
            format!("{level} since order {order}: {reason}")
        }
    };
    let collection = match &journal.collection {
        Collection::Idle => "none".to_owned(),
        Collection::Collecting { bundle, .. } => bundle.to_string(),
    };
    format!(
        "update      {}\nquarantine  {quarantine}\ncollecting  {collection}\n\
         reports     {} waiting\norders      up to {}\nfloor       {}\n\
         TUF         root {}, timestamp {}\nstarts      {}",
        journal.update.name(),
        journal.reports.len(),
        journal.order_sequence,
        journal.release_floor,
        journal.tuf.root,
        journal.tuf.timestamp,
        journal.boot_count,
    )
}

fn say(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(EXIT_FAILED),
    }
}

fn complain(text: &str) {
    // Where stderr is closed, nobody listens.
    let _ = writeln!(std::io::stderr(), "lazaret-agent: {text}");
}

fn failed(err: &(dyn Error + 'static)) -> ExitCode {
    complain(&chain(err));
    ExitCode::from(EXIT_FAILED)
}
