//! `anchors`: what devices trust beside TUF, as one file that the targets role signs.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use lazaret_protocol::anchors::{Anchors, Approver};
use lazaret_protocol::id::OperatorName;
use lazaret_protocol::release::{ApproverEntry, Approvers};
use lazaret_protocol::sshsig::{NAMESPACE_PLAN, SshKey};
use lazaret_protocol_evidence::age::Recipient;
use lazaret_repo_keys_signing::OnlinePublic;
use x509_parser::pem::Pem;

use crate::error::{Rule, StepError};
use crate::session::{Session, Step};

/// CA files of one kind.
const CAS_MAX: usize = 8;

/// See [`crate::cli::Command::Anchors`].
#[derive(Debug, Args)]
pub struct AnchorsArgs {
    /// The server's public keys; devices will take orders from its order key, and auditors believe
    /// its audit key.
    #[arg(long, value_name = "online.pub.json")]
    pub online: PathBuf,
    /// CA certificates that device certificates chain to.
    #[arg(long = "ca", value_name = "PEM", required = true, value_delimiter = ',')]
    pub device_cas: Vec<PathBuf>,
    /// CA certificates that servers may present.
    #[arg(long = "server-ca", value_name = "PEM", required = true, value_delimiter = ',')]
    pub server_cas: Vec<PathBuf>,
    /// The next order and audit keys, where a rotation is prepared.
    #[arg(long, value_name = "online.pub.json")]
    pub next_online: Option<PathBuf>,
    /// Age recipients (age1...) of responders: devices encrypt evidence to all of them, and collect
    /// none without one. Two at least, so that the loss of one key is no disaster.
    #[arg(long = "responder", value_name = "AGE1...", value_delimiter = ',')]
    pub responders: Vec<Recipient>,
    /// Who may approve plans: the operator's name and a file with their public SSH key. Give it
    /// once for each key. Where none is given, servers go by the keys that operators entered there.
    #[arg(long = "plan-approver", value_name = "NAME=KEY.pub")]
    pub plan_approvers: Vec<ApproverFile>,
    /// Who may set devices free from quarantine: a name, an equals sign and the file of their SSH
    /// public key (one line). Give it once for each key; one person may have several.
    #[arg(long = "approver", value_name = "NAME=KEY.pub")]
    pub approvers: Vec<ApproverFile>,
    /// How many different approvers must sign to set devices free.
    #[arg(long, value_name = "K", default_value_t = 2)]
    pub approver_threshold: u64,
    /// Where the anchors go.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// An operator's name and a file with their public SSH key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproverFile {
    name: OperatorName,
    path: PathBuf,
}

impl FromStr for ApproverFile {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("expected NAME=FILE such as ana=ana.pub, got {text:?}");
        let (name, path) =
            text.split_once('=').filter(|(_, path)| !path.is_empty()).ok_or_else(form)?;
        Ok(Self { name: name.parse().map_err(|_| form())?, path: path.into() })
    }
}

/// What the anchors say of one approver.
pub(super) fn in_words(approver: &Approver) -> String {
    format!(
        "{} approves with key {} ({})",
        approver.operator,
        approver.key.fingerprint(),
        approver.namespaces.join(", ")
    )
}

