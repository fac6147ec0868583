//! `lazaret login`: a one-time code, or the certificate that is about to end, becomes a
//! certificate. The key is made here and never leaves this machine.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::{
    BOOTSTRAP_PREFIX, OperatorCertificate, RenewOperatorRequest, SignInRequest,
};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use serde::Serialize;

use super::Session;
use crate::client::Client;
use crate::durable::{self, Existing};
use crate::words::Misuse;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The first administrator's code is printed by `lazaret-server init` (or `lazaret-server bootstrap`);
everybody else's by `lazaret operator add`. The code is used up by it. There is no password: whoever
has the key file is you, so it is readable by you alone.

With --renew the certificate of your settings is replaced before it ends, with a new key.

Example:
  lazaret login --at https://lazaret.example:8445 --server-ca server-ca.pem --name ana \\
      --code-file code.txt --out ~/.config/lazaret
  lazaret login --renew")]
pub(crate) struct Args {
    /// Address of the server's sign-in listener
    #[arg(long, value_name = "URL", required_unless_present = "renew")]
    at: Option<String>,
    /// Who you are; as the first administrator, who you want to be
    #[arg(long, value_name = "NAME", required_unless_present = "renew")]
    name: Option<OperatorName>,
    /// The one-time code
    #[arg(long, value_name = "CODE", conflicts_with = "code_file")]
    code: Option<String>,
    /// A file with the one-time code, so that it stands in no list of processes
    #[arg(long, value_name = "FILE")]
    code_file: Option<PathBuf>,
    /// The folder for NAME.key.pem, NAME.pem and cli.toml
    #[arg(long, value_name = "DIR", required_unless_present = "renew")]
    out: Option<PathBuf>,
    /// Get your next certificate instead, with the one that you have
    #[arg(long, conflicts_with_all = ["at", "name", "code", "code_file", "out"])]
    renew: bool,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Answer {
    name: OperatorName,
    certificate: PathBuf,
    key: PathBuf,
    /// The settings, where they were written: those that are there are left alone.
    settings: Option<PathBuf>,
    not_after: lazaret_protocol::time::Timestamp,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let answer = if args.renew { renew(session)? } else { log_in(args, session)? };
    session.output.show(&answer, |answer| {
        let mut text = format!(
            "{} has a certificate until {}\n  {}\n  {}\n",
            answer.name,
            answer.not_after,
            answer.certificate.display(),
            answer.key.display()
        );
        if let Some(settings) = &answer.settings {
            text += &format!("settings in {}\n", settings.display());
        }
        text
    })
}

fn log_in(args: Args, session: &Session) -> anyhow::Result<Answer> {
    let missing = |what| Misuse::Missing { what };
    let at = args.at.ok_or_else(|| missing("--at URL"))?;
    let name = args.name.ok_or_else(|| missing("--name NAME"))?;
    let out = args.out.ok_or_else(|| missing("--out DIR"))?;
    let code = match (args.code, args.code_file) {
        (Some(code), _) => code,
        (None, Some(path)) => {
            let bytes = crate::client::pem_bytes(&path)?;
            String::from_utf8(bytes).with_context(|| format!("{} is no text", path.display()))?
        }
        (None, None) => return Err(missing("--code CODE or --code-file FILE").into()),
    };
    let code = code.trim().to_owned();
    let (key_path, certificate_path) =
        (out.join(format!("{name}.key.pem")), out.join(format!("{name}.pem")));
    for path in [&key_path, &certificate_path] {
        if path.symlink_metadata().is_ok() {
            return Err(Misuse::Exists { path: path.clone() }.into());
        }
    }
    let server_ca = session.options.server_ca()?;
    let client = Client::stranger(&at, &server_ca)?;
    std::fs::create_dir_all(&out)
        .with_context(|| format!("cannot make the folder {}", out.display()))?;
    let (key, csr) = key_and_request()?;
    // The key is on the disk before the code is used up: a certificate without its key is lost.
    durable::write(&key_path, key.as_bytes(), Existing::Keep)?;
    let path = match code.starts_with(BOOTSTRAP_PREFIX) {
        true => "/v1/sign-in/bootstrap",
        false => "/v1/sign-in/invitation",
    };
    let request = SignInRequest { code, name, csr };
    let made: OperatorCertificate = match client.post(path, &request) {
        Ok(made) => made,
        Err(err) => {
            // Nothing was certified, so that the key is of no use, and in the way of another try.
            if err.is_refusal() {
                let _ = std::fs::remove_file(&key_path);
            }
            return Err(err.into());
        }
    };
    durable::write(&certificate_path, made.certificate_chain.as_bytes(), Existing::Keep)?;
    let settings = settings(&out, (&at, &server_ca), &made)?;
    Ok(Answer {
        name: made.name,
        certificate: certificate_path,
        key: key_path,
        settings,
        not_after: made.not_after,
    })
}

/// Writes the settings where there are none.
fn settings(
    out: &Path,
    (at, server_ca): (&str, &Path),
    made: &OperatorCertificate,
) -> anyhow::Result<Option<PathBuf>> {
    let path = out.join("cli.toml");
    if path.symlink_metadata().is_ok() {
        return Ok(None);
    }
    let server_ca = std::path::absolute(server_ca)?;
    let host = at.trim_end_matches('/').rsplit_once(':').filter(|(host, _)| host.len() > 6);
    let host = host.map_or(at, |(host, _)| host);
    let text = format!(
        "server = \"{host}:{}\"\nserver_ca = {:?}\ncertificate = \"{name}.pem\"\nkey = \
         \"{name}.key.pem\"\n",
        made.operator_port,
        server_ca.display().to_string(),
        name = made.name
    );
    durable::write(&path, text.as_bytes(), Existing::Keep)?;
    Ok(Some(path))
}

fn renew(session: &Session) -> anyhow::Result<Answer> {
    let settings = session.options.settings()?;
    let crate::settings::Credential::Certificate { certificate, key } = &settings.credential else {
        return Err(Misuse::Missing { what: "a certificate in the settings, not a token" }.into());
    };
    let (new_key, csr) = key_and_request()?;
    // Beside the old one until the certificate is there: the two files are changed one after the
    // other, and a key without its certificate could not even ask again.
    let waiting = key.with_extension("next.pem");
    durable::write(&waiting, new_key.as_bytes(), Existing::Replace)?;
    let made: OperatorCertificate =
        session.client()?.post("/v1/operators/renew", &RenewOperatorRequest { csr })?;
    let old = certificate.with_extension("old.pem");
    durable::write(&old, &crate::client::pem_bytes(certificate)?, Existing::Replace)?;
    durable::write(certificate, made.certificate_chain.as_bytes(), Existing::Replace)?;
    std::fs::rename(&waiting, key)
        .with_context(|| format!("cannot put {} in its place", key.display()))?;
    Ok(Answer {
        name: made.name,
        certificate: certificate.clone(),
        key: key.clone(),
        settings: None,
        not_after: made.not_after,
    })
}

fn key_and_request() -> anyhow::Result<(String, String)> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("no key can be made")?;
    let request = CertificateParams::default().serialize_request(&key)?.pem()?;
    Ok((key.serialize_pem(), request))
}
