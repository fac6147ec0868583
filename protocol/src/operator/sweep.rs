//! What operators say and see of bills of materials, advisories and sweeps.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::id::{DeviceId, ModelName, OperatorName, VersionName};
use crate::time::Timestamp;

/// Largest bill of materials or advisory as a file, in bytes.
pub const SWEEP_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A bill of materials, as it was taken in.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillView {
    /// The hardware model.
    pub model: ModelName,
    /// The version.
    pub version: VersionName,
    /// The image that it is of.
    pub image: Sha256Digest,
    /// The format it came in.
    pub format: String,
    /// Digest of the file.
    pub file: Sha256Digest,
    /// Components in it.
    pub components: u64,
    /// Of them, with a version.
    pub versioned: u64,
    /// Of them, with a SHA-256.
    pub hashed: u64,
    /// Who imported it.
    pub by: OperatorName,
    /// When.
    pub at: Timestamp,
}

/// An advisory, as it was taken in.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvisoryView {
    /// Its identifier.
    pub id: String,
    /// Other identifiers of the same.
    pub aliases: Vec<String>,
    /// What it is.
    pub summary: String,
    /// The format it came in.
    pub format: String,
    /// What is affected, in words.
    pub affected: Vec<String>,
    /// Statements in it that cannot be followed.
    pub not_followed: u64,
    /// Who imported it.
    pub by: OperatorName,
    /// When.
    pub at: Timestamp,
}

/// Who is affected: at most one of component, advisory and file; and a filter, which stands for
/// itself or narrows the other.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepQuery {
    /// A component, such as `openssl>=3.0,<3.0.14` or `pkg:deb/debian/zlib1g<1:1.3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// An advisory that was imported, by its identifier or an alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advisory: Option<String>,
    /// A file, or an image, by SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Sha256Digest>,
    /// A filter over devices, as in their list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// `POST /v1/sweeps`: asks.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepRequest {
    /// What.
    pub query: SweepQuery,
    /// The label whose values are counted; `site` where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Name so many of the affected, at most 100,000.
    #[serde(default)]
    pub devices: u64,
}

/// What the fleet answers. `affected`, `unknown` and `unaffected` add up to `fleet`.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepView {
    /// What was asked, in words.
    pub asked: String,
    /// Devices in service that the filter leaves.
    pub fleet: u64,
    /// Affected ones.
    pub affected: u64,
    /// Those of which nobody knows: what they run has no bill, or one that does not say.
    pub unknown: u64,
    /// Those that are not.
    pub unaffected: u64,
    /// Of the affected: in quarantine.
    pub quarantined: u64,
    /// Of the affected: not heard of within a day.
    pub silent: u64,
    /// What releases answer, of those that run.
    pub releases: Vec<SweptRelease>,
    /// The affected by what they are.
    pub radius: Vec<Radius>,
    /// The affected by name, as many as were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceId>,
    /// Statements of the advisory that cannot be followed: more may be affected.
    #[serde(default)]
    pub not_followed: u64,
    /// How long the server took, in milliseconds.
    pub took_ms: u64,
}

/// A release that runs somewhere.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweptRelease {
    /// The model; none of devices that have not said what they run.
    pub model: Option<String>,
    /// The version.
    pub version: Option<String>,
    /// The image.
    pub sha256: Option<Sha256Digest>,
    /// `affected`, `unknown` or `not-affected`.
    pub affected: String,
    /// Devices that run it.
    pub devices: u64,
    /// By what, or why nobody knows.
    pub why: Vec<String>,
}

/// The affected by one property.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Radius {
    /// Which.
    pub by: String,
    /// The largest first.
    pub rows: Vec<RadiusRow>,
}

/// One value of it.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RadiusRow {
    /// The value; `-` where there is none.
    pub name: String,
    /// Affected devices.
    pub devices: u64,
}
