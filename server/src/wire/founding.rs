//! What is done to a data folder that no server serves: its repository is founded, and the code of
//! an administrator is made. Printing is `main`'s.

use lazaret_protocol::operator::PublishReply;
use lazaret_protocol::time::Timestamp;

use crate::app::context::App;
use crate::app::error::AppError;
pub(crate) use crate::app::operators::BOOTSTRAP_MINUTES;
use crate::app::{audit, operators, publish};

/// Takes in the signed metadata of the first ceremony.
///
/// # Errors
/// There is a repository already, or what was given is not acceptable.
pub(crate) async fn found(
    app: &App,
    files: Vec<(String, Vec<u8>)>,
    anchors: Vec<u8>,
) -> Result<PublishReply, AppError> {
    let reply = publish::found(app, files, anchors).await?.into_reply();
    audit::enter_own(app, "init", "the repository is founded").await?;
    Ok(reply)
}

/// An administrator's one-time code, and when it lapses.
///
/// # Errors
/// The store fails, or there is no randomness.
pub(crate) async fn code(
    app: &App,
    minutes: u64,
    reason: &str,
) -> Result<(String, Timestamp), AppError> {
    // Entered first: a code that nobody reads about must not be.
    audit::enter_own(app, "bootstrap code", reason).await?;
    operators::prepare(app, minutes).await
}
