//! Which page of a list a request asks for.

use serde::Deserialize;

use super::route::Call;
use crate::app::error::AppError;
use crate::app::listing::PageRequest;

#[derive(Debug, Deserialize)]
struct PageQuery {
    after: Option<String>,
    limit: Option<usize>,
}

/// Which page.
///
/// # Errors
/// The limit is no number.
pub(super) fn page(call: &Call) -> Result<PageRequest, AppError> {
    let PageQuery { after, limit } = call.query()?;
    Ok(PageRequest { after, limit })
}
