//! `payload root|targets|release`: the bytes that holders will sign. The same inputs give the same
//! bytes on every machine, so that each holder can make the payload and compare.

mod emergency;
mod release;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Subcommand};
use lazaret_protocol::anchors::Anchors;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::ModelName;
use lazaret_protocol::time::{DAY_MS, Timestamp};
use lazaret_repo_keys_signing::{HolderPublic, OnlinePublic};

use crate::difference::{self, Names};
use crate::error::{Rule, StepError};
use crate::hashing::Measured;
use crate::plan::{KeySet, ModelSigners, Plan, RootPlan, TargetsPlan};
use crate::session::{Session, Step};

pub use emergency::Emergency;
pub use release::{Release, Rollout};

/// Longest life of an offline role, in days. Longer is a mistyped number.
const EXPIRES_DAYS_MAX: u64 = 3660;

/// What holders will sign.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Who may sign: root and targets holders, and the server's snapshot and timestamp keys.
    #[command(after_help = "\
Examples:
  lazaret-keys payload root --holder-keys alice.pub,bob.pub,carol.pub --threshold 2 \\
      --online online/online.pub.json --out root.payload
  lazaret-keys payload root --holder-keys alice.pub,bob.pub,dora.pub --threshold 2 \\
      --online online/online.pub.json --previous 1.root.json --out root.payload

In the second one carol goes and dora comes.")]
    Root(Root),
    /// The anchors, and who signs the releases of each model.
    #[command(after_help = "\
Example:
  lazaret-keys payload targets --anchors anchors.json \\
      --model gw2=alice.pub,bob.pub,carol.pub:2 --online online/online.pub.json \\
      --out targets.payload

The list of models is complete: one that is not named is dropped.")]
    Targets(Targets),
    /// The images of one model: the last signed version, and a new image from this machine's own
    /// file.
    #[command(after_help = "\
Example:
  lazaret-keys payload release --model gw2 --version 2.0 --image gw2-2.0.img --counter 2 \\
      --previous 1.rel-gw2.json \\
      --schedule 100@2026-11-23T00:00:00Z,1000@2026-11-25T00:00:00Z --out release.payload

The counter says what is newer. The floor says what never runs again. The schedule says which
share of the fleet, in permille, may install from when on; a server can be slower and never
faster.")]
    Release(Release),
    /// A faster schedule for an image that the release signers have signed: the incident team's.
    #[command(after_help = "\
Examples:
  lazaret-keys payload emergency --image gw2/2.0 --release metadata/2.rel-gw2.json \\
      --reason \"CVE-2026-1234 is exploited\" --valid-hours 72 --out emergency.payload
  lazaret-keys payload emergency --withdraw gw2/2.0 --previous metadata/1.emergency.json \\
      --out emergency.payload

It names a hash that rel-MODEL has signed, and can do no more than let devices have it earlier.")]
    Emergency(Emergency),
}

