//! The table of targets. A new one is a file here and a row.

mod anchors;
mod boot;
mod canonical;
mod certificates;
mod delta;
mod delta_parts;
mod evidence;
mod journal;
mod logs;
mod messages;
mod offline;
mod orders;
mod settings;
mod sweeps;
mod tpm;
mod tuf_refresh;
mod tuf_role;

pub use tuf_role::raw_targets;

use crate::{Memory, Target};

/// A parser of JSON into a typed message. A list of numbers takes 24 bytes for two of text while it
/// grows by doubling, and names are kept as text beside the input's own copies.
const TYPED: Memory = Memory { base: 64 << 10, per_byte: 64 };
/// TUF metadata is read into a tree first. The shortest object with a member, `{"":0},`, takes more
/// than 600 bytes once read, and what is signed is there twice more as text.
const TREE: Memory = Memory { base: 1 << 20, per_byte: 160 };

/// A parser with structures of its own, which may be larger than their text.
const PARSED: Memory = Memory { base: 256 << 10, per_byte: 256 };

/// What a header declares is set aside for it, up to the reader's limit of 4 MiB.
const DELTA_HEADER: Memory = Memory { base: 4 << 20, per_byte: 64 };

/// All targets, by name.
pub const TARGETS: &[Target] = &[
    Target {
        name: "advisory-csaf",
        about: "an advisory in CSAF 2.0",
        run: sweeps::csaf_file,
        seeds: sweeps::csaf_seeds,
        input_bytes_max: 16 << 10,
        memory: PARSED,
    },
    Target {
        name: "advisory-osv",
        about: "an advisory in the format of OSV",
        run: sweeps::osv_file,
        seeds: sweeps::osv_seeds,
        input_bytes_max: 16 << 10,
        memory: PARSED,
    },
    Target {
        name: "anchors",
        about: "the TUF target trust/anchors",
        run: anchors::run,
        seeds: anchors::seeds,
        input_bytes_max: 64 << 10,
        memory: TYPED,
    },
    Target {
        name: "bill-of-materials",
        about: "a bill of materials in CycloneDX",
        run: sweeps::bill,
        seeds: sweeps::bill_seeds,
        input_bytes_max: 16 << 10,
        memory: PARSED,
    },
    Target {
        name: "boot-grub",
        about: "GRUB's environment block",
        run: boot::grub,
        seeds: boot::grub_seeds,
        input_bytes_max: 2 << 10,
        memory: TYPED,
    },
    Target {
        name: "boot-uboot",
        about: "U-Boot's environment, raw and with its checksum made good",
        run: boot::uboot,
        seeds: boot::uboot_seeds,
        input_bytes_max: 16 << 10,
        memory: Memory { base: 64 << 10, per_byte: 256 },
    },
    Target {
        name: "boot-places",
        about: "where U-Boot's environment lies, and names and texts of boot entries",
        run: boot::places,
        seeds: boot::place_seeds,
        input_bytes_max: 16 << 10,
        memory: TYPED,
    },
    Target {
        name: "canonical-json",
        about: "any JSON, to its one canonical spelling and back",
        run: canonical::run,
        seeds: canonical::seeds,
        input_bytes_max: 64 << 10,
        memory: TREE,
    },
    Target {
        name: "component",
        about: "a component as people type it",
        run: sweeps::component,
        seeds: sweeps::component_seeds,
        input_bytes_max: 4 << 10,
        memory: PARSED,
    },
    Target {
        name: "delta-header",
        about: "the header of a delta, raw and with its checksum made good",
        run: delta::header,
        seeds: delta::header_seeds,
        input_bytes_max: 64 << 10,
        memory: DELTA_HEADER,
    },
    Target {
        name: "delta-frames",
        about: "the payloads of a delta's frames behind a good header",
        run: delta::frames,
        seeds: delta::frame_seeds,
        input_bytes_max: 64 << 10,
        // What the decoder may use is said by the header and held to by `DecodeLimits`.
        memory: Memory { base: 8 << 20, per_byte: 64 },
    },
    Target {
        name: "delta-recognise",
        about: "compressed parts in two images: the delta between them is made and comes back",
        run: delta_parts::recognise,
        seeds: delta_parts::recognise_seeds,
        input_bytes_max: 8 << 10,
        // The encoder's window, and what the decoder may use.
        memory: Memory { base: 16 << 20, per_byte: 64 },
    },
    Target {
        name: "delta-repack",
        about: "compressed parts of an image, unpacked and packed by any layout",
        run: delta_parts::repack,
        seeds: delta_parts::repack_seeds,
        input_bytes_max: 16 << 10,
        memory: Memory { base: 8 << 20, per_byte: 64 },
    },
    Target {
        name: "envelope",
        about: "a DSSE envelope, raw and as a device's signed report",
        run: orders::envelope,
        seeds: orders::envelope_seeds,
        input_bytes_max: 80 << 10,
        memory: TYPED,
    },
    Target {
        name: "evidence-bundle",
        about: "the parts of an evidence bundle, its manifest signed or not",
        run: evidence::bundle,
        seeds: evidence::bundle_seeds,
        input_bytes_max: 64 << 10,
        memory: TREE,
    },
    Target {
        name: "evidence-log",
        about: "a device's forensic log",
        run: evidence::log,
        seeds: evidence::log_seeds,
        input_bytes_max: 64 << 10,
        memory: TREE,
    },
    Target {
        name: "journal",
        about: "the agent's journal after a power cut",
        run: journal::run,
        seeds: journal::seeds,
        input_bytes_max: 16 << 10,
        memory: TYPED,
    },
    Target {
        name: "messages",
        about: "every JSON body of the device and operator interfaces",
        run: messages::run,
        seeds: messages::seeds,
        input_bytes_max: 64 << 10,
        memory: TYPED,
    },
    Target {
        name: "order",
        about: "an order as the agent takes it from a poll reply",
        run: orders::order,
        seeds: orders::order_seeds,
        input_bytes_max: 64 << 10,
        memory: TYPED,
    },
    Target {
        name: "tuf-refresh",
        about: "a whole TUF refresh and search, what is stored and what is served",
        run: tuf_refresh::run,
        seeds: tuf_refresh::seeds,
        input_bytes_max: 64 << 10,
        memory: TREE,
    },
    Target {
        name: "tuf-root",
        about: "root metadata, raw and signed",
        run: tuf_role::root,
        seeds: tuf_role::root_seeds,
        input_bytes_max: 64 << 10,
        memory: TREE,
    },
    Target {
        name: "tuf-timestamp",
        about: "timestamp metadata, raw and signed",
        run: tuf_role::timestamp,
        seeds: tuf_role::timestamp_seeds,
        input_bytes_max: 16 << 10,
        memory: TREE,
    },
    Target {
        name: "tuf-snapshot",
        about: "snapshot metadata, raw and signed",
        run: tuf_role::snapshot,
        seeds: tuf_role::snapshot_seeds,
        input_bytes_max: 64 << 10,
        memory: TREE,
    },
    Target {
        name: "tuf-targets",
        about: "metadata of the targets role, raw and signed",
        run: tuf_role::targets,
        seeds: tuf_role::targets_seeds,
        input_bytes_max: 64 << 10,
        memory: TREE,
    },
    Target {
        name: "tuf-delegated",
        about: "metadata of a delegated role, raw and signed",
        run: tuf_role::delegated,
        seeds: tuf_role::delegated_seeds,
        input_bytes_max: 64 << 10,
        memory: TREE,
    },
    Target {
        name: "agent-config",
        about: "the agent's settings",
        run: settings::agent_config,
        seeds: settings::agent_config_seeds,
        input_bytes_max: 16 << 10,
        memory: PARSED,
    },
    Target {
        name: "certificate-authority",
        about: "the certificate of a CA that is to issue, in PEM",
        run: certificates::authority,
        seeds: certificates::authority_seeds,
        input_bytes_max: 16 << 10,
        memory: PARSED,
    },
    Target {
        name: "certificate-peer",
        about: "a certificate as it comes in a handshake",
        run: certificates::peer,
        seeds: certificates::peer_seeds,
        input_bytes_max: 16 << 10,
        memory: PARSED,
    },
    Target {
        name: "certificate-request",
        about: "a request for a certificate, from a device",
        run: certificates::request,
        seeds: certificates::request_seeds,
        input_bytes_max: 16 << 10,
        memory: PARSED,
    },
    Target {
        name: "device-record",
        about: "a record of a device's log, and a file of them after a power cut",
        run: logs::record,
        seeds: logs::record_seeds,
        input_bytes_max: 16 << 10,
        memory: PARSED,
    },
    Target {
        name: "filter",
        about: "a filter over devices",
        run: settings::filter,
        seeds: settings::filter_seeds,
        input_bytes_max: 8 << 10,
        memory: PARSED,
    },
    Target {
        name: "log-note",
        about: "a signed note and a proof of a transparency log",
        run: logs::note,
        seeds: logs::note_seeds,
        input_bytes_max: 64 << 10,
        memory: PARSED,
    },
    Target {
        name: "log-tiles",
        about: "tiles and entry bundles of a transparency log",
        run: logs::tiles,
        seeds: logs::tiles_seeds,
        input_bytes_max: 64 << 10,
        memory: PARSED,
    },
    Target {
        name: "offline-bundle",
        about: "a release on a stick",
        run: offline::run,
        seeds: offline::seeds,
        input_bytes_max: 64 << 10,
        memory: TREE,
    },
    Target {
        name: "policy",
        about: "a policy of rollouts",
        run: settings::policy,
        seeds: settings::policy_seeds,
        input_bytes_max: 16 << 10,
        memory: PARSED,
    },
    Target {
        name: "ssh-signature",
        about: "an approval as ssh-keygen writes it",
        run: settings::ssh_signature,
        seeds: settings::ssh_signature_seeds,
        input_bytes_max: 16 << 10,
        memory: PARSED,
    },
    Target {
        name: "tpm-public",
        about: "the public area of a key in a TPM",
        run: tpm::run,
        seeds: tpm::seeds,
        input_bytes_max: 4 << 10,
        memory: PARSED,
    },
];
