//! Enrolment over Secure Transport (RFC 7030, with RFC 8951's plain base64) on the devices' face,
//! so that stock clients get certificates too. It is another form of the same use cases as
//! `/v1/enroll` and `/v1/renew`: nothing is decided here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use lazaret_protocol::enroll::{EnrollReply, EnrollRequest, RenewRequest};
use lazaret_protocol::id::SerialNumber;
use lazaret_protocol::limits::ENROLL_BODY_BYTES_MAX;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::signed::DevicePeer;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use warp::reply::Response;
use yasna::models::ObjectIdentifier;

use super::reply;
use super::route::{Call, Gives, Handler, Route, responded};
use crate::app::enroll;
use crate::app::error::AppError;
use crate::app::factory;
use crate::identity::device::Access;

/// RFC 7030, 4.1.3 and 4.2.3.
const CERTIFICATES: &str = "application/pkcs7-mime; smime-type=certs-only";
/// RFC 7030, 4.5.2.
const ATTRIBUTES: &str = "application/csrattrs";

const TRANSFER_ENCODING: HeaderName = HeaderName::from_static("content-transfer-encoding");

/// Its routes.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/.well-known/est/cacerts", Handler::Open(|c| responded(ca_certificates(c))))
        .about("The CA that issues device certificates, and those up to its root (RFC 7030, 4.1)")
        .gives_other(Gives::Raw),
    Route::get("/.well-known/est/csrattrs", Handler::Open(|_| responded(attributes())))
        .about(
            "What a certificate request should have: a P-256 key and its signature (RFC 7030, 4.5)",
        )
        .gives_other(Gives::Raw),
    Route::post("/.well-known/est/simpleenroll", Handler::Open(|c| responded(enroll(c))))
        .about(
            "Enrol with the serial number as user and the claim as password, or with a factory \
             certificate (RFC 7030, 4.2.1)",
        )
        .takes_raw(ENROLL_BODY_BYTES_MAX)
        .gives_other(Gives::Raw),
    Route::post(
        "/.well-known/est/simplereenroll",
        Handler::Device(Access::Cure, |c, device| responded(renew(c, device))),
    )
    .about("Get a new certificate (RFC 7030, 4.2.2)")
    .takes_raw(ENROLL_BODY_BYTES_MAX)
    .gives_other(Gives::Raw),
];

async fn ca_certificates(call: Call) -> Result<Response, AppError> {
    Ok(encoded(&certificates_only(&certificates(&call.app.issuer.up_to_root())?), CERTIFICATES))
}

async fn attributes() -> Result<Response, AppError> {
    Ok(encoded(&wanted_attributes(), ATTRIBUTES))
}

async fn enroll(call: Call) -> Result<Response, AppError> {
    let Some((serial, claim)) = call.authorization.as_deref().and_then(user_and_password) else {
        return match &call.peer.2.factory {
            Some(shown) => {
                let enrolled = factory::enroll(&call.app, shown, &csr(&call.body)?).await?;
                issued(&enrolled.into_reply())
            }
            None => Ok(unauthenticated()),
        };
    };
    let serial: SerialNumber = serial.parse().map_err(|err| reply::bad(format!("{err}")))?;
    let request = EnrollRequest { serial, claim, csr: csr(&call.body)? };
    issued(&enroll::enroll(&call.app, &request).await?.into_reply())
}

async fn renew(call: Call, device: DevicePeer) -> Result<Response, AppError> {
    let shown = call.peer.0.as_ref().map(|certificate| certificate.fingerprint);
    let request = RenewRequest { csr: csr(&call.body)? };
    issued(&enroll::renew(&call.app, (&device, shown), &request).await?.into_reply())
}

/// The certificate that was issued, and no other (RFC 7030, 4.2.3).
fn issued(reply: &EnrollReply) -> Result<Response, AppError> {
    let mut chain = certificates(&reply.certificate_chain)?;
    chain.truncate(1);
    Ok(encoded(&certificates_only(&chain), CERTIFICATES))
}

/// Who has not said who they are, and how to.
fn unauthenticated() -> Response {
    let code = RefusalCode::Unauthenticated;
    let why = "expected the serial number as user and the claim as password, by HTTP Basic, or a \
               certificate of a factory that the server's settings name";
    let mut response = reply::refused(code, &code.because(why));
    let basic = HeaderValue::from_static("Basic realm=\"lazaret\", charset=\"UTF-8\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, basic);
    response
}

/// The header that carries user and password.
pub(super) const CREDENTIALS: HeaderName = AUTHORIZATION;

/// User and password of HTTP Basic (RFC 7617).
fn user_and_password(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (user, password) = credentials.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// The request in PEM, from the base64 of a body. Clients break lines where they like.
fn csr(body: &Bytes) -> Result<String, AppError> {
    let text: Vec<u8> = body.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let why = "expected a PKCS#10 request in base64 (RFC 7030, 4.2.1)";
    let der = STANDARD.decode(text).map_err(|_| reply::bad(why))?;
    let base64 = STANDARD.encode(der);
    let label = "CERTIFICATE REQUEST";
    Ok(format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n"))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, AppError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    // What we issued, and the CA that we loaded, are PEM.
    found.map_err(|err| reply::bad(format!("expected certificates in PEM: {err}")))
}

/// PKCS#7 SignedData without a signer (RFC 5652, 5; RFC 8551, 3.8: certs-only).
fn certificates_only(certificates: &[CertificateDer<'_>]) -> Vec<u8> {
    let data = ObjectIdentifier::from_slice(&[1, 2, 840, 113_549, 1, 7, 1]);
    let signed_data = ObjectIdentifier::from_slice(&[1, 2, 840, 113_549, 1, 7, 2]);
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_oid(&signed_data);
            writer.next().write_tagged(yasna::Tag::context(0), |writer| {
                writer.write_sequence(|writer| {
                    writer.next().write_u8(1);
                    writer.next().write_set(|_| {});
                    writer.next().write_sequence(|writer| writer.next().write_oid(&data));
                    writer.next().write_tagged_implicit(yasna::Tag::context(0), |writer| {
                        writer.write_set_of(|writer| {
                            for certificate in certificates {
                                writer.next().write_der(certificate);
                            }
                        });
                    });
                    writer.next().write_set(|_| {});
                });
            });
        });
    })
}

/// An elliptic curve key on P-256, and a signature with ECDSA and SHA-256 (RFC 7030, 4.5.2; RFC
/// 5480, 2.1.1; RFC 5758, 3.2).
fn wanted_attributes() -> Vec<u8> {
    let ec_public_key = ObjectIdentifier::from_slice(&[1, 2, 840, 10_045, 2, 1]);
    let ecdsa_with_sha256 = ObjectIdentifier::from_slice(&[1, 2, 840, 10_045, 4, 3, 2]);
    let p256 = ObjectIdentifier::from_slice(&[1, 2, 840, 10_045, 3, 1, 7]);
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&ec_public_key);
                writer.next().write_set(|writer| writer.next().write_oid(&p256));
            });
            writer.next().write_oid(&ecdsa_with_sha256);
        });
    })
}

fn encoded(der: &[u8], content_type: &'static str) -> Response {
    let mut response = Response::new(STANDARD.encode(der).into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("base64"));
    response
}

#[cfg(test)]
mod tests;
