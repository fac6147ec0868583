//! `sign`: one holder, one key, one payload. What the payload changes is shown first, and an image
//! in it is signed only if the holder's own file is that image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{HolderName, ModelName, VersionName};
use lazaret_protocol::key::PublicKey;
use lazaret_repo_keys_signing::metadata::rules::{self, EmergencyEntry, ImageEntry};
use lazaret_repo_keys_signing::metadata::{Document, Keyring, TufKeyId, make};
use lazaret_repo_keys_signing::{HolderPublic, OfflineRole, RoleName, sources};
use serde::{Deserialize, Serialize};
use tough::schema::{RoleType, Targets};

use crate::difference::{self, Names};
use crate::error::{Rule, StepError};
use crate::hashing::Measured;
use crate::plan::{self, Plan, ReleasePlan};
use crate::session::{Session, Step};

/// See [`crate::cli::Command::Sign`].
#[derive(Debug, Args)]
pub struct Sign {
    /// What to sign.
    #[arg(long, value_name = "FILE")]
    pub payload: PathBuf,
    /// Your key.
    #[command(flatten)]
    pub key: KeyArgs,
    /// Your own copy of the last signed version of the same role.
    #[arg(long, value_name = "N.ROLE.json")]
    pub previous: Option<PathBuf>,
    /// The root that lists the targets holders. With it, your key and the previous version are
    /// checked.
    #[arg(long, value_name = "N.root.json")]
    pub root: Option<PathBuf>,
    /// The targets that list the release signers. With them, your key and the previous version are
    /// checked.
    #[arg(long, value_name = "N.targets.json")]
    pub targets: Option<PathBuf>,
    /// Your own copy of a new image: `gw2/2.0=FILE`.
    #[arg(long = "image", value_name = "MODEL/VERSION=FILE")]
    pub images: Vec<ImageArg>,
    /// For an emergency: your own copy of what the release signers of its model have signed.
    #[arg(long = "release", value_name = "N.rel-MODEL.json")]
    pub releases: Vec<PathBuf>,
    /// Where your signature goes.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Which key signs.
#[derive(Debug, Clone, Args)]
pub struct KeyArgs {
    /// Your key: a file, `file:PATH`, or a `pkcs11:` URI.
    #[arg(long, visible_alias = "pkcs11", value_name = "KEY")]
    pub key: String,
    /// Who you are, where the key's public half is not known by name here: a key in a token.
    #[arg(long, value_name = "NAME")]
    pub holder: Option<HolderName>,
}

impl From<String> for KeyArgs {
    fn from(key: String) -> Self {
        Self { key, holder: None }
    }
}

impl KeyArgs {
    /// Opens the key, and says whose it is.
    ///
    /// # Errors
    /// It cannot be opened, or nothing says who holds it.
    pub(crate) fn open(&self, session: &Session, names: &Names) -> Result<Opened, StepError> {
        let signer = sources::open(&self.key, session.secret(&self.key)?)?;
        let public = signer.public();
        let known = self.holder.as_ref().or_else(|| names.holder_of(&public));
        let holder = match known {
            Some(holder) => holder.clone(),
            None => holder_of(&self.key, &public)?,
        };
        Ok((holder, signer))
    }
}

/// A key that is ready, and who holds it.
pub(crate) type Opened = (HolderName, Box<dyn sources::HolderSigner>);

/// `gw2/2.0=FILE` on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageArg {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionName,
    /// The holder's own file.
    pub file: PathBuf,
}

impl FromStr for ImageArg {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("expected MODEL/VERSION=FILE such as gw2/2.0=gw2.img, got {text:?}");
        let (name, file) = text.split_once('=').ok_or_else(form)?;
        let (model, version) = name.split_once('/').ok_or_else(form)?;
        let model = model.parse().map_err(|err| format!("{err}"))?;
        let version = version.parse().map_err(|err| format!("{err}"))?;
        Ok(Self { model, version, file: PathBuf::from(file) })
    }
}

/// One holder's signature on one payload, as it travels to where it is assembled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureFile {
    /// Who signed, for people. What proves it is the key id.
    pub holder: HolderName,
    /// The role.
    pub role: String,
    /// The version.
    pub version: u64,
    /// SHA-256 of the payload.
    pub payload_sha256: Sha256Digest,
    /// The key, as metadata names it.
    pub keyid: TufKeyId,
    /// The signature, 128 hexadecimal digits.
    pub sig: String,
}

