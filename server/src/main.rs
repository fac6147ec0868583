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
use crate::wire::Repository;

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
        Command::Init { config, metadata, anchors, json } => {
            runtime.block_on(init(&config, &metadata, &anchors, json))
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
    metadata: &Path,
    anchors: &Path,
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
    let founded = app::publish::found(&app, files, anchors).await;
    let reply = founded.map_err(|err| anyhow::anyhow!(telemetry::chain(&err)))?.into_reply();
    if json {
        println!("{}", serde_json::to_string(&reply)?);
    } else {
        println!("repository founded: {}", reply.files.join(", "));
    }
    Ok(ExitCode::SUCCESS)
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