/// Writes the anchors.
///
/// # Errors
/// A file is not what it should be.
pub fn run(session: &Session, args: &AnchorsArgs) -> Result<(), StepError> {
    let mut step = session.begin("anchors");
    let mut order_keys = Vec::new();
    let mut audit_keys = Vec::new();
    for path in [Some(&args.online), args.next_online.as_ref()].into_iter().flatten() {
        let online: OnlinePublic = step.read_json(path, "the server's public keys")?;
        step.say(format!("orders are signed by key {}", online.orders.key_id()));
        order_keys.push(online.orders);
        // The file of an older server has none.
        if let Some(audit) = online.audit {
            step.say(format!("the audit log is signed by key {}", audit.key_id()));
            audit_keys.push(audit);
        }
    }
    for recipient in &args.responders {
        step.say(format!("evidence is encrypted to {recipient}"));
    }
    match args.responders.len() {
        0 => session.warn("no --responder: devices with these anchors collect no evidence"),
        1 => session.warn("one --responder: all evidence is lost with that one key"),
        _ => {}
    }
    let anchors = Anchors {
        version: 1,
        order_keys,
        server_cas: read_cas(&mut step, &args.server_cas)?,
        device_cas: read_cas(&mut step, &args.device_cas)?,
        audit_keys,
        responders: args.responders.iter().map(ToString::to_string).collect(),
        plan_approvers: read_plan_approvers(&mut step, &args.plan_approvers)?,
        approvers: read_approvers(session, &mut step, args)?,
    };
    // Compact JSON in the order of the type's fields, and not OLPC canonical JSON, which writes the
    // line ends within a PEM as they are and so is no JSON. What signs this file is its hash in
    // targets.
    let bytes = serde_json::to_vec(&anchors).map_err(|source| StepError::Json {
        expected: "anchors",
        path: args.out.clone(),
        source,
    })?;
    // The strict reader of devices is asked before anybody signs.
    Anchors::parse(&bytes)?;
    step.write(&args.out, &bytes)?;
    session.finish(step)?;
    Ok(())
}

fn read_plan_approvers(
    step: &mut Step,
    files: &[ApproverFile],
) -> Result<Vec<Approver>, StepError> {
    let mut approvers: Vec<Approver> = Vec::new();
    for file in files {
        let bytes = step.read(&file.path)?;
        let refused = |why: String| {
            let what = format!(
                "expected one public SSH key of {} in {}, {why}",
                file.name,
                file.path.display()
            );
            StepError::refused(Rule::WrongFile, what)
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| refused("got no text".to_owned()))?;
        let key: SshKey = text.trim().parse().map_err(|err| refused(format!("{err}")))?;
        // One key of two names would let one person be two.
        if let Some(other) = approvers.iter().find(|other| other.key == key) {
            return Err(refused(format!("got the key of {}", other.operator)));
        }
        let namespaces = vec![NAMESPACE_PLAN.to_owned()];
        let approver = Approver { operator: file.name.clone(), key, namespaces };
        step.say(in_words(&approver));
        approvers.push(approver);
    }
    Ok(approvers)
}

fn read_approvers(
    session: &Session,
    step: &mut Step,
    args: &AnchorsArgs,
) -> Result<Option<Approvers>, StepError> {
    if args.approvers.is_empty() {
        session.warn("no --approver: nobody can set devices with these anchors free again");
        return Ok(None);
    }
    let mut keys = Vec::new();
    for ApproverFile { name, path } in &args.approvers {
        let bytes = step.read(path)?;
        let refused = || {
            let what = format!("expected one SSH public key in {}", path.display());
            StepError::refused(Rule::WrongFile, what)
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| refused())?;
        let key: SshKey = text.trim().parse().map_err(|_| refused())?;
        step.say(format!("{name} may release from quarantine with {}", key.fingerprint()));
        keys.push(ApproverEntry { name: name.clone(), key });
    }
    if args.approver_threshold == 1 {
        session.warn("a threshold of 1: any one approver sets devices free alone");
    }
    step.say(format!("{} different approvers must sign", args.approver_threshold));
    Ok(Some(Approvers { threshold: args.approver_threshold, keys }))
}

fn read_cas(step: &mut Step, paths: &[PathBuf]) -> Result<Vec<String>, StepError> {
    if paths.len() > CAS_MAX {
        let what = format!("expected at most {CAS_MAX} CA files, got {}", paths.len());
        return Err(StepError::misuse(what));
    }
    let mut cas = Vec::new();
    for path in paths {
        let bytes = step.read(path)?;
        let refused = || {
            let what = format!("expected one CA certificate in PEM in {}", path.display());
            StepError::refused(Rule::WrongFile, what)
        };
        let found: Vec<Pem> =
            Pem::iter_from_buffer(&bytes).collect::<Result<_, _>>().map_err(|_| refused())?;
        let [pem] = found.as_slice() else {
            return Err(refused());
        };
        let certificate = pem.parse_x509().map_err(|_| refused())?;
        if !certificate.is_ca() {
            return Err(refused());
        }
        step.say(format!("trusts {}", certificate.subject()));
        cas.push(String::from_utf8(bytes.clone()).map_err(|_| refused())?);
    }
    Ok(cas)
}