/// Signs.
///
/// # Errors
/// The payload breaks a rule, is not what the holder's files say, or the key is not one of the
/// role's.
pub fn run(session: &Session, args: &Sign) -> Result<(), StepError> {
    let mut step = session.begin("sign");
    let payload = step.read(&args.payload)?;
    let plan = Plan::read_payload(&payload)?;
    if plan.expires() <= session.now {
        let what = format!("the payload expired {}", plan.expires());
        return Err(StepError::refused(Rule::Expired, what));
    }
    let previous = read_previous(&mut step, args, &plan)?;
    match &plan {
        Plan::Release(release) => {
            check_images(&mut step, release, previous.as_ref(), &args.images)?;
        }
        Plan::Emergency(emergency) => {
            let before = match &previous {
                Some(Plan::Emergency(before)) => Some(before),
                _ => None,
            };
            check_emergency(&mut step, args, emergency.new_entries(before))?;
        }
        Plan::Root(_) | Plan::Targets(_) => {}
    }
    let reference = &args.key.key;
    let mut names = Names::in_folder(folder_of(Path::new(reference)));
    names.add_folder(folder_of(&args.payload));
    if let Some(own) = own_public(reference) {
        names.add(&own);
    }
    for words in difference::between(previous.as_ref(), &plan, &names, session.now) {
        step.say(words);
    }
    // A person sees what is to be signed before the passphrase is asked for.
    session.show_before_asking(&step);
    let (holder, signer) = args.key.open(session, &names)?;
    let public = signer.public();
    check_listed(&mut step, args, &plan, (&holder, &public))?;
    let sig = hex::encode(signer.sign(&plan.role(), &payload)?);
    let file = SignatureFile {
        holder: holder.clone(),
        role: plan.role().to_string(),
        version: plan.version(),
        payload_sha256: Sha256Digest::of(&payload),
        keyid: make::key_id(&plan.role().to_string(), &public)?,
        sig,
    };
    step.say(format!("{holder} signed {} version {}", plan.role(), plan.version()));
    let json = lazaret_protocol::canonical::to_bytes(&file)?;
    step.write(&args.out, &json)?;
    session.finish(step)?;
    Ok(())
}

/// The last signed version, which must be of the same role and one version below. Its signatures
/// are checked where the file that lists its keys is given; otherwise the holder vouches for it.
fn read_previous(step: &mut Step, args: &Sign, plan: &Plan) -> Result<Option<Plan>, StepError> {
    let Some(path) = &args.previous else {
        if plan.version() == 1 {
            return Ok(None);
        }
        let what = format!(
            "expected --previous {}.{}.json, because the payload is version {}",
            plan.version().saturating_sub(1),
            plan.role(),
            plan.version()
        );
        return Err(StepError::misuse(what));
    };
    let bytes = step.read(path)?;
    let previous = Plan::read_signed(&bytes)?;
    if previous.role() != plan.role() {
        let what = format!("expected the last signed {}, got {}", plan.role(), previous.role());
        return Err(StepError::refused(Rule::WrongFile, what));
    }
    if previous.version().saturating_add(1) != plan.version() {
        let what = format!(
            "expected version {} after the last signed one, the payload is version {}",
            previous.version().saturating_add(1),
            plan.version()
        );
        return Err(StepError::refused(Rule::WrongVersion, what));
    }
    let proved = match plan.role() {
        OfflineRole::Root => plan::read_root(&bytes).map(|_| true)?,
        role => match keyring(step, args, &role)? {
            None => false,
            Some(ring) => {
                ring.check(&Document::<Targets>::parse(&bytes)?)?;
                true
            }
        },
    };
    if !proved {
        step.say(
            "the last signed version is taken at your word: no file that lists its keys was given",
        );
    }
    Ok(Some(previous))
}

/// The keys of a role, from the file that lists them, where it was given.
fn keyring(step: &mut Step, args: &Sign, role: &OfflineRole) -> Result<Option<Keyring>, StepError> {
    match role {
        OfflineRole::Root => Ok(None),
        OfflineRole::Targets => {
            let Some(path) = &args.root else {
                return Ok(None);
            };
            let root = plan::read_root(&step.read(path)?)?;
            Ok(Some(Keyring::of_root(&root.signed, RoleType::Targets)?))
        }
        OfflineRole::Release(_) | OfflineRole::Emergency => {
            let Some(path) = &args.targets else {
                return Ok(None);
            };
            let targets = Document::<Targets>::parse(&step.read(path)?)?;
            if let Some(path) = &args.root {
                let root = plan::read_root(&step.read(path)?)?;
                Keyring::of_root(&root.signed, RoleType::Targets)?.check(&targets)?;
            }
            let role = RoleName::Offline(role.clone());
            Ok(Some(Keyring::of_delegation(&targets.signed, &role)?))
        }
    }
}

