//! What DESIGN section 2 draws, as tables. Whatever is absent here is forbidden; a new row needs
//! its reason in the same commit.

mod reserved;

pub(crate) use reserved::{RESERVED, Reserved};

/// One crate: where it lies and what it may use.
#[derive(Debug)]
pub(crate) struct Room {
    /// The package's name.
    pub(crate) package: &'static str,
    /// Its folder, from the root.
    pub(crate) folder: &'static str,
    /// The crates of ours that it may depend on.
    pub(crate) ours: &'static [&'static str],
    /// What of the outside it may depend on.
    pub(crate) outside: Outside,
}

/// Which crates of others a room may use.
#[derive(Debug)]
pub(crate) enum Outside {
    /// A pure room: these and no others, without their `std` features.
    Pure(&'static [&'static str]),
    /// A shell: whatever is not in [`GUARDED`] for somebody else.
    Shell,
    /// The harness: anything.
    Any,
}

const PROTOCOL: &str = "lazaret-protocol";
const DELTA: &str = "lazaret-protocol-delta";
const ENCODE: &str = "lazaret-protocol-delta-encode";
const REPACK: &str = "lazaret-protocol-delta-repack";
const EVIDENCE: &str = "lazaret-protocol-evidence";
const TPM: &str = "lazaret-protocol-tpm";
const TUF: &str = "lazaret-protocol-tuf";
const SERVER: &str = "lazaret-server";
const DOMAIN: &str = "lazaret-server-domain";
const SIM: &str = "lazaret-server-domain-sim";
const STORE: &str = "lazaret-server-store";
const BLOBS: &str = "lazaret-server-blobs";
const PUBLISH: &str = "lazaret-server-publish";
const AGENT: &str = "lazaret-agent";
const CORE: &str = "lazaret-agent-core";
const DEVICE_KEYS: &str = "lazaret-agent-keys";
const KEYS: &str = "lazaret-repo-keys";
const SIGNING: &str = "lazaret-repo-keys-signing";
const CLI: &str = "lazaret-cli";
const TESTS: &str = "lazaret-tests";
const BENCHES: &str = "lazaret-benches";
const FUZZ: &str = "lazaret-fuzz";
const XTASK: &str = "xtask";

