//! Every size and count that a peer can make grow, with its unit and its reason. Each is checked
//! before anything is parsed or allocated.

/// Deepest JSON nesting anywhere, in levels. Our deepest message has 8; TUF metadata has 9.
pub const JSON_DEPTH_MAX: usize = 32;

/// Largest body of an enrolment or a renewal, in bytes. A P-256 CSR in PEM is about 500.
pub const ENROLL_BODY_BYTES_MAX: u64 = 16 * 1024;

/// Largest body of an enrolment with a TPM, in bytes: public areas and a certificate of 2 KiB, or
/// statements and a CSR.
pub const ATTESTED_BODY_BYTES_MAX: u64 = 32 * 1024;

/// Largest poll body, in bytes. An honest one is under 1 KiB; the rest is room for posture.
pub const POLL_BODY_BYTES_MAX: u64 = 16 * 1024;

/// Largest answer to a poll that an agent reads, in bytes: [`ORDERS_PER_POLL_MAX`] envelopes of
/// about 1.5 KiB and the frame around them.
pub const POLL_REPLY_BYTES_MAX: u64 = 64 * 1024;

/// Orders in one poll reply. More wait for the next poll, which then comes at once.
pub const ORDERS_PER_POLL_MAX: usize = 16;

/// Largest report body, in bytes: one outcome and the last log lines of a failed trial.
pub const REPORT_BODY_BYTES_MAX: u64 = 32 * 1024;

/// Longest free text from a device (a failure's reason), in bytes. Longer is cut by the sender and
/// refused by the receiver.
pub const REASON_BYTES_MAX: usize = 1024;

/// Largest operator request other than an upload, in bytes. A rollout over a list names at most
/// [`ROLLOUT_DEVICES_MAX`] devices of 64 bytes.
pub const OPERATOR_BODY_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Devices that one rollout may name, in this first form where its list is one request.
pub const ROLLOUT_DEVICES_MAX: usize = 50_000;

/// Groups of one rollout.
pub const ROLLOUT_GROUPS_MAX: usize = 32;

/// Largest image, in bytes. Bounds what an upload may fill; a signed target says the true length.
pub const IMAGE_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

/// Largest evidence bundle from one device, in bytes.
pub const BUNDLE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Largest signed TUF metadata file that is taken in, in bytes. python-tuf and go-tuf allow 5 MB
/// for targets; 100 models with one role each make 32 kB (facts/tuf.md V).
pub const METADATA_BYTES_MAX: u64 = 5_000_000;

/// Largest set of signed files that is published at once, in bytes: root, targets and the roles of
/// a hundred models of 60 kB, escaped as texts within JSON.
pub const PUBLICATION_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Largest DSSE envelope, in bytes.
pub const ENVELOPE_BYTES_MAX: usize = 64 * 1024;

/// Signatures on one envelope or one metadata file. A 3-of-5 root has five, and ten while it
/// rotates.
pub const SIGNATURES_MAX: usize = 32;

/// Poll intervals that a server may ask for, in milliseconds: not so often that a fleet is a flood,
/// not so rarely that a device is lost.
pub const POLL_INTERVAL_MS_MIN: u64 = 200;
/// See [`POLL_INTERVAL_MS_MIN`].
pub const POLL_INTERVAL_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;
