//! Devices: certificate plus registry, on every request. The one place that makes a [`DevicePeer`].

use lazaret_protocol::id::DeviceId;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::signed::DevicePeer;
use lazaret_protocol::time::Timestamp;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::quarantine;
pub(crate) use lazaret_server_domain::quarantine::Access;
use lazaret_server_domain::refused::Refused;
use lazaret_server_store::{Store, StoreError};

use super::certificate::PeerCertificate;

/// Why a device is not let in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DeviceRefused {
    /// A rule said no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A certificate that a newer one has taken the place of: somebody has a copy of it.
    #[error("{refused}")]
    Superseded {
        /// Whose it was.
        device: DeviceId,
        /// What the peer is told.
        refused: Refused,
    },
    /// The registry cannot be asked, so nobody is let in.
    #[error("registry cannot be asked")]
    Registry {
        /// What the store said.
        #[source]
        source: StoreError,
    },
}

/// Who is at the other end of a connection, provided that the registry lets them have `access` at
/// this moment.
///
/// # Errors
/// No certificate, an unknown or superseded one, an ended one, or quarantine.
pub(crate) async fn authenticate(
    store: &Store,
    certificate: Option<&PeerCertificate>,
    access: Access,
    now: Timestamp,
) -> Result<DevicePeer, DeviceRefused> {
    let refused = |why: &str| Refused::because(RefusalCode::Unauthenticated, why);
    let certificate =
        certificate.ok_or_else(|| refused("expected a device certificate, none was shown"))?;
    // The handshake checked the dates, but a connection may stay open for longer than a certificate
    // lives.
    if certificate.not_after <= now {
        return Err(refused("the device certificate has ended, renew it").into());
    }
    let id: DeviceId =
        certificate.common_name.parse().map_err(|_| refused("the certificate names no device"))?;
    let found = store.find::<Device>(id.as_str()).await;
    let found = found.map_err(|source| DeviceRefused::Registry { source })?;
    let device = found.value.ok_or_else(|| refused("the registry knows no such device"))?;
    if !device.certificates.contains(&certificate.fingerprint) {
        let refused = refused("the certificate was superseded by a newer one");
        return Err(DeviceRefused::Superseded { device: id, refused });
    }
    quarantine::allows(&device, access)?;
    Ok(DevicePeer::from_checked_certificate(id))
}