/// Every crate of the workspace.
pub(crate) const ROOMS: &[Room] = &[
    Room {
        package: PROTOCOL,
        folder: "protocol",
        ours: &[],
        outside: Outside::Pure(&[
            "base64",
            "ed25519-dalek",
            "hex",
            "jiff",
            "p256",
            "serde",
            "serde_json",
            "sha2",
            "thiserror",
            // Only with the feature `schema`, which the server alone asks for.
            "utoipa",
        ]),
    },
    Room {
        package: DELTA,
        folder: "protocol/delta",
        ours: &[PROTOCOL],
        // The codecs of the frames: zstd and LZMA streams, both decoders without std.
        outside: Outside::Pure(&["lzma-rust2", "ruzstd", "sha2", "thiserror"]),
    },
    Room {
        package: ENCODE,
        folder: "protocol/delta/encode",
        ours: &[PROTOCOL, DELTA, REPACK],
        outside: Outside::Shell,
    },
    Room {
        package: REPACK,
        folder: "protocol/delta/repack",
        ours: &[PROTOCOL, DELTA],
        outside: Outside::Shell,
    },
    Room {
        package: EVIDENCE,
        folder: "protocol/evidence",
        ours: &[PROTOCOL],
        outside: Outside::Pure(&[
            "base64",
            "crc",
            "minicbor",
            "serde",
            "serde_json",
            "sha2",
            "thiserror",
        ]),
    },
    Room {
        package: TPM,
        folder: "protocol/tpm",
        ours: &[PROTOCOL],
        outside: Outside::Pure(&[
            "aes",
            "cfb-mode",
            "hmac",
            "p256",
            "rand_core",
            "rsa",
            "sha2",
            "thiserror",
        ]),
    },
    Room {
        package: TUF,
        folder: "protocol/tuf",
        ours: &[PROTOCOL],
        outside: Outside::Pure(&[
            "ed25519-dalek",
            "hex",
            "p256",
            // Behind a feature: foreign repositories and the conformance client.
            "rsa",
            "serde",
            "serde_json",
            "sha2",
            "thiserror",
        ]),
    },
    Room {
        package: SERVER,
        folder: "server",
        ours: &[PROTOCOL, EVIDENCE, TPM, TUF, DOMAIN, STORE, BLOBS, PUBLISH],
        outside: Outside::Shell,
    },
    Room {
        package: DOMAIN,
        folder: "server/domain",
        ours: &[PROTOCOL, EVIDENCE],
        // `libm` for the logarithms of the statistical halt (DESIGN section 2).
        // `utoipa` only with the feature `schema`, which the server alone asks for.
        // `base64` for what stands in signed notes.
        outside: Outside::Pure(&[
            "base64",
            "libm",
            // Package URLs and Semantic Versioning, for sweeps.
            "percent-encoding",
            "semver",
            "serde",
            "serde_json",
            "sha2",
            "thiserror",
            "utoipa",
        ]),
    },
    Room {
        package: SIM,
        folder: "server/domain/sim",
        ours: &[PROTOCOL, DOMAIN],
        // `libm` for the spread of install times.
        outside: Outside::Pure(&["libm", "serde"]),
    },
    Room {
        package: STORE,
        folder: "server/store",
        ours: &[PROTOCOL, EVIDENCE, DOMAIN],
        outside: Outside::Shell,
    },
    Room { package: BLOBS, folder: "server/blobs", ours: &[PROTOCOL], outside: Outside::Shell },
    Room {
        package: PUBLISH,
        folder: "server/publish",
        ours: &[PROTOCOL, TUF, DELTA, ENCODE, SIGNING],
        outside: Outside::Shell,
    },
    Room {
        package: AGENT,
        folder: "agent",
        ours: &[PROTOCOL, DELTA, REPACK, EVIDENCE, TUF, CORE],
        outside: Outside::Shell,
    },
    Room {
        package: CORE,
        folder: "agent/core",
        ours: &[PROTOCOL, DELTA, EVIDENCE, TUF],
        outside: Outside::Pure(&["crc", "serde", "serde_json", "sha2", "thiserror"]),
    },
    // A program of its own, so that the agent links no library of the system.
    Room { package: DEVICE_KEYS, folder: "agent/keys", ours: &[PROTOCOL], outside: Outside::Shell },
    Room {
        package: KEYS,
        folder: "repo-keys",
        // Age recipients, which the anchors name.
        ours: &[PROTOCOL, EVIDENCE, TUF, SIGNING],
        outside: Outside::Shell,
    },
    Room {
        package: SIGNING,
        folder: "repo-keys/signing",
        ours: &[PROTOCOL],
        outside: Outside::Shell,
    },
    Room {
        package: CLI,
        folder: "cli",
        ours: &[PROTOCOL, DELTA, ENCODE, REPACK, EVIDENCE, TUF, DOMAIN, SIM],
        outside: Outside::Shell,
    },
    Room {
        package: TESTS,
        folder: "tests",
        ours: &[
            PROTOCOL, DELTA, ENCODE, EVIDENCE, TUF, SERVER, DOMAIN, STORE, BLOBS, PUBLISH, AGENT,
            CORE, KEYS, SIGNING, CLI, SIM,
        ],
        outside: Outside::Any,
    },
    Room {
        package: BENCHES,
        folder: "tests/benches",
        ours: &[
            PROTOCOL, DELTA, ENCODE, REPACK, EVIDENCE, TUF, SERVER, DOMAIN, SIM, STORE, BLOBS,
            PUBLISH, AGENT, CORE, KEYS, SIGNING, CLI, TESTS,
        ],
        outside: Outside::Any,
    },
    Room {
        package: FUZZ,
        folder: "tests/fuzz",
        ours: &[
            PROTOCOL, DELTA, ENCODE, REPACK, EVIDENCE, TUF, TPM, SERVER, DOMAIN, STORE, BLOBS,
            PUBLISH, AGENT, CORE, KEYS, SIGNING, CLI, TESTS,
        ],
        outside: Outside::Any,
    },
    Room { package: XTASK, folder: "xtask", ours: &[], outside: Outside::Shell },
];

