//! `change plan`: wishes become payloads, and words that say what they mean.

use std::path::{Path, PathBuf};

use clap::Args;
use lazaret_repo_keys_signing::durable::{self, Access};
use lazaret_repo_keys_signing::{HolderPublic, OfflineRole, OnlinePublic};

use super::folder::{self, ANCHORS_FILE};
use crate::change::{self, Lives, Resigned, Wish};
use crate::commands::payload::{ModelArg, TeamArg, key_set, measure_anchors};
use crate::difference::{self, Names};
use crate::error::StepError;
use crate::plan::{KeySet, Plan};
use crate::session::{Session, Step};

/// See [`super::Command::Plan`].
#[derive(Debug, Args)]
pub struct PlanChange {
    /// Every root and the last signed version of each other role.
    #[arg(long, value_name = "DIR")]
    pub metadata: PathBuf,
    /// A folder of public keys, for the names of holders.
    #[arg(long, value_name = "DIR")]
    pub holders: Option<PathBuf>,
    /// A holder comes: `root=dora.pub`.
    #[arg(long, value_name = "ROLE=PUB", value_parser = role_and_text)]
    pub add: Vec<(OfflineRole, String)>,
    /// A holder goes: `targets=carol.pub`.
    #[arg(long, value_name = "ROLE=PUB", value_parser = role_and_text)]
    pub remove: Vec<(OfflineRole, String)>,
    /// One holder for another: `rel-gw2=carol.pub:dora.pub`.
    #[arg(long, value_name = "ROLE=OLD:NEW", value_parser = role_and_text)]
    pub replace: Vec<(OfflineRole, String)>,
    /// How many must sign from then on: `root=3`.
    #[arg(long, value_name = "ROLE=K", value_parser = role_and_number)]
    pub threshold: Vec<(OfflineRole, u64)>,
    /// The server's new public keys: what a stolen snapshot, timestamp or deltas key is replaced
    /// with.
    #[arg(long, value_name = "online.pub.json")]
    pub online: Option<PathBuf>,
    /// New anchors; after a theft, with the new order key.
    #[arg(long, value_name = "anchors.json")]
    pub anchors: Option<PathBuf>,
    /// A further model, its release signers, and how many must sign.
    #[arg(long, value_name = "MODEL=PUB,PUB:K")]
    pub add_model: Vec<ModelArg>,
    /// A model for which nothing is released any more.
    #[arg(long, value_name = "MODEL")]
    pub drop_model: Vec<lazaret_protocol::id::ModelName>,
    /// The incident team, where there is none yet or all of it changes.
    #[arg(long, value_name = "PUB,PUB:K")]
    pub emergency: Option<TeamArg>,
    /// The same again with a later end: `root`, `targets`, `rel-gw2` or `emergency`.
    #[arg(long, value_name = "ROLE", value_parser = change::offline_role)]
    pub renew: Vec<OfflineRole>,
    /// The life of every new version; where this is left out 365 days for root, 180 for targets and
    /// emergency, 120 for releases.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=3660))]
    pub expires_days: Option<u64>,
    /// Say what it means and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The folder for the change.
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    pub out: Option<PathBuf>,
}

fn role_and_text(text: &str) -> Result<(OfflineRole, String), String> {
    let form = || format!("expected ROLE=... such as root=dora.pub, got {text:?}");
    let (role, rest) = text.split_once('=').ok_or_else(form)?;
    Ok((change::offline_role(role)?, rest.to_owned()))
}

fn role_and_number(text: &str) -> Result<(OfflineRole, u64), String> {
    let (role, number) = role_and_text(text)?;
    let form = |_| format!("expected ROLE=K such as root=3, got {text:?}");
    Ok((role, number.parse().map_err(form)?))
}

/// Plans a change.
///
/// # Errors
/// The metadata does not verify, the wishes contradict it or each other, or a file is not what it
/// should be.
pub(super) fn run(session: &Session, args: &PlanChange) -> Result<(), StepError> {
    let mut step = session.begin("change plan");
    let files = folder::read_metadata(&mut step, &args.metadata)?;
    let mut names = Names::in_folder(&args.metadata);
    if let Some(holders) = &args.holders {
        names.add_folder(holders);
    }
    let (wishes, anchors) = wishes(&mut step, args, &mut names)?;
    let lives = Lives { now: session.now, days: args.expires_days };
    let all = change::work_out(&files, &wishes, lives)?;
    say(&mut step, session, &all, &names);
    let Some(out) = args.out.as_ref().filter(|_| !args.dry_run) else {
        step.say("a rehearsal: nothing was written");
        session.finish_reading(step);
        return Ok(());
    };
    let mut contents: Vec<(String, Vec<u8>)> = files.0.into_iter().collect();
    for resigned in &all {
        contents.push((resigned.payload_name(), resigned.after.payload()?));
    }
    contents.extend(anchors.map(|anchors| (ANCHORS_FILE.to_owned(), anchors)));
    contents.extend(names.to_files());
    write(&mut step, out, &contents)?;
    session.finish(step)?;
    Ok(())
}

