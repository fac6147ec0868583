//! `lazaret-server`: reads its settings, wires the parts, runs. The clock of the whole server is
//! read here.

mod app;
mod config;
mod http;
mod identity;
mod outgoing;
mod reconcilers;
mod telemetry;
mod wire;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use lazaret_protocol::limits::METADATA_BYTES_MAX;
use lazaret_protocol::time::Timestamp;

use crate::config::Config;
use crate::wire::{Repository, founding};

/// The update and incident-response server of a device fleet.
///
/// Begin with a ceremony (`lazaret-keys ceremony --help`), then `init`, then `run`.
#[derive(Debug, Parser)]
#[command(
    name = "lazaret-server",
    version,
    after_help = "\
Example:
  lazaret-server init --config server.toml --metadata ceremony/metadata \\
      --anchors ceremony/anchors.json
  lazaret-server run --config server.toml"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve devices and operators until SIGTERM or SIGINT.
    Run {
        /// The settings file (TOML).
        #[arg(long)]
        config: PathBuf,
    },
    /// Say everything that is wrong with the settings, and change nothing.
    CheckConfig {
        /// The settings file (TOML).
        #[arg(long)]
        config: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Make the data folder and take in the signed metadata of the first ceremony. Done once.
    Init {
        /// The settings file (TOML).
        #[arg(long)]
        config: PathBuf,
        /// Folder with 1.root.json, 1.targets.json and any 1.rel-MODEL.json.
        #[arg(long)]
        metadata: PathBuf,
        /// The anchors file that the targets role signed.
        #[arg(long)]
        anchors: PathBuf,
        /// Minutes that the first administrator's one-time code is good: 1 to 1440.
        #[arg(long, default_value_t = founding::BOOTSTRAP_MINUTES)]
        #[arg(value_parser = clap::value_parser!(u64).range(1..=1440))]
        bootstrap_minutes: u64,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Make a new one-time code for an administrator, because the first lapsed or the last
    /// administrator lost their key. The server must not be running.
    #[command(after_help = "\
Example:
  systemctl stop lazaret-server
  lazaret-server bootstrap --config server.toml
  systemctl start lazaret-server
  lazaret login --at https://lazaret.example:8445 --server-ca server-ca.pem --name ana \\
      --code-file code.txt --out ~/.config/lazaret")]
    Bootstrap {
        /// The settings file (TOML).
        #[arg(long)]
        config: PathBuf,
        /// Minutes that the code is good: 1 to 1440.
        #[arg(long, default_value_t = founding::BOOTSTRAP_MINUTES)]
        #[arg(value_parser = clap::value_parser!(u64).range(1..=1440))]
        minutes: u64,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => {
            eprintln!("lazaret-server: no runtime: {err}");
            return ExitCode::FAILURE;
        }
    };
    let done = match cli.command {
        Command::Run { config } => runtime.block_on(run(&config)),
        Command::CheckConfig { config, json } => check_config(&config, json),
        Command::Init { config, metadata, anchors, bootstrap_minutes, json } => {
            let code_for = bootstrap_minutes;
            runtime.block_on(init(&config, (&metadata, &anchors), code_for, json))
        }
        Command::Bootstrap { config, minutes, json } => {
            runtime.block_on(bootstrap(&config, minutes, json))
        }
    };
    match done {
        Ok(code) => code,
        Err(err) => {
            eprintln!("lazaret-server: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// The one clock of the server. A clock before 1970 is taken as 1970.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

async fn run(path: &Path) -> anyhow::Result<ExitCode> {
    let config = checked(path)?;
    telemetry::start(&config.log).context("log.level is not a filter")?;
    let app = wire::wire(&config, now, Repository::Expected).await?;
    wire::serve(&config, app, signalled()).await?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

fn checked(path: &Path) -> anyhow::Result<Config> {
    let config = Config::load(path)?;
    let problems = config.problems();
    anyhow::ensure!(
        problems.is_empty(),
        "settings are not as expected:\n  {}",
        problems.join("\n  ")
    );
    Ok(config)
}

#[expect(clippy::print_stdout, reason = "the answer of the command goes to standard output")]
fn check_config(path: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let problems = match Config::load(path) {
        Ok(config) => config.problems(),
        Err(err) => vec![telemetry::chain(&err)],
    };
    let good = problems.is_empty();
    if json {
        println!("{}", serde_json::json!({ "ok": good, "problems": problems }));
    } else if good {
        println!("{}: every setting is as expected", path.display());
    } else {
        println!("{}: {} problems", path.display(), problems.len());
        for problem in &problems {
            println!("  {problem}");
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::print_stdout, reason = "the answer of the command goes to standard output")]
async fn init(
    path: &Path,
    (metadata, anchors): (&Path, &Path),
    code_for: u64,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let config = checked(path)?;
    let mut files = Vec::new();
    let entries = std::fs::read_dir(metadata)
        .with_context(|| format!("folder {} cannot be read", metadata.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") {
            files.push((name, bounded(&entry.path())?));
        }
    }
    let anchors = bounded(anchors)?;
    let app = wire::wire(&config, now, Repository::ToBeFounded).await?;
    let reply = founding::found(&app, files, anchors).await.map_err(told)?;
    // Without a listener for it, or a CA, nobody could use a code.
    let code = match config.sign_in.is_some() && config.operator_issuing.is_some() {
        true => {
            Some(founding::code(&app, code_for, "the first administrator").await.map_err(told)?)
        }
        false => None,
    };
    if json {
        let mut answer = serde_json::to_value(&reply)?;
        if let (Some(fields), Some((code, expires))) = (answer.as_object_mut(), &code) {
            fields.insert("bootstrap".to_owned(), code_as_json(code, *expires));
        }
        println!("{answer}");
        return Ok(ExitCode::SUCCESS);
    }
    println!("repository founded: {}", reply.files.join(", "));
    match code {
        Some((code, expires)) => print_code(&code, expires),
        None => println!(
            "no code for a first administrator: the settings have not both [sign_in] and \
             [operator_issuing]"
        ),
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the answer of the command goes to standard output")]
async fn bootstrap(path: &Path, minutes: u64, json: bool) -> anyhow::Result<ExitCode> {
    let config = checked(path)?;
    anyhow::ensure!(
        config.sign_in.is_some() && config.operator_issuing.is_some(),
        "expected [sign_in] and [operator_issuing] in {}: without both nobody could use a code",
        path.display()
    );
    let app = wire::wire(&config, now, Repository::Expected).await?;
    let code = founding::code(&app, minutes, "another administrator").await;
    let (code, expires) = code.map_err(told)?;
    if json {
        println!("{}", code_as_json(&code, expires));
    } else {
        print_code(&code, expires);
    }
    Ok(ExitCode::SUCCESS)
}

fn told(err: impl std::error::Error) -> anyhow::Error {
    anyhow::anyhow!(telemetry::chain(&err))
}

fn code_as_json(code: &str, expires: Timestamp) -> serde_json::Value {
    serde_json::json!({ "code": code, "expires": expires })
}

#[expect(clippy::print_stdout, reason = "the answer of the command goes to standard output")]
fn print_code(code: &str, expires: Timestamp) {
    println!(
        "one-time code of the administrator, shown once, good until {expires}:\n  {code}\n\
         use it with `lazaret login --name NAME --code-file FILE`"
    );
}

fn bounded(path: &Path) -> anyhow::Result<Vec<u8>> {
    let length = std::fs::metadata(path)
        .with_context(|| format!("{} cannot be read", path.display()))?
        .len();
    anyhow::ensure!(
        length <= METADATA_BYTES_MAX,
        "expected at most {METADATA_BYTES_MAX} bytes, {} has {length}",
        path.display()
    );
    Ok(std::fs::read(path)?)
}
