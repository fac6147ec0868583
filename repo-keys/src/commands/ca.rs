//! `ca create|server-cert|operator`: the certificate authority.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::Role;
use lazaret_repo_keys_signing::durable::{self, Access};
use lazaret_repo_keys_signing::key::{KeyFile, encrypt_pkcs8};

use crate::authority::{self, Authority, Issued, Issuing};
use crate::error::{Rule, StepError};
use crate::session::{Purpose, Session, Step};

/// The certificate authority.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an authority: a root, and issuing CAs for devices, operators and servers.
    #[command(after_help = "\
Example:
  lazaret-keys ca create --name Acme --out ca

root-ca.key is encrypted with a passphrase and stays offline. device-ca.pem and device-ca.key go
to the server, which issues device certificates. The other keys stay with whoever issues
certificates for operators and servers.")]
    Create(Create),
    /// Issue a server's TLS certificate.
    #[command(after_help = "\
Example:
  lazaret-keys ca server-cert --ca ca --name updates.acme.example --ip 192.0.2.7 --days 90 \\
      --out tls")]
    ServerCert(ServerCert),
    /// Issue an operator's certificate with roles.
    #[command(after_help = "\
Example:
  lazaret-keys ca operator --ca ca --name ana --roles operator,responder --days 30 --out operators

Roles: viewer, operator, release-manager, incident-commander, responder, auditor, admin.")]
    Operator(Operator),
}

