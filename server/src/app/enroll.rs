//! A machine shows its claim and becomes a device; a device renews its certificate.

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::enroll::{EnrollReply, EnrollRequest, RenewRequest};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::signed::DevicePeer;
use lazaret_server_domain::claim::Claim;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::enroll::{self, Showing, Shown};
use lazaret_server_domain::inventory::Item;
use lazaret_server_domain::record::Found;
use lazaret_server_domain::refused::Refused;
use lazaret_server_store::Committed;

use super::context::{App, Claims};
use super::error::AppError;
use super::issue;

/// Enrols a machine.
///
/// # Errors
/// The claim or the CSR is refused; or the store.
pub(crate) async fn enroll(
    app: &App,
    request: &EnrollRequest,
) -> Result<Committed<EnrollReply>, AppError> {
    if app.claims == Claims::Refused {
        let why = "devices of this server enrol by what their TPM states, and by no claim";
        return Err(Refused::because(RefusalCode::AttestationRequired, why).into());
    }
    let secret = Sha256Digest::of(request.claim.as_bytes());
    app.decide(|| async {
        let now = app.now();
        let key = issue::checked_key(&request.csr)?;
        let mut claim: Found<Claim> = app.store.find(request.serial.as_str()).await?;
        let item: Found<Item> = app.store.find(request.serial.as_str()).await?;
        if claim.value.is_none() {
            // A claim of the inventory becomes one of the registry when it is used.
            claim.value = item.value.as_ref().and_then(Item::as_claim);
        }
        // Where there is no claim, there is nothing that could name a device.
        let named = claim.value.as_ref().map_or(request.serial.as_str(), |c| c.device.as_str());
        let device: Found<Device> = app.store.find(named).await?;
        let showing = Showing { serial: &request.serial, secret, key: &issue::public(&key) };
        let (admitted, again) = match enroll::show(&claim, device.value.as_ref(), &showing, now) {
            Shown::Admitted(admitted) => (admitted, false),
            Shown::Again(admitted) => (admitted, true),
            Shown::Refused(refused) => return Err(refused.into()),
            Shown::Recorded(decision) => {
                let recorded = app.store.commit(decision).await?;
                return Err(recorded.into_reply().into());
            }
        };
        let made = app.issuer.issue(admitted.device(), &request.csr, now)?;
        let reply = EnrollReply {
            device: admitted.device().clone(),
            certificate_chain: made.chain,
            not_after: made.issued.ends,
        };
        let decision = if again {
            enroll::renew(&device, made.issued, None, now)?
        } else {
            let listed = item.value.as_ref();
            enroll::enroll(&admitted, (&claim, &device), (made.issued, listed), now)?
        };
        Ok(decision.resting_on(&item).with_reply(reply))
    })
    .await
}

/// Renews a device's certificate.
///
/// # Errors
/// The CSR is refused; or the store.
pub(crate) async fn renew(
    app: &App,
    (peer, shown): (&DevicePeer, Option<Sha256Digest>),
    request: &RenewRequest,
) -> Result<Committed<EnrollReply>, AppError> {
    app.decide(|| async {
        let now = app.now();
        let device: Found<Device> = app.store.find(peer.device().as_str()).await?;
        let made = app.issuer.issue(peer.device(), &request.csr, now)?;
        let reply = EnrollReply {
            device: peer.device().clone(),
            certificate_chain: made.chain,
            not_after: made.issued.ends,
        };
        Ok(enroll::renew(&device, made.issued, shown, now)?.with_reply(reply))
    })
    .await
}
