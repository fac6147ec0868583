//! `lazaret release ...`: the table of its commands, and how a release is shown.

use clap::Subcommand;
use lazaret_protocol::id::{ModelName, VersionName};
use lazaret_protocol::operator::ReleaseView;

use super::Session;
use crate::output;

mod create;
mod export;
mod fetch_metadata;
mod list;
mod publish;
mod sbom;
mod show;
mod upload;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Upload an image and have its deltas made
    Create(create::Args),
    /// Write a release into one file for devices without a network
    Export(export::Args),
    /// List releases
    List(list::Args),
    /// Show one release
    Show(show::Args),
    /// Say what is in a release: its bill of materials
    Sbom(sbom::Args),
    /// Fetch the signed metadata that release signers build on
    FetchMetadata(fetch_metadata::Args),
    /// Hand in metadata that the signers have signed, and activate it
    Publish(publish::Args),
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::Create(args) => create::run(args, session),
            Self::Export(args) => export::run(&args, session),
            Self::List(args) => list::run(args, session),
            Self::Show(args) => show::run(&args, session),
            Self::Sbom(args) => sbom::run(&args, session),
            Self::FetchMetadata(args) => fetch_metadata::run(&args, session),
            Self::Publish(args) => publish::run(&args, session),
        }
    }
}

/// The route of a release.
fn route(model: &ModelName, version: &VersionName) -> String {
    format!("/v1/releases/{model}/{version}")
}

fn in_words(release: &ReleaseView) -> String {
    let counter = release.counter.map_or_else(|| "not signed yet".to_owned(), |n| n.to_string());
    let mut text = output::facts(&[
        ("model", release.model.to_string()),
        ("version", release.version.to_string()),
        ("state", output::word(&release.state)),
        ("sha256", release.sha256.to_string()),
        ("length", format!("{} ({} bytes)", output::bytes(release.length), release.length)),
        ("uploaded", output::percent(release.uploaded, release.length)),
        ("counter", counter),
        ("created by", release.created_by.to_string()),
    ]);
    if !release.deltas.is_empty() {
        let rows = release.deltas.iter().map(|delta| {
            vec![
                delta.base.to_string(),
                output::bytes(delta.length),
                output::drawn(delta.length, release.length, 20),
                output::percent(delta.length, release.length),
            ]
        });
        let columns = ["delta from", "size>", "against the image", "of it>"];
        text.push_str(&output::table(&columns, rows));
        text.push('\n');
    }
    if !release.deltas_pending.is_empty() {
        text.push_str(&format!("deltas still to be made from: {}\n", pending(release)));
    }
    text
}

fn pending(release: &ReleaseView) -> String {
    let bases: Vec<&str> = release.deltas_pending.iter().map(VersionName::as_str).collect();
    bases.join(", ")
}
