//! Readers of others: python-tuf's ngclient and tough's client, each fresh from the first root.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use lazaret_tests::http::{Connection, Credential, tls};
use lazaret_tests::programs;
use lazaret_tests::python_tuf;
use lazaret_tests::site::Site;
use serde_json::Value;
use tough::{
    RepositoryLoader, TargetName, Transport, TransportError, TransportErrorKind, TransportStream,
};
use url::Url;

/// Installs `target` with python-tuf, in the folder `state` (a fresh one is a fresh device).
pub(crate) fn python(site: &Site, state: &Path, target: &str) -> anyhow::Result<(Value, PathBuf)> {
    std::fs::create_dir_all(state)?;
    let out = state.join("installed");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("repo/install.py");
    let mut command = Command::new(python_tuf::python()?);
    command.arg(script).arg(format!("https://localhost:{}", site.operator_port));
    command.arg(site.folder.join("first.root.json")).arg(state);
    command.arg(site.keys().join("ca/server-ca.pem"));
    command.arg(site.folder.join("operators/ana.pem")).arg(site.folder.join("operators/ana.key"));
    command.arg(target).arg(&out);
    Ok((programs::json(&mut command)?, out))
}

/// Installs `target` with tough, and gives its bytes.
pub(crate) fn tough(site: &Site, target: &str) -> anyhow::Result<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let root = std::fs::read(site.folder.join("first.root.json"))?;
        let base = Url::parse("https://localhost/v1/repo/")?;
        let credential = Credential::operator(site, "ana")?;
        let connection = Connection::open(site.operator_port, &tls(site, Some(&credential))?)?;
        let transport = OverMutualTls(Arc::new(Mutex::new(connection)));
        let loader = RepositoryLoader::new(&root, base.join("metadata/")?, base.join("targets/")?);
        let repository = loader.transport(transport).load().await?;
        let stream = repository.read_target(&TargetName::new(target)?).await?;
        let mut stream = stream.context("tough finds no such target")?;
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk?);
        }
        ensure!(!bytes.is_empty(), "tough read nothing");
        Ok(bytes)
    })
}

/// tough has no client certificates of its own, and asks for `HASH.dir/file` where TUF says
/// `dir/HASH.file`: a foreign reader brings a transport for both.
#[derive(Clone)]
struct OverMutualTls(Arc<Mutex<Connection>>);

impl std::fmt::Debug for OverMutualTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OverMutualTls")
    }
}

#[async_trait]
impl Transport for OverMutualTls {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let answer = self.0.lock().unwrap().look(&as_tuf_has_it(url.path()));
        match answer {
            Ok(answer) if answer.status == 200 => {
                Ok(Box::pin(futures_util::stream::iter([Ok(answer.body.into())])))
            }
            Ok(answer) if answer.status == 404 => {
                Err(TransportError::new(TransportErrorKind::FileNotFound, url))
            }
            other => {
                let why = format!("{other:?}");
                Err(TransportError::new_with_cause(TransportErrorKind::Other, url, why))
            }
        }
    }
}

fn as_tuf_has_it(path: &str) -> String {
    let Some(target) = path.strip_prefix("/v1/repo/targets/") else { return path.to_owned() };
    let target = target.replace("%2F", "/");
    let (Some((hash, name)), Some(_)) = (target.split_once('.'), target.find('/')) else {
        return path.to_owned();
    };
    if hash.len() != 64 {
        return path.to_owned();
    }
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    format!("/v1/repo/targets/{folder}/{hash}.{file}")
}

/// Both readers, fresh from the first root, install `target` and get `image`.
pub(crate) fn both_install(site: &Site, label: &str, image: &[u8]) -> anyhow::Result<Value> {
    let state = site.folder.join("readers").join(label);
    let (said, installed) = python(site, &state, "gw2/1.0/image")?;
    ensure!(std::fs::read(&installed)? == image, "{label}: python-tuf installed something else");
    ensure!(tough(site, "gw2/1.0/image")? == image, "{label}: tough read something else");
    Ok(said)
}