/// What every crate may use in its tests beside what it may use anyway.
pub(crate) const TEST_TOOLS: &[&str] = &["insta", "proptest", "tempfile"];

/// What the tests of one crate may use beside that, and why: a second reader or writer of a format,
/// of others or of ours, which the crate must not link itself.
pub(crate) const SECOND_READERS: &[(&str, &[&str], &str)] = &[
    (DELTA, &["bsdiff", "zstd"], "the decoder is held against the encoders whose formats it reads"),
    (EVIDENCE, &["ed25519-dalek"], "its tests sign; the crate itself only verifies"),
    (DOMAIN, &["ed25519-dalek"], "its tests sign as devices do; the crate itself only verifies"),
    (SIM, &["toml"], "its tests simulate the policies as they ship"),
    (DEVICE_KEYS, &[TPM], "what a TPM says is believed by the server's own reader"),
    (PUBLISH, &[KEYS], "what it takes in comes from real ceremonies, held by the key tool itself"),
];

/// A crate of others that is kept in its rooms.
#[derive(Debug)]
pub(crate) struct Guarded {
    /// The crate.
    pub(crate) outside: &'static str,
    /// Who may depend on it.
    pub(crate) rooms: &'static [&'static str],
    /// Why not everybody.
    pub(crate) why: &'static str,
}

/// The crates of others that are kept in their rooms.
pub(crate) const GUARDED: &[Guarded] = &[
    Guarded { outside: "warp", rooms: &[SERVER], why: "only the server's http room knows warp" },
    Guarded { outside: "sled", rooms: &[STORE], why: "only backends/sled.rs knows sled" },
    Guarded {
        outside: "tough",
        rooms: &[PUBLISH, KEYS, SIGNING],
        why: "tough publishes, signs and reads a second time; the agent has protocol/tuf",
    },
    Guarded {
        // The decoder reads our own block format itself, because bsdiff's needs std.
        outside: "bsdiff",
        rooms: &[ENCODE],
        why: "only the delta encoder knows bsdiff",
    },
    Guarded {
        outside: "zstd",
        // The agent packs bundles with the library that packs images again anyway.
        rooms: &[ENCODE, REPACK, CLI, AGENT],
        why: "a C library; devices decode with ruzstd, and pack with what images were packed with",
    },
    Guarded {
        outside: "flate2",
        // The server answers HTTP clients that take gzip.
        rooms: &[REPACK, SERVER],
        why: "zlib packs as other programs' zlib did; whoever only compresses has zstd",
    },
    Guarded { outside: "libz-sys", rooms: &[REPACK], why: "it pins the zlib that is linked" },
    Guarded {
        outside: "tokio",
        rooms: &[SERVER, STORE, BLOBS, PUBLISH, KEYS, CLI],
        why: "devices run blocking std, pure rooms wait for nothing",
    },
    Guarded {
        outside: "tokio-rustls",
        rooms: &[SERVER],
        why: "TLS ends in the server's own acceptor",
    },
    Guarded {
        outside: "rustls",
        rooms: &[SERVER, AGENT, CLI],
        why: "only what talks over the network needs TLS",
    },
    Guarded {
        outside: "ureq",
        rooms: &[AGENT, CLI, SERVER],
        why: "agent and CLI call the server, the server calls webhooks; key tools call nobody",
    },
    Guarded { outside: "hyper", rooms: &[SERVER], why: "HTTP is the server's front door" },
    Guarded { outside: "hyper-util", rooms: &[SERVER], why: "HTTP is the server's front door" },
    Guarded { outside: "reqwest", rooms: &[], why: "one HTTP client is enough, and it is ureq" },
    Guarded {
        outside: "rcgen",
        rooms: &[SERVER, AGENT, KEYS, CLI],
        why: "only the CA and those who ask it for certificates make any",
    },
    Guarded {
        outside: "anyhow",
        rooms: &[SERVER, AGENT, DEVICE_KEYS, KEYS, CLI, XTASK],
        why: "libraries have an error enum of their own (STYLE, Errors)",
    },
];