/// See [`Command::Root`].
#[derive(Debug, Args)]
pub struct Root {
    /// Public keys of the root holders.
    #[arg(long, value_name = "PUB,PUB", value_delimiter = ',', required = true)]
    pub holder_keys: Vec<PathBuf>,
    /// How many of them must sign.
    #[arg(long, value_name = "K")]
    pub threshold: u64,
    /// Public keys of the targets holders; the root holders where this is left out.
    #[arg(long, value_name = "PUB,PUB", value_delimiter = ',')]
    pub targets_keys: Vec<PathBuf>,
    /// How many of the targets holders must sign; as many as for root where this is left out.
    #[arg(long, value_name = "K")]
    pub targets_threshold: Option<u64>,
    /// The server's public keys.
    #[arg(long, value_name = "online.pub.json")]
    pub online: PathBuf,
    /// The last signed root, where this is not the first.
    #[arg(long, value_name = "N.root.json")]
    pub previous: Option<PathBuf>,
    /// Its life.
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    pub expires_days: u64,
    /// Where the payload goes.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// See [`Command::Targets`].
#[derive(Debug, Args)]
pub struct Targets {
    /// What devices trust beside TUF.
    #[arg(long, value_name = "anchors.json")]
    pub anchors: PathBuf,
    /// A model, the public keys of its release signers, and how many must sign:
    /// `gw2=a.pub,b.pub:2`.
    #[arg(long = "model", value_name = "MODEL=PUB,PUB:K", required = true)]
    pub models: Vec<ModelArg>,
    /// The incident team's public keys, and how many of them must sign a faster schedule:
    /// `a.pub,b.pub,c.pub:2`.
    #[arg(long, value_name = "PUB,PUB:K")]
    pub emergency: Option<TeamArg>,
    /// The server's public keys; it signs the lists of deltas.
    #[arg(long, value_name = "online.pub.json")]
    pub online: PathBuf,
    /// The last signed targets, where this is not the first.
    #[arg(long, value_name = "N.targets.json")]
    pub previous: Option<PathBuf>,
    /// Its life.
    #[arg(long, value_name = "DAYS", default_value_t = 180)]
    pub expires_days: u64,
    /// Where the payload goes.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `gw2=alice.pub,bob.pub:2` on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelArg {
    /// The model.
    pub model: ModelName,
    /// Public keys of its release signers.
    pub keys: Vec<PathBuf>,
    /// How many must sign.
    pub threshold: u64,
}

impl FromStr for ModelArg {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("expected MODEL=PUB,PUB:K such as gw2=a.pub,b.pub:2, got {text:?}");
        let (model, rest) = text.split_once('=').ok_or_else(form)?;
        let (keys, threshold) = rest.rsplit_once(':').ok_or_else(form)?;
        let model = model.parse().map_err(|err| format!("{err}"))?;
        let threshold = threshold.parse().map_err(|_| form())?;
        Ok(Self { model, keys: keys.split(',').map(PathBuf::from).collect(), threshold })
    }
}

/// `alice.pub,bob.pub:2` on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamArg {
    /// Public keys.
    pub keys: Vec<PathBuf>,
    /// How many must sign.
    pub threshold: u64,
}

impl FromStr for TeamArg {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("expected PUB,PUB:K such as a.pub,b.pub:2, got {text:?}");
        let (keys, threshold) = text.rsplit_once(':').ok_or_else(form)?;
        let threshold = threshold.parse().map_err(|_| form())?;
        Ok(Self { keys: keys.split(',').map(PathBuf::from).collect(), threshold })
    }
}

/// Runs one of them.
///
/// # Errors
/// The payload would break a rule, or a file is not what it should be.
pub fn run(session: &Session, command: &Command) -> Result<(), StepError> {
    match command {
        Command::Root(args) => root(session, args),
        Command::Targets(args) => targets(session, args),
        Command::Release(args) => release::run(session, args),
        Command::Emergency(args) => emergency::run(session, args),
    }
}

/// Makes a root payload.
///
/// # Errors
/// As [`run`].
pub fn root(session: &Session, args: &Root) -> Result<(), StepError> {
    let mut step = session.begin("payload root");
    let mut names = Names::default();
    let holders = super::read_publics(&mut step, &args.holder_keys)?;
    let root = key_set(&holders, args.threshold, &mut names);
    let targets = if args.targets_keys.is_empty() {
        let threshold = args.targets_threshold.unwrap_or(args.threshold);
        KeySet { keys: root.keys.clone(), threshold }
    } else {
        let holders = super::read_publics(&mut step, &args.targets_keys)?;
        key_set(&holders, args.targets_threshold.unwrap_or(args.threshold), &mut names)
    };
    let online: OnlinePublic = step.read_json(&args.online, "the server's public keys")?;
    let previous = read_previous(&mut step, args.previous.as_deref())?;
    let version = next_version(previous.as_ref());
    let expires = expires(session.now, args.expires_days)?;
    let (snapshot, timestamp) = (online.snapshot, online.timestamp);
    let plan = RootPlan { version, expires, root, targets, snapshot, timestamp };
    finish(session, step, (previous.as_ref(), Plan::Root(plan)), (&args.out, &names))
}

