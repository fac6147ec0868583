//! Sending an image piece by piece. The server's `uploaded` is the truth: after any doubt it is
//! asked again, so that an upload goes on where it was, on this connection or the next day.

use std::time::Duration;

use anyhow::Context as _;
use indicatif::ProgressBar;
use lazaret_protocol::operator::{ReleaseState, ReleaseView};
use lazaret_protocol::refusal::RefusalCode;

use super::create::Image;
use super::route;
use crate::client::{Client, ClientError};
use crate::output::Output;

/// The most that the server takes at once, in bytes (docs/PROTOCOL.md).
const PIECE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Tries without any progress before we give up, about half a minute.
const TRIES_MAX: u32 = 6;

/// Sends what the server does not have yet.
pub(super) fn upload(
    client: &Client,
    release: ReleaseView,
    image: &mut Image,
    output: Output,
) -> anyhow::Result<ReleaseView> {
    let bar = output.bytes_bar("uploading", image.length);
    // What was there before is not this connection's speed.
    bar.set_position(release.uploaded);
    bar.reset_eta();
    let mut sender = Sender { client, release, image, bar };
    let mut tries = 0;
    while sender.release.state == ReleaseState::Uploading {
        let before = sender.release.uploaded;
        let sent = sender.send_piece()?;
        let whole = sender.release.state != ReleaseState::Uploading;
        if whole || sender.release.uploaded > before {
            tries = 0;
            continue;
        }
        tries += 1;
        if tries >= TRIES_MAX {
            let context = format!("the upload does not get beyond byte {before}");
            return match sent {
                Ok(()) => Err(anyhow::anyhow!(context)),
                Err(err) => Err(err).context(context),
            };
        }
        std::thread::sleep(Duration::from_millis(500u64 << tries));
    }
    sender.bar.finish_and_clear();
    Ok(sender.release)
}

struct Sender<'a> {
    client: &'a Client,
    release: ReleaseView,
    image: &'a mut Image,
    bar: ProgressBar,
}

impl Sender<'_> {
    /// Sends the next piece. An error that may pass is handed back beside the caller's own, and the
    /// server has been asked where it stands.
    fn send_piece(&mut self) -> anyhow::Result<Result<(), ClientError>> {
        let route = route(&self.release.model, &self.release.version);
        let offset = self.release.uploaded;
        let piece = self.image.part(offset, PIECE_BYTES_MAX).context("cannot read the image")?;
        anyhow::ensure!(!piece.is_empty(), "the image became shorter while it was sent");
        let sent = self.client.put(&format!("{route}/image?offset={offset}"), &piece);
        let outcome = match sent {
            Ok(view) => {
                self.release = view;
                Ok(())
            }
            Err(err) if err.may_pass() || err.is(RefusalCode::Conflict) => {
                match self.client.get(&route) {
                    Ok(view) => self.release = view,
                    Err(again) if again.may_pass() => {}
                    Err(again) => return Err(again.into()),
                }
                Err(err)
            }
            Err(err) => return Err(err.into()),
        };
        self.bar.set_position(self.release.uploaded);
        Ok(outcome)
    }
}