/// A program whose whole list of linked crates is limited.
#[derive(Debug)]
pub(crate) struct Program {
    /// The package.
    pub(crate) package: &'static str,
    /// What it must not link, however indirectly.
    pub(crate) never: &'static [&'static str],
    /// Why.
    pub(crate) why: &'static str,
}

/// The programs whose closure is limited.
pub(crate) const PROGRAMS: &[Program] = &[
    Program {
        package: AGENT,
        never: &[
            "aws-lc-rs",
            "aws-lc-sys",
            "bsdiff",
            "openssl-sys",
            "sled",
            "tokio",
            "tough",
            "warp",
        ],
        // zstd and zlib it has for compressed parts of images, which only they pack again alike.
        why: "the agent stays small: rustls on ring, blocking std (DESIGN section 6)",
    },
    Program {
        package: KEYS,
        // Not rustls: tough brings it along, without anything that would connect.
        never: &["hyper", "reqwest", "sled", "ureq", "warp"],
        why: "ceremonies are held on a machine without network (DESIGN section 2)",
    },
    Program {
        package: CLI,
        never: &["sled", "tough", "warp"],
        why: "operators' machines see the server from outside (house rules)",
    },
];

/// What a room of the server may name.
#[derive(Debug)]
pub(crate) struct ServerRoom {
    /// The module below `server/src`.
    pub(crate) module: &'static str,
    /// The sibling modules it may name.
    pub(crate) siblings: &'static [&'static str],
    /// The crates of ours, beside `protocol`, that it may name.
    pub(crate) crates: &'static [&'static str],
}

const EVERY_SERVER_ROOM: &[&str] =
    &["wire", "config", "http", "identity", "app", "reconcilers", "outgoing", "telemetry"];
const EVERY_SERVER_CRATE: &[&str] = &[
    "lazaret_server_domain",
    "lazaret_server_store",
    "lazaret_server_blobs",
    "lazaret_server_publish",
];

/// The rooms inside the server (DESIGN section 2). `telemetry` writes an error's whole chain into
/// the log, once, where it is handled: so every room that handles errors may name it.
pub(crate) const SERVER_ROOMS: &[ServerRoom] = &[
    ServerRoom { module: "main", siblings: &["wire", "config", "telemetry"], crates: &[] },
    ServerRoom { module: "wire", siblings: EVERY_SERVER_ROOM, crates: EVERY_SERVER_CRATE },
    // It checks the names of engines against their tables, and opens none.
    ServerRoom {
        module: "config",
        // Networks and makers' certificates are read where they are used; modes are the domain's.
        siblings: &["identity", "outgoing"],
        crates: &["lazaret_server_domain", "lazaret_server_store", "lazaret_server_blobs"],
    },
    // It is set up from its own section of the configuration.
    ServerRoom { module: "telemetry", siblings: &["config"], crates: &[] },
    // `http::reply` takes `Committed<R>`, which is the store's.
    ServerRoom {
        module: "http",
        siblings: &["identity", "app", "telemetry"],
        crates: &["lazaret_server_store"],
    },
    // It looks devices up, and what the store answers with is in the domain's language.
    ServerRoom {
        module: "identity",
        siblings: &["telemetry"],
        crates: &["lazaret_server_store", "lazaret_server_domain"],
    },
    ServerRoom { module: "app", siblings: &["outgoing", "telemetry"], crates: EVERY_SERVER_CRATE },
    // Calls to others: it knows addresses and nothing of what is delivered.
    ServerRoom { module: "outgoing", siblings: &[], crates: &[] },
    ServerRoom { module: "reconcilers", siblings: &["app", "telemetry"], crates: &[] },
];
