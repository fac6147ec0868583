//! Constructors, clocks and crates that stay in certain files, as a table. A new row needs its
//! reason in the same commit.

/// A sequence of tokens that only certain files may contain.
#[derive(Debug)]
pub(crate) struct Reserved {
    /// The tokens, in order.
    pub(crate) tokens: &'static [&'static str],
    /// What the reader is told was named.
    pub(crate) named: &'static str,
    /// The files and folders that may contain it. Tests always may.
    pub(crate) allowed: &'static [&'static str],
    /// Why nobody else.
    pub(crate) why: &'static str,
}

/// Where the clock may be read.
const CLOCK_READERS: &[&str] = &[
    // It ages unfinished uploads by their files' times, which the same machine's clock has set: a
    // caller's `now` from elsewhere would say nothing about them.
    "server/blobs/src/stores/filesystem.rs",
    // The composition roots: they read the clock and hand `now` on.
    "server/src/main.rs",
    "server/src/wire.rs",
    // It measures how long a reader takes nothing, which is no time of day.
    "server/src/http/stalls.rs",
    // It measures how fast requests come, which is no time of day either.
    "server/src/http/rates.rs",
    // It measures how fast a body comes, likewise.
    "server/src/http/router.rs",
    // The agent's one file for it, which also holds the floor of authenticated time.
    "agent/src/clock.rs",
    // People's tools: a ceremony dates what it signs, and a progress bar measures.
    "cli/src",
    "repo-keys/src",
    "repo-keys/signing/src",
    // The harness starts programs and waits for them, with a limit.
    "tests",
    "xtask",
];
const CLOCK: &str = "time is an argument: only the composition roots read the clock";

/// Constructors and clocks that stay where they are.
pub(crate) const RESERVED: &[Reserved] = &[
    Reserved {
        tokens: &["SystemTime", "::", "now"],
        named: "SystemTime::now",
        allowed: CLOCK_READERS,
        why: CLOCK,
    },
    Reserved {
        tokens: &["Instant", "::", "now"],
        named: "Instant::now",
        allowed: CLOCK_READERS,
        why: CLOCK,
    },
    Reserved {
        // jiff's own.
        tokens: &["Zoned", "::", "now"],
        named: "Zoned::now",
        allowed: CLOCK_READERS,
        why: CLOCK,
    },
    Reserved {
        // jiff's; the protocol's `Timestamp` has no `now`.
        tokens: &["Timestamp", "::", "now"],
        named: "Timestamp::now",
        allowed: CLOCK_READERS,
        why: CLOCK,
    },
    Reserved {
        tokens: &["from_checked_certificate"],
        named: "DevicePeer::from_checked_certificate",
        allowed: &["server/src/identity", "server/src/identity.rs", "protocol/src/signed.rs"],
        why: "only the identity room has checked the certificate",
    },
    Reserved {
        tokens: &["Committed", "{"],
        named: "Committed { .. }",
        allowed: &["server/store/src"],
        why: "only the store knows that a reply is on disk",
    },
    Reserved {
        tokens: &["Committed", "("],
        named: "Committed(..)",
        allowed: &["server/store/src"],
        why: "only the store knows that a reply is on disk",
    },
    Reserved {
        tokens: &["warp", "::"],
        named: "warp",
        allowed: &["server/src/http", "server/src/http.rs"],
        why: "only the server's http room knows warp",
    },
    Reserved {
        tokens: &["sled", "::"],
        named: "sled",
        // `backends.rs` names the module of that name in its table, which reads the same.
        allowed: &[
            "server/store/src/backends.rs",
            "server/store/src/backends/sled.rs",
            "server/store/src/backends/sled",
        ],
        why: "only backends/sled.rs knows sled",
    },
    Reserved {
        tokens: &["anyhow"],
        named: "anyhow",
        allowed: &[
            "server/src/main.rs",
            "agent/src/main.rs",
            "agent/keys/src/main.rs",
            "repo-keys/src/main.rs",
            "cli/src",
            "tests",
            "xtask",
        ],
        why: "a room has an error enum of its own (STYLE, Errors)",
    },
];
