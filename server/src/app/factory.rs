//! Makers of machines, and enrolment by the certificate that one of them has given. Which machines
//! each may speak for is the domain's to judge.

use std::sync::Arc;

use lazaret_protocol::enroll::EnrollReply;
use lazaret_protocol::id::SerialNumber;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::enroll as registry;
use lazaret_server_domain::factory::{self, Factory, FactoryCertificate, Showing, Shown, Used};
use lazaret_server_domain::inventory::Item;
use lazaret_server_domain::record::Found;
use lazaret_server_domain::refused::Refused;
use lazaret_server_store::Committed;

use super::context::{App, Claims};
use super::error::AppError;
use super::issue;

/// The makers that the settings name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Factories(pub(crate) Arc<[Factory]>);

impl Factories {
    /// One of them.
    pub(crate) fn named(&self, name: &str) -> Option<&Factory> {
        self.0.iter().find(|factory| factory.name == name)
    }
}

/// Enrols a machine by its factory certificate.
///
/// # Errors
/// The certificate or the CSR is refused; or the store.
pub(crate) async fn enroll(
    app: &App,
    shown: &FactoryCertificate,
    csr: &str,
) -> Result<Committed<EnrollReply>, AppError> {
    if app.claims == Claims::Refused {
        let why = "devices of this server enrol by what their TPM states, and by no certificate of \
                   a factory";
        return Err(Refused::because(RefusalCode::AttestationRequired, why).into());
    }
    let refused = |why: String| Refused::because(RefusalCode::FactoryRefused, why);
    let named = app.factories.named(&shown.factory);
    let maker = named.ok_or_else(|| refused(format!("there is no factory {}", shown.factory)))?;
    let serial: SerialNumber = shown.serial.parse().map_err(|_| {
        refused("expected a serial number in the subject of the factory certificate".to_owned())
    })?;
    app.decide(|| async {
        let now = app.now();
        let key = issue::public(&issue::checked_key(csr)?);
        let item: Found<Item> = app.store.find(serial.as_str()).await?;
        let used: Found<Used> = app.store.find(&shown.fingerprint.to_string()).await?;
        let name = item.value.as_ref().map_or("", |item| item.device.as_str());
        let device: Found<Device> = app.store.find(name).await?;
        let certificate = shown.fingerprint;
        let showing = Showing { serial: &serial, certificate, factory: maker, key: &key };
        let there = (device.value.as_ref(), used.value.as_ref());
        let (listed, again) = match factory::show(item.value.as_ref(), there, &showing, now) {
            Shown::Admitted(listed) => (listed, false),
            Shown::Again(listed) => (listed, true),
            Shown::Refused(refused) => return Err(refused.into()),
            Shown::Recorded(decision) => {
                return Err(app.store.commit(decision).await?.into_reply().into());
            }
        };
        let made = app.issuer.issue(&listed.device, csr, now)?;
        let reply = EnrollReply {
            device: listed.device.clone(),
            certificate_chain: made.chain,
            not_after: made.issued.ends,
        };
        let decision = match again {
            true => registry::renew(&device, made.issued, None, now)?,
            false => factory::enroll(listed, (&used, &device), (certificate, made.issued), now),
        };
        Ok(decision.resting_on(&item).with_reply(reply))
    })
    .await
}
