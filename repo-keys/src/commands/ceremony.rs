//! `ceremony`: the detached steps, one after the other, on one machine. It is for demonstrations,
//! tests and very small teams; it takes no short cut, and it says what it gives up.

use std::path::{Path, PathBuf};

use clap::Args;
use lazaret_protocol::id::{HolderName, ModelName};
use lazaret_protocol_evidence::age::Recipient;

use super::anchors::{AnchorsArgs, ApproverFile};
use super::payload::{ModelArg, TeamArg};
use super::{anchors, assemble, ca, key, online, payload, responder, sign};
use crate::error::StepError;
use crate::session::Session;

/// See [`crate::cli::Command::Ceremony`].
#[derive(Debug, Args)]
pub struct Ceremony {
    /// The folder to make everything in.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Who holds keys.
    #[arg(long, value_delimiter = ',', default_value = "alice,bob,carol")]
    pub holders: Vec<HolderName>,
    /// How many of them must sign.
    #[arg(long, value_name = "K", default_value_t = 2)]
    pub threshold: u64,
    /// The hardware models; give it once for each.
    #[arg(long = "model", value_name = "MODEL", required = true)]
    pub models: Vec<ModelName>,
    /// Age recipients (age1...) of responders. Where none is given, two keys are made.
    #[arg(long = "responder", value_name = "AGE1...", value_delimiter = ',')]
    pub responders: Vec<Recipient>,
    /// Who may set devices free from quarantine: a name and the file of an SSH public key.
    #[arg(long = "approver", value_name = "NAME=FILE")]
    pub approvers: Vec<ApproverFile>,
    /// How many different approvers must sign to set devices free.
    #[arg(long, value_name = "K", default_value_t = 2)]
    pub approver_threshold: u64,
    /// The organisation in the names of its CAs.
    #[arg(long, default_value = "Lazaret")]
    pub name: String,
}

/// Holds the ceremony. The folder then has holders/, online/, ca/, responders/, metadata/,
/// signing/, anchors.json and transcript.txt.
///
/// # Errors
/// The folder is not empty, or as the single steps.
pub fn run(session: &Session, args: &Ceremony) -> Result<(), StepError> {
    check(args)?;
    let here = |name: &str| args.out.join(name);
    let mut session = session.clone();
    session.transcript.get_or_insert_with(|| here("transcript.txt"));
    // Asked for once: all keys of this one machine share it, which is one of the things given up.
    if session.passphrase_file.is_none() {
        let what =
            "expected --passphrase-file FILE: one passphrase protects all keys of a ceremony";
        return Err(StepError::misuse(what));
    }
    session.warn(
        "one machine holds every key of this ceremony. Real ceremonies run the same steps on the \
         holders' \
         own machines: key create, payload, sign, assemble.",
    );
    for holder in &args.holders {
        let out = here("holders").join(format!("{holder}.key"));
        key::create(
            &session,
            &key::Create { holder: holder.clone(), out, pkcs11: None, algorithm: None },
        )?;
    }
    online::create(&session, &online::Create { out: here("online") })?;
    ca::create(&session, &ca::Create { name: args.name.clone(), out: here("ca") })?;
    let mut responders = args.responders.clone();
    if responders.is_empty() {
        for number in 1..=2 {
            let out = here("responders").join(format!("responder-{number}.age"));
            responders.push(responder::run(&session, &responder::Responder { out })?);
        }
    }
    let online_public = here("online").join("online.pub.json");
    anchors::run(
        &session,
        &AnchorsArgs {
            online: online_public.clone(),
            device_cas: vec![here("ca").join("device-ca.pem")],
            server_cas: vec![here("ca").join("server-ca.pem")],
            next_online: None,
            responders,
            plan_approvers: Vec::new(),
            approvers: args.approvers.clone(),
            approver_threshold: args.approver_threshold,
            out: here("anchors.json"),
        },
    )?;
    let root = root(&session, args, &online_public)?;
    targets(&session, args, (&online_public, &root))?;
    Ok(())
}

fn check(args: &Ceremony) -> Result<(), StepError> {
    let empty = std::fs::read_dir(&args.out).map_or(true, |mut entries| entries.next().is_none());
    if !empty {
        let what = format!("expected --out to name a new folder, {} has files", args.out.display());
        return Err(StepError::misuse(what));
    }
    let mut names: Vec<_> = args.holders.iter().collect();
    names.sort();
    names.dedup();
    if names.len() != args.holders.len() {
        return Err(StepError::misuse("expected each holder once"));
    }
    if args.threshold == 0 || u64::try_from(names.len()).is_ok_and(|n| n < args.threshold) {
        let what = format!("expected a threshold of 1 to {}, got {}", names.len(), args.threshold);
        return Err(StepError::misuse(what));
    }
    Ok(())
}

fn root(session: &Session, args: &Ceremony, online: &Path) -> Result<PathBuf, StepError> {
    let out = args.out.join("signing/root.payload");
    payload::root(
        session,
        &payload::Root {
            holder_keys: publics(args),
            threshold: args.threshold,
            targets_keys: Vec::new(),
            targets_threshold: None,
            online: online.to_path_buf(),
            previous: None,
            expires_days: 365,
            out: out.clone(),
        },
    )?;
    signed(session, args, (&out, "root"), None)
}

fn targets(
    session: &Session,
    args: &Ceremony,
    trusted: (&Path, &Path),
) -> Result<PathBuf, StepError> {
    let (online, root) = trusted;
    let out = args.out.join("signing/targets.payload");
    let model = |model: &ModelName| ModelArg {
        model: model.clone(),
        keys: publics(args),
        threshold: args.threshold,
    };
    payload::targets(
        session,
        &payload::Targets {
            anchors: args.out.join("anchors.json"),
            models: args.models.iter().map(model).collect(),
            emergency: Some(TeamArg { keys: publics(args), threshold: args.threshold }),
            online: online.to_path_buf(),
            previous: None,
            expires_days: 180,
            out: out.clone(),
        },
    )?;
    signed(session, args, (&out, "targets"), Some(root))
}

/// As many holders as are needed sign, and the file is assembled.
fn signed(
    session: &Session,
    args: &Ceremony,
    payload: (&Path, &str),
    root: Option<&Path>,
) -> Result<PathBuf, StepError> {
    let (payload, role) = payload;
    let needed = usize::try_from(args.threshold).unwrap_or(usize::MAX);
    let mut signatures = Vec::new();
    for holder in args.holders.iter().take(needed) {
        let out = args.out.join(format!("signing/{role}.{holder}.sig"));
        let key = args.out.join(format!("holders/{holder}.key"));
        sign::run(
            session,
            &sign::Sign {
                payload: payload.to_path_buf(),
                key: format!("file:{}", key.display()).into(),
                previous: None,
                root: root.map(Path::to_path_buf),
                targets: None,
                images: Vec::new(),
                releases: Vec::new(),
                out: out.clone(),
            },
        )?;
        signatures.push(out);
    }
    assemble::run(
        session,
        &assemble::Assemble {
            payload: payload.to_path_buf(),
            signatures,
            root: root.map(Path::to_path_buf),
            targets: None,
            out_dir: args.out.join("metadata"),
        },
    )
}

fn publics(args: &Ceremony) -> Vec<PathBuf> {
    args.holders.iter().map(|holder| args.out.join(format!("holders/{holder}.pub"))).collect()
}