/// See [`Command::Create`].
#[derive(Debug, Args)]
pub struct Create {
    /// The organisation; its CAs are called `Acme Root CA`, `Acme Device CA` and so on.
    #[arg(long)]
    pub name: String,
    /// The folder to make.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// See [`Command::ServerCert`].
#[derive(Debug, Args)]
pub struct ServerCert {
    /// The folder that `ca create` made.
    #[arg(long, value_name = "DIR")]
    pub ca: PathBuf,
    /// A host name of the server; give it once for each.
    #[arg(long = "name", value_name = "HOST")]
    pub names: Vec<String>,
    /// An address of the server; give it once for each.
    #[arg(long = "ip", value_name = "ADDRESS")]
    pub addresses: Vec<IpAddr>,
    /// Its life.
    #[arg(long, default_value_t = 90)]
    pub days: u64,
    /// The folder for server.pem and server.key.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// See [`Command::Operator`].
#[derive(Debug, Args)]
pub struct Operator {
    /// The folder that `ca create` made.
    #[arg(long, value_name = "DIR")]
    pub ca: PathBuf,
    /// The operator.
    #[arg(long)]
    pub name: OperatorName,
    /// What the operator may do.
    #[arg(long, value_name = "ROLE,ROLE", value_delimiter = ',', required = true)]
    #[arg(value_parser = role)]
    pub roles: Vec<Role>,
    /// Its life.
    #[arg(long, default_value_t = 30)]
    pub days: u64,
    /// The folder for NAME.pem and NAME.key.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

fn role(text: &str) -> Result<Role, String> {
    let all = || Role::ALL.map(Role::as_str).join(", ");
    Role::ALL
        .into_iter()
        .find(|role| role.as_str() == text)
        .ok_or_else(|| format!("expected one of {}", all()))
}

/// Runs one of them.
///
/// # Errors
/// A certificate cannot be made, or a file cannot be used.
pub fn run(session: &Session, command: &Command) -> Result<(), StepError> {
    match command {
        Command::Create(args) => create(session, args),
        Command::ServerCert(args) => server_cert(session, args),
        Command::Operator(args) => operator(session, args),
    }
}

/// Makes the authority's folder, whole or not at all.
///
/// # Errors
/// The folder is not empty, or the passphrase is not taken.
pub fn create(session: &Session, args: &Create) -> Result<(), StepError> {
    let passphrase = session.passphrase("the new root CA", Purpose::Protect)?;
    let (root, issuing) = authority::create(&args.name, session.now)?;
    let root_key = encrypt_pkcs8(root.key.serialized_der(), &passphrase)?;
    let keys = issuing.each_ref().map(|issued| issued.key.serialize_pem());
    let mut named = vec![
        ("root-ca.pem".to_owned(), root.chain_pem.as_bytes(), Access::Public),
        ("root-ca.key".to_owned(), root_key.as_bytes(), Access::Private),
    ];
    for ((kind, issued), key) in Issuing::ALL.into_iter().zip(&issuing).zip(&keys) {
        let stem = kind.stem();
        named.push((format!("{stem}.pem"), issued.chain_pem.as_bytes(), Access::Public));
        named.push((format!("{stem}.key"), key.as_bytes(), Access::Private));
    }
    let files: Vec<(&str, &[u8], Access)> =
        named.iter().map(|(name, bytes, access)| (name.as_str(), *bytes, *access)).collect();
    durable::write_folder(&args.out, &files)?;

    let mut step = session.begin("ca create");
    step.say(format!("{} Root CA; its key is encrypted and stays offline", args.name));
    step.say("issuing CAs below it for devices, operators and servers");
    step.beside(&args.out);
    for (name, bytes, access) in &named {
        if *access == Access::Public {
            step.note_written(&args.out.join(name), bytes);
        }
    }
    session.finish(step)?;
    Ok(())
}

/// Issues a server certificate.
///
/// # Errors
/// No name, or the CA cannot be used.
pub fn server_cert(session: &Session, args: &ServerCert) -> Result<(), StepError> {
    if args.names.is_empty() && args.addresses.is_empty() {
        return Err(StepError::misuse("expected at least one --name HOST or --ip ADDRESS"));
    }
    let mut step = session.begin("ca server-cert");
    let ca = open(session, &mut step, &args.ca, Issuing::Servers)?;
    let issued = ca.server(&args.names, &args.addresses, args.days, session.now)?;
    let addresses = args.addresses.iter().map(IpAddr::to_string);
    let all: Vec<String> = args.names.iter().cloned().chain(addresses).collect();
    step.say(format!("server certificate for {}, {} days", all.join(", "), args.days));
    write_leaf(session, step, (&args.out, "server"), &issued)
}

/// Issues an operator certificate.
///
/// # Errors
/// The CA cannot be used.
pub fn operator(session: &Session, args: &Operator) -> Result<(), StepError> {
    let mut step = session.begin("ca operator");
    let ca = open(session, &mut step, &args.ca, Issuing::Operators)?;
    let issued = ca.operator(&args.name, &args.roles, args.days, session.now)?;
    let roles: Vec<&str> = args.roles.iter().map(|role| role.as_str()).collect();
    step.say(format!("operator {} as {}, {} days", args.name, roles.join(", "), args.days));
    write_leaf(session, step, (&args.out, args.name.as_str()), &issued)
}

fn open(
    session: &Session,
    step: &mut Step,
    folder: &Path,
    kind: Issuing,
) -> Result<Authority, StepError> {
    let certificate = step.read(&folder.join(format!("{}.pem", kind.stem())))?;
    let certificate = String::from_utf8(certificate)
        .map_err(|_| StepError::refused(Rule::WrongFile, "expected a CA certificate in PEM"))?;
    let path = folder.join(format!("{}.key", kind.stem()));
    let file = KeyFile::read(&path)?;
    let passphrase = match &file {
        KeyFile::Clear(_) => None,
        KeyFile::Encrypted(_) | KeyFile::Sealed(_) => {
            Some(session.passphrase(&path.display().to_string(), Purpose::Open)?)
        }
    };
    let der = file.open(&path, passphrase.as_ref())?;
    Ok(Authority::open(&certificate, der.as_bytes())?)
}

/// The key first: a certificate without its key is useless, a key without a certificate harmless.
fn write_leaf(
    session: &Session,
    mut step: Step,
    place: (&Path, &str),
    issued: &Issued,
) -> Result<(), StepError> {
    let (folder, stem) = place;
    let key = folder.join(format!("{stem}.key"));
    let certificate = folder.join(format!("{stem}.pem"));
    durable::write_new(&key, issued.key.serialize_pem().as_bytes(), Access::Private)?;
    step.beside(folder);
    step.write(&certificate, issued.chain_pem.as_bytes())?;
    step.say(format!("private key in {}, mode 0600", key.display()));
    session.finish(step)?;
    Ok(())
}
