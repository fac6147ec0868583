//! `payload release`: the images of one model, rebuilt from the last signed version and the
//! signer's own copy of the new image. No server is asked for anything.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use lazaret_protocol::id::{ModelName, VersionName};
use lazaret_protocol::target::{ImageCustom, Schedule, ScheduleStep};
use lazaret_protocol::time::Timestamp;
use lazaret_repo_keys_signing::metadata::rules::ImageEntry;

use super::{expires, finish, read_previous};
use crate::difference::Names;
use crate::error::{Rule, StepError};
use crate::plan::{Plan, ReleasePlan, in_between};
use crate::session::Session;

/// Longest salt, in characters.
const SALT_CHARS_MAX: usize = 64;

/// See [`super::Command::Release`].
#[derive(Debug, Args)]
pub struct Release {
    /// The hardware model.
    #[arg(long)]
    pub model: ModelName,
    /// The version, as people read it.
    #[arg(long = "version", value_name = "VERSION")]
    pub version: VersionName,
    /// This machine's own copy of the image.
    #[arg(long, value_name = "FILE")]
    pub image: PathBuf,
    /// The release counter, above every earlier one.
    #[arg(long, value_name = "N")]
    pub counter: u64,
    /// Devices that keep this image never again run anything with a counter below this; the floor
    /// of the newest earlier image where this is left out.
    #[arg(long, value_name = "N")]
    pub floor: Option<u64>,
    /// Devices install this image only from a release with this counter or a higher one; those
    /// below run another release in between first. That of the newest earlier image where this is
    /// left out; 0 lets every device in.
    #[arg(long, value_name = "N")]
    pub needs: Option<u64>,
    /// When which share of the fleet may install, in permille: `100@2026-11-23T00:00:00Z,1000@...`.
    /// Everybody at once where this is left out.
    #[arg(long, value_name = "PERMILLE@TIME,...")]
    pub schedule: Option<Rollout>,
    /// Shuffles the fleet; made from the image's digest where this is left out.
    #[arg(long, value_name = "TEXT")]
    pub salt: Option<String>,
    /// The last signed version of this role, where there is one.
    #[arg(long, value_name = "N.rel-MODEL.json")]
    pub previous: Option<PathBuf>,
    /// How many images stay listed, the new one included.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub keep_releases: usize,
    /// Its life.
    #[arg(long, value_name = "DAYS", default_value_t = 120)]
    pub expires_days: u64,
    /// Where the payload goes.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// The steps of a schedule on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout(pub Vec<ScheduleStep>);

impl FromStr for Rollout {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let step = |text: &str| {
            let form =
                || format!("expected PERMILLE@TIME such as 100@2026-11-23T00:00:00Z, got {text:?}");
            let (permille, at) = text.split_once('@').ok_or_else(form)?;
            let permille = permille.parse().map_err(|_| form())?;
            let not_before = Timestamp::parse_rfc3339(at).map_err(|err| err.to_string())?;
            Ok::<_, String>(ScheduleStep { permille, not_before })
        };
        let steps = text.split(',').map(step).collect::<Result<Vec<_>, _>>()?;
        let schedule = Schedule { salt: String::new(), steps };
        schedule.check().map_err(|err| err.to_string())?;
        Ok(Self(schedule.steps))
    }
}

/// Makes a release payload.
///
/// # Errors
/// The counter or version is not new, a file is not what it should be, or the arguments contradict.
pub(super) fn run(session: &Session, args: &Release) -> Result<(), StepError> {
    let mut step = session.begin("payload release");
    let previous = read_previous(&mut step, args.previous.as_deref())?;
    let before = match &previous {
        None => None,
        Some(Plan::Release(plan)) => Some(plan),
        Some(other) => {
            let what = format!("expected the last signed rel-{}, got {}", args.model, other.role());
            return Err(StepError::refused(Rule::WrongFile, what));
        }
    };
    let measured = step.measure(&args.image)?;
    if measured.length == 0 {
        let what = format!("expected an image, {} is empty", args.image.display());
        return Err(StepError::refused(Rule::WrongFile, what));
    }
    let newest = before.and_then(|plan| plan.images.last()).map(|image| &image.custom);
    let inherited = newest.map_or(0, |custom| custom.floor);
    let needs = args.needs.unwrap_or_else(|| newest.map_or(0, |custom| custom.needs));
    let salt: String = match &args.salt {
        Some(salt) => salt.clone(),
        None => measured.sha256.to_string().chars().take(16).collect(),
    };
    let custom = ImageCustom {
        counter: args.counter,
        floor: args.floor.unwrap_or(inherited),
        needs,
        model: args.model.clone(),
        schedule: schedule(session.now, salt, args.schedule.as_ref())?,
    };
    let (length, sha256) = (measured.length, measured.sha256);
    let before_it = before.map_or(&[][..], |plan| &plan.images);
    if needs > 0 && in_between(before_it, needs).is_none() {
        session.warn(&format!(
            "no listed image brings devices up to counter {needs}: those below it stay behind"
        ));
    }
    let image = ImageEntry { version: args.version.clone(), sha256, length, custom };
    let expires = expires(session.now, args.expires_days)?;
    let plan = ReleasePlan::with_image(before, image, args.keep_releases, expires)?;
    let plans = (previous.as_ref(), Plan::Release(plan));
    finish(session, step, plans, (&args.out, &Names::default()))
}

/// ASCII only: canonical JSON signs bytes, and a letter can be two sequences of bytes.
pub(super) fn schedule(
    now: Timestamp,
    salt: String,
    rollout: Option<&Rollout>,
) -> Result<Schedule, StepError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if salt.is_empty() || salt.chars().count() > SALT_CHARS_MAX || !salt.chars().all(plain) {
        let what =
            format!("expected a salt of 1 to {SALT_CHARS_MAX} letters and digits, got {salt:?}");
        return Err(StepError::misuse(what));
    }
    match rollout {
        Some(rollout) => Ok(Schedule { salt, steps: rollout.0.clone() }),
        None => {
            let whole = Timestamp::from_ms(now.as_ms() / 1000 * 1000);
            Ok(Schedule::everybody_from(&salt, whole))
        }
    }
}