pub(super) fn write(
    step: &mut Step,
    out: &Path,
    contents: &[(String, Vec<u8>)],
) -> Result<(), StepError> {
    let files: Vec<_> = contents
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice(), Access::Public))
        .collect();
    durable::write_folder(out, &files)?;
    // The transcript lies beside the folder and not in it: the folder is what is handed on.
    step.beside(out);
    for (name, bytes) in contents {
        step.note_written(&out.join(name), bytes);
    }
    Ok(())
}

type Wishes = (Vec<Wish>, Option<Vec<u8>>);

fn wishes(step: &mut Step, args: &PlanChange, names: &mut Names) -> Result<Wishes, StepError> {
    let mut wishes = Vec::new();
    for (role, old_and_new) in &args.replace {
        let (old, new) = old_and_new.rsplit_once(':').ok_or_else(|| {
            StepError::misuse(format!("expected {role}=OLD.pub:NEW.pub, got {old_and_new:?}"))
        })?;
        wishes.push(Wish::Remove(role.clone(), public(step, old, names)?));
        wishes.push(Wish::Add(role.clone(), public(step, new, names)?));
    }
    for (role, path) in &args.remove {
        wishes.push(Wish::Remove(role.clone(), public(step, path, names)?));
    }
    for (role, path) in &args.add {
        wishes.push(Wish::Add(role.clone(), public(step, path, names)?));
    }
    for model in &args.add_model {
        let holders = crate::commands::read_publics(step, &model.keys)?;
        let set = key_set(&holders, model.threshold, names);
        wishes.push(Wish::AddModel(model.model.clone(), set));
    }
    wishes.extend(args.drop_model.iter().cloned().map(Wish::DropModel));
    if let Some(team) = &args.emergency {
        let holders = crate::commands::read_publics(step, &team.keys)?;
        wishes.push(Wish::Team(key_set(&holders, team.threshold, names)));
    }
    let thresholds = args.threshold.iter().cloned();
    wishes.extend(thresholds.map(|(role, threshold)| Wish::Threshold(role, threshold)));
    if let Some(path) = &args.online {
        let online: OnlinePublic = step.read_json(path, "the server's public keys")?;
        wishes.push(Wish::Online(online));
    }
    let anchors = args.anchors.as_ref().map(|path| step.read(path)).transpose()?;
    if let Some(anchors) = &anchors {
        wishes.push(Wish::Anchors(measure_anchors(anchors)?));
    }
    wishes.extend(args.renew.iter().cloned().map(Wish::Renew));
    Ok((wishes, anchors))
}

fn public(
    step: &mut Step,
    path: &str,
    names: &mut Names,
) -> Result<lazaret_protocol::key::PublicKey, StepError> {
    let public: HolderPublic = crate::commands::read_public(step, Path::new(path))?;
    names.add(&public);
    Ok(public.key)
}

/// Says what a change means: the differences, who signs, and what the server signs after that.
pub(super) fn say(step: &mut Step, session: &Session, all: &[Resigned], names: &Names) {
    for resigned in all {
        let (before, after) = (resigned.before.as_ref(), &resigned.after);
        for words in difference::between(before, after, names, session.now) {
            step.say(words);
        }
        for words in must_sign(resigned, names) {
            step.say(words);
        }
    }
    let online_changes = |resigned: &Resigned| match (&resigned.before, &resigned.after) {
        (Some(Plan::Root(old)), Plan::Root(new)) => {
            old.snapshot != new.snapshot || old.timestamp != new.timestamp
        }
        (Some(Plan::Targets(old)), Plan::Targets(new)) => old.deltas != new.deltas,
        _ => false,
    };
    if all.iter().any(online_changes) {
        step.say(
            "the server needs its new keys before this is published: online_keys_next in its \
             settings",
        );
    }
    step.say("the server then signs snapshot and timestamp, and deltas if its key changes");
}

fn must_sign(resigned: &Resigned, names: &Names) -> Vec<String> {
    let role = resigned.after.role();
    let version = resigned.after.version();
    let mut sets: Vec<(&str, &KeySet)> = Vec::new();
    match resigned.signers.as_slice() {
        [old, new] if old != new => {
            sets.push((" of the holders before", old));
            sets.push((" of the holders after", new));
        }
        [set, ..] => sets.push(("", set)),
        [] => {}
    }
    let words = |(which, set): (&str, &KeySet)| {
        let holders: Vec<String> = set.keys.iter().map(|key| names.show(key)).collect();
        format!(
            "> {role} {version} must be signed by {}{which}: {}",
            set.threshold,
            holders.join(", ")
        )
    };
    sets.into_iter().map(words).collect()
}
