//! `payload emergency`: a faster schedule for an image that the release signers have signed, made
//! from this machine's own copy of what they signed.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use lazaret_protocol::id::{ModelName, VersionName};
use lazaret_protocol::target::{EmergencyCustom, emergency_target};
use lazaret_protocol::time::{HOUR_MS, Timestamp};
use lazaret_repo_keys_signing::metadata::rules::{self, EmergencyEntry};

use super::release::{Rollout, schedule};
use super::{expires, finish, read_previous};
use crate::difference::Names;
use crate::error::{Rule, StepError};
use crate::plan::{EmergencyPlan, Plan};
use crate::session::{Session, Step};

/// Longest time that an emergency may last, in hours: 90 days. What lasts longer is a schedule, and
/// the release signers' business.
const VALID_HOURS_MAX: u64 = 90 * 24;

/// See [`super::Command::Emergency`].
#[derive(Debug, Args)]
pub struct Emergency {
    /// The image that devices may have earlier: `gw2/2.0`.
    #[arg(long, value_name = "MODEL/VERSION", requires = "release", requires = "reason")]
    pub image: Option<ImageName>,
    /// This machine's own copy of what the release signers of the model have signed.
    #[arg(long, value_name = "N.rel-MODEL.json", requires = "image")]
    pub release: Option<PathBuf>,
    /// Why, in one line. It is signed, and people will read it.
    #[arg(long, value_name = "TEXT", requires = "image")]
    pub reason: Option<String>,
    /// When which share of the fleet may install, in permille; everybody at once where this is left
    /// out.
    #[arg(long, value_name = "PERMILLE@TIME,...", requires = "image")]
    pub schedule: Option<Rollout>,
    /// How long it counts.
    #[arg(long, value_name = "HOURS", default_value_t = 72)]
    pub valid_hours: u64,
    /// A schedule that shall count no more: `gw2/2.0`; give it once for each.
    #[arg(long, value_name = "MODEL/VERSION")]
    pub withdraw: Vec<ImageName>,
    /// The last signed version of this role, where there is one.
    #[arg(long, value_name = "N.emergency.json")]
    pub previous: Option<PathBuf>,
    /// The life of the role's metadata.
    #[arg(long, value_name = "DAYS", default_value_t = 180)]
    pub expires_days: u64,
    /// Where the payload goes.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `gw2/2.0` on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionName,
}

impl FromStr for ImageName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("expected MODEL/VERSION such as gw2/2.0, got {text:?}");
        let (model, version) = text.split_once('/').ok_or_else(form)?;
        let model = model.parse().map_err(|err| format!("{err}"))?;
        let version = version.parse().map_err(|err| format!("{err}"))?;
        Ok(Self { model, version })
    }
}

/// Makes an emergency payload.
///
/// # Errors
/// The image is not signed, nothing would change, or a file is not what it should be.
pub(super) fn run(session: &Session, args: &Emergency) -> Result<(), StepError> {
    let mut step = session.begin("payload emergency");
    let previous = read_previous(&mut step, args.previous.as_deref())?;
    let before = match &previous {
        None => None,
        Some(Plan::Emergency(plan)) => Some(plan),
        Some(other) => {
            let what = format!("expected the last signed emergency, got {}", other.role());
            return Err(StepError::refused(Rule::WrongFile, what));
        }
    };
    let entry = args.image.as_ref().map(|image| entry(&mut step, session, (args, image)));
    let entry = entry.transpose()?;
    let withdrawn: Vec<String> =
        args.withdraw.iter().map(|name| emergency_target(&name.model, &name.version)).collect();
    for name in &withdrawn {
        let known = before.is_some_and(|before| {
            before.entries.iter().any(|old| emergency_target(&old.model, &old.version) == *name)
        });
        if !known {
            let what = format!("expected --withdraw to name a schedule in force, got {name}");
            return Err(StepError::misuse(what));
        }
    }
    let until = expires(session.now, args.expires_days)?;
    let plan = EmergencyPlan::with_entry(before, entry, &withdrawn, (session.now, until));
    let plans = (previous.as_ref(), Plan::Emergency(plan));
    finish(session, step, plans, (&args.out, &Names::default()))
}

fn entry(
    step: &mut Step,
    session: &Session,
    (args, name): (&Emergency, &ImageName),
) -> Result<EmergencyEntry, StepError> {
    let (Some(path), Some(reason)) = (&args.release, &args.reason) else {
        return Err(StepError::misuse("expected --release and --reason with --image"));
    };
    if args.valid_hours == 0 || args.valid_hours > VALID_HOURS_MAX {
        let what = format!(
            "expected --valid-hours between 1 and {VALID_HOURS_MAX}, got {}",
            args.valid_hours
        );
        return Err(StepError::misuse(what));
    }
    let Plan::Release(release) = Plan::read_signed(&step.read(path)?)? else {
        let what = format!("expected signed rel-{} metadata in {}", name.model, path.display());
        return Err(StepError::refused(Rule::WrongFile, what));
    };
    let signed = release.images.iter().find(|image| image.version == name.version);
    let Some(image) = signed.filter(|_| release.model == name.model) else {
        let what = format!("{} lists no image {}/{}", path.display(), name.model, name.version);
        return Err(StepError::refused(Rule::ImageMissing, what));
    };
    let salt = image.custom.schedule.salt.clone();
    let custom = EmergencyCustom {
        image_sha256: image.sha256,
        schedule: schedule(session.now, salt, args.schedule.as_ref())?,
        reason: reason.clone(),
        expires: Timestamp::from_ms(session.now.as_ms() / 1000 * 1000)
            .plus_ms(args.valid_hours.saturating_mul(HOUR_MS)),
    };
    custom.check().map_err(|err| StepError::misuse(err.to_string()))?;
    let (model, version) = (name.model.clone(), name.version.clone());
    let entry = EmergencyEntry { model, version, custom };
    rules::check_emergency_image(&entry, &release.images)?;
    Ok(entry)
}