/// Holds every new image against the holder's own file: a server's word is not enough to get
/// something signed.
fn check_images(
    step: &mut Step,
    release: &ReleasePlan,
    previous: Option<&Plan>,
    files: &[ImageArg],
) -> Result<(), StepError> {
    let before = match previous {
        Some(Plan::Release(before)) => Some(before),
        _ => None,
    };
    let mut own: BTreeMap<(&ModelName, &VersionName), &Path> = BTreeMap::new();
    for arg in files {
        own.insert((&arg.model, &arg.version), &arg.file);
    }
    for image in release.new_images(before) {
        plan::check_new(before.map_or(&[], |before| before.images.as_slice()), image)?;
        let Some(file) = own.remove(&(&release.model, &image.version)) else {
            let what = format!(
                "image {0}/{1} is new: give your own copy with --image {0}/{1}=FILE",
                release.model, image.version
            );
            return Err(StepError::refused(Rule::ImageMissing, what));
        };
        let measured = step.measure(file)?;
        compare(image, file, measured)?;
        step.say(format!(
            "image {}/{} is the same as {}",
            release.model,
            image.version,
            file.display()
        ));
    }
    // A file for an image that is not new is compared too: whoever names it wants to know.
    for ((model, version), file) in own {
        let listed = release.images.iter().find(|image| image.version == *version);
        let Some(image) = listed.filter(|_| *model == release.model) else {
            let what = format!("expected an image of the payload, got --image {model}/{version}");
            return Err(StepError::misuse(what));
        };
        let measured = step.measure(file)?;
        compare(image, file, measured)?;
    }
    Ok(())
}

/// Holds every new emergency schedule against the holder's own copy of what the release signers
/// signed: the incident team opens a door earlier, and never another door.
fn check_emergency(
    step: &mut Step,
    args: &Sign,
    entries: Vec<&EmergencyEntry>,
) -> Result<(), StepError> {
    let mut images: BTreeMap<ModelName, Vec<ImageEntry>> = BTreeMap::new();
    for path in &args.releases {
        let bytes = step.read(path)?;
        let Plan::Release(release) = Plan::read_signed(&bytes)? else {
            let what = format!("expected signed rel-MODEL metadata in {}", path.display());
            return Err(StepError::refused(Rule::WrongFile, what));
        };
        let role = OfflineRole::Release(release.model.clone());
        match keyring(step, args, &role)? {
            Some(ring) => ring.check(&Document::<Targets>::parse(&bytes)?)?,
            None => step.say(format!("{role} is taken at your word: no --targets was given")),
        }
        images.insert(release.model, release.images);
    }
    for entry in entries {
        let (model, version) = (&entry.model, &entry.version);
        let Some(images) = images.get(model) else {
            let what = format!(
                "the schedule of {model}/{version} is new: give your own copy of what its signers \
                 signed with --release N.rel-{model}.json"
            );
            return Err(StepError::refused(Rule::ImageMissing, what));
        };
        rules::check_emergency_image(entry, images)?;
        step.say(format!("image {model}/{version} is one that rel-{model} has signed"));
    }
    Ok(())
}

fn compare(image: &ImageEntry, file: &Path, own: Measured) -> Result<(), StepError> {
    if own.sha256 == image.sha256 && own.length == image.length {
        return Ok(());
    }
    let what = format!(
        "the payload says image {} has {} bytes and sha256 {}, but {} has {} bytes and sha256 {}",
        image.version,
        image.length,
        image.sha256,
        file.display(),
        own.length,
        own.sha256
    );
    Err(StepError::refused(Rule::HashMismatch, what))
}

/// Refuses a key that the role does not list: its signature would be dead weight, and somebody
/// should know before the ceremony ends.
fn check_listed(
    step: &mut Step,
    args: &Sign,
    plan: &Plan,
    signer: (&HolderName, &PublicKey),
) -> Result<(), StepError> {
    let (holder, public) = signer;
    let listed = match plan {
        Plan::Root(root) => {
            let before = match &args.previous {
                None => None,
                Some(path) => match Plan::read_signed(&step.read(path)?)? {
                    Plan::Root(before) => Some(before),
                    _ => None,
                },
            };
            root.root.keys.contains(public)
                || before.is_some_and(|before| before.root.keys.contains(public))
        }
        _ => match keyring(step, args, &plan.role())? {
            None => true,
            Some(ring) => ring.id_of(public).is_some(),
        },
    };
    if listed {
        return Ok(());
    }
    let what = format!("{holder}'s key {} is not one of {}", public.key_id(), plan.role());
    Err(StepError::refused(Rule::NotListed, what))
}

/// The folder of a file; the present one where its path names none.
fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn own_public(key: &str) -> Option<HolderPublic> {
    let path = Path::new(key.strip_prefix("file:").unwrap_or(key)).with_extension("pub");
    let bytes = lazaret_repo_keys_signing::durable::read(&path, 16 * 1024).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn holder_of(key: &str, public: &PublicKey) -> Result<HolderName, StepError> {
    if let Some(own) = own_public(key).filter(|own| own.key == *public) {
        return Ok(own.holder);
    }
    if key.starts_with("pkcs11:") {
        return Err(StepError::misuse("expected --holder NAME with a key in a token"));
    }
    let stem = Path::new(key).file_stem().map(|stem| stem.to_string_lossy().to_lowercase());
    stem.and_then(|stem| stem.parse().ok()).ok_or_else(|| {
        StepError::misuse("expected a key file named after its holder, such as alice.key")
    })
}