/// Makes a targets payload.
///
/// # Errors
/// As [`run`].
pub fn targets(session: &Session, args: &Targets) -> Result<(), StepError> {
    let mut step = session.begin("payload targets");
    let mut names = Names::default();
    let anchors = measure_anchors(&step.read(&args.anchors)?)?;
    let mut models = ModelSigners::new();
    for model in &args.models {
        let holders = super::read_publics(&mut step, &model.keys)?;
        let set = key_set(&holders, model.threshold, &mut names);
        if models.insert(model.model.clone(), set).is_some() {
            let what = format!("expected each model once, got {} twice", model.model);
            return Err(StepError::misuse(what));
        }
    }
    let online: OnlinePublic = step.read_json(&args.online, "the server's public keys")?;
    let previous = read_previous(&mut step, args.previous.as_deref())?;
    let version = next_version(previous.as_ref());
    let expires = expires(session.now, args.expires_days)?;
    let team = args.emergency.as_ref();
    let emergency = team.map(|team| {
        let holders = super::read_publics(&mut step, &team.keys)?;
        Ok::<_, StepError>(key_set(&holders, team.threshold, &mut names))
    });
    let emergency = emergency.transpose()?;
    let deltas = online.deltas;
    let plan = TargetsPlan { version, expires, anchors, models, emergency, deltas };
    finish(session, step, (previous.as_ref(), Plan::Targets(plan)), (&args.out, &names))
}

/// Length and digest of anchors that devices can read.
pub(crate) fn measure_anchors(anchors: &[u8]) -> Result<Measured, StepError> {
    Anchors::parse(anchors)?;
    let length = u64::try_from(anchors.len()).unwrap_or(u64::MAX);
    Ok(Measured { length, sha256: Sha256Digest::of(anchors) })
}

pub(crate) fn key_set(holders: &[HolderPublic], threshold: u64, names: &mut Names) -> KeySet {
    for holder in holders {
        names.add(holder);
    }
    KeySet { keys: holders.iter().map(|holder| holder.key.clone()).collect(), threshold }
}

fn read_previous(step: &mut Step, path: Option<&Path>) -> Result<Option<Plan>, StepError> {
    let Some(path) = path else {
        return Ok(None);
    };
    let bytes = step.read(path)?;
    Ok(Some(Plan::read_signed(&bytes)?))
}

fn next_version(previous: Option<&Plan>) -> u64 {
    previous.map_or(0, Plan::version).saturating_add(1)
}

pub(crate) fn expires(now: Timestamp, days: u64) -> Result<Timestamp, StepError> {
    if days == 0 || days > EXPIRES_DAYS_MAX {
        let what = format!("expected --expires-days between 1 and {EXPIRES_DAYS_MAX}, got {days}");
        return Err(StepError::misuse(what));
    }
    // TUF writes whole seconds.
    let whole = now.as_ms() / 1000 * 1000;
    Ok(Timestamp::from_ms(whole).plus_ms(days.saturating_mul(DAY_MS)))
}

fn finish(
    session: &Session,
    mut step: Step,
    plans: (Option<&Plan>, Plan),
    output: (&Path, &Names),
) -> Result<(), StepError> {
    let (previous, plan) = plans;
    if let Some(previous) = previous.filter(|previous| previous.role() != plan.role()) {
        let what = format!("expected the last signed {}, got {}", plan.role(), previous.role());
        return Err(StepError::refused(Rule::WrongFile, what));
    }
    let payload = plan.payload().map_err(StepError::of_wish)?;
    for words in difference::between(previous, &plan, output.1, session.now) {
        step.say(words);
    }
    step.write(output.0, &payload)?;
    session.finish(step)?;
    Ok(())
}
