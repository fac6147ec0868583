//! The face for those who have no certificate: one-time codes become certificates here, and service
//! tokens are taken on every route of operators.

use lazaret_protocol::operator::{OperatorCertificate, SignInRequest};
use lazaret_server_store::Committed;

use super::openapi::describe;
use super::route::{Call, Handler, Route, committed};
use super::router::Table;
use crate::app::error::AppError;
use crate::app::operators;

/// Largest request, in bytes: a code, a name and a CSR.
const BODY_BYTES_MAX: u64 = 16 * 1024;

/// What is here and nowhere else.
pub(crate) const ROUTES: Table = &[CODES];

/// Whether strangers may ask for this path: its route takes a one-time code.
pub(crate) fn is_open(path: &str) -> bool {
    CODES.iter().any(|route| route.matches(path).is_some())
}

const CODES: &[Route] = &[
    Route::post("/v1/sign-in/bootstrap", Handler::Open(|c| committed(bootstrap(c))))
        .about("Become the first administrator with the code that the server's own program gave")
        .takes(BODY_BYTES_MAX, describe::<SignInRequest>)
        .gives(describe::<OperatorCertificate>),
    Route::post("/v1/sign-in/invitation", Handler::Open(|c| committed(redeem(c))))
        .about("Fetch a certificate with the code of an invitation")
        .takes(BODY_BYTES_MAX, describe::<SignInRequest>)
        .gives(describe::<OperatorCertificate>),
];

async fn bootstrap(call: Call) -> Result<Committed<OperatorCertificate>, AppError> {
    operators::bootstrap(&call.app, &call.message::<SignInRequest>()?).await
}

async fn redeem(call: Call) -> Result<Committed<OperatorCertificate>, AppError> {
    operators::redeem(&call.app, &call.message::<SignInRequest>()?).await
}
