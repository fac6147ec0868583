//! Containment: how far a device is shut in, what an order leaves open to it, and what the device
//! says of what it has carried out. Every value is checked when it is read: what comes out of here
//! can be written into a rule without escaping.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;

/// Addresses that one order may leave open: a few servers and mirrors, each over IPv4 and IPv6.
pub const OPEN_MAX: usize = 32;

/// Lease servers (DHCP) that one order may name.
pub const LEASES_MAX: usize = 8;

/// Units that one order may stop.
pub const STOP_MAX: usize = 16;

/// Longest name of a unit, in bytes: what systemd takes.
const UNIT_BYTES_MAX: usize = 255;

/// How far a device is shut in, the mildest first. Whoever raises it needs nobody; going down, or
/// out, is a release.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// It is looked at; nothing is closed.
    Observe,
    /// No rollouts.
    Hold,
    /// The server gives it nothing but evidence out and cure in. What orders without a level mean.
    #[default]
    Restrict,
    /// As restrict, and the device closes its own network to all but the addresses of the order.
    Isolate,
    /// As isolate, and its certificate is good for polls, reports and evidence alone: neither
    /// renewed nor good for the repository, so that it ends within its life.
    Revoke,
}

impl Level {
    /// All of them, the mildest first.
    pub const ALL: [Self; 5] =
        [Self::Observe, Self::Hold, Self::Restrict, Self::Isolate, Self::Revoke];

    /// Its word, on the wire and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Hold => "hold",
            Self::Restrict => "restrict",
            Self::Isolate => "isolate",
            Self::Revoke => "revoke",
        }
    }

    /// Whether the device closes its own network.
    #[must_use]
    pub fn closes_network(self) -> bool {
        self >= Self::Isolate
    }

    /// Whether rollouts leave it out.
    #[must_use]
    pub fn holds_rollouts(self) -> bool {
        self >= Self::Hold
    }

    /// Whether a rollout that cures an incident reaches it: what lets in cures has the repository
    /// open.
    #[must_use]
    pub fn lets_cures_in(self) -> bool {
        self < Self::Revoke
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is no level, no unit, or no address that can be left open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TermsError {
    /// No such level.
    #[error("expected observe, hold, restrict, isolate or revoke, got {got:?}")]
    Level {
        /// What came, cut after 64 characters.
        got: String,
    },
    /// Not the name of a unit of systemd, or one that looks like an option.
    #[error("expected the name of a unit such as app.service, got {got:?}")]
    Unit {
        /// What came, cut after 64 characters.
        got: String,
    },
    /// An address that no rule can leave open.
    #[error("expected the address and port of one machine, got {got}")]
    Address {
        /// What came.
        got: String,
    },
    /// Too many of something.
    #[error("expected at most {max} {what}, got {got}")]
    TooMany {
        /// What.
        what: &'static str,
        /// The most.
        max: usize,
        /// How many came.
        got: usize,
    },
}

impl FromStr for Level {
    type Err = TermsError;
    fn from_str(text: &str) -> Result<Self, TermsError> {
        let found = Self::ALL.into_iter().find(|level| level.as_str() == text);
        found.ok_or_else(|| TermsError::Level { got: text.chars().take(64).collect() })
    }
}

/// A unit of systemd that containment may stop.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitName(String);

impl UnitName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of the agent's own, which nothing else would start again.
    #[must_use]
    pub fn is_the_agents(&self) -> bool {
        self.0.starts_with("lazaret-agent")
    }
}

impl FromStr for UnitName {
    type Err = TermsError;
    fn from_str(text: &str) -> Result<Self, TermsError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || ":-_.@".contains(c);
        let kinds = [".service", ".socket", ".timer", ".path", ".target", ".slice", ".scope"];
        let good = text.len() <= UNIT_BYTES_MAX
            && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && text.chars().all(plain)
            && kinds.iter().any(|kind| text.len() > kind.len() && text.ends_with(kind));
        if good {
            return Ok(Self(text.to_string()));
        }
        Err(TermsError::Unit { got: text.chars().take(64).collect() })
    }
}

impl TryFrom<String> for UnitName {
    type Error = TermsError;
    fn try_from(text: String) -> Result<Self, TermsError> {
        text.parse()
    }
}

impl From<UnitName> for String {
    fn from(unit: UnitName) -> Self {
        unit.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The terms of a quarantine. The device adds nothing of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Terms {
    /// How far.
    #[serde(default)]
    pub level: Level,
    /// Addresses and ports that stay open where the device closes its network: the server's
    /// listener for devices and the mirrors of the repository, from the server's settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<SocketAddr>,
    /// Servers that may give the device its lease (DHCP); none where its addresses are fixed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<IpAddr>,
    /// Units that are stopped and masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<UnitName>,
}

impl Terms {
    /// Terms that say nothing but a level.
    #[must_use]
    pub fn of(level: Level) -> Self {
        Self { level, ..Self::default() }
    }

    /// Whether an order need not carry them.
    #[must_use]
    pub fn say_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Checks them against the limits, and every address for being that of one machine.
    ///
    /// # Errors
    /// Too many of something, an address that is of no one machine, or a unit of the agent.
    pub fn check(&self) -> Result<(), TermsError> {
        let counts = [
            ("addresses", OPEN_MAX, self.open.len()),
            ("lease servers", LEASES_MAX, self.leases.len()),
            ("units", STOP_MAX, self.stop.len()),
        ];
        for (what, max, got) in counts {
            if got > max {
                return Err(TermsError::TooMany { what, max, got });
            }
        }
        for address in &self.open {
            if address.port() == 0 || !is_one_machine(address.ip()) {
                return Err(TermsError::Address { got: address.to_string() });
            }
        }
        for address in &self.leases {
            if !is_one_machine(*address) {
                return Err(TermsError::Address { got: address.to_string() });
            }
        }
        match self.stop.iter().find(|unit| unit.is_the_agents()) {
            Some(unit) => Err(TermsError::Unit { got: unit.as_str().chars().take(64).collect() }),
            None => Ok(()),
        }
    }

    /// The addresses that stay open, each once, in order.
    #[must_use]
    pub fn open_once(&self) -> Vec<SocketAddr> {
        let once: BTreeSet<SocketAddr> =
            self.open.iter().map(|address| SocketAddr::new(address.ip(), address.port())).collect();
        once.into_iter().collect()
    }
}

/// Whether an address is of one machine: neither everybody's nor nobody's, and not IPv4 in the
/// dress of IPv6, which a rule for IPv6 would never see.
fn is_one_machine(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !(v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()),
        IpAddr::V6(v6) => {
            !(v6.is_unspecified() || v6.is_multicast() || v6.to_ipv4_mapped().is_some())
        }
    }
}

/// What a device says, with every poll, of the quarantine that it is in.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainmentWord {
    /// The order that it goes by.
    pub order: u64,
    /// The level.
    pub level: Level,
    /// What a release has to name, and nobody knew before: so none from before is good. None where
    /// the order itself is lost; it is wanted again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Sha256Digest>,
    /// Each measure, tried after it was applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measures: Vec<MeasureWord>,
}

impl ContainmentWord {
    /// Whether every measure that its level asks for is proved.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        (!self.level.closes_network() || !self.measures.is_empty())
            && self.measures.iter().all(|measure| measure.failed.is_none())
    }

    /// What failed, in words; none where all is proved.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        if self.is_proved() {
            return None;
        }
        let failed = self.measures.iter().filter_map(|measure| {
            measure.failed.as_ref().map(|why| alloc::format!("{}: {why}", measure.name))
        });
        let failed: Vec<String> = failed.collect();
        let none = || "no measure was tried".to_string();
        Some(if failed.is_empty() { none() } else { failed.join("; ") })
    }
}

/// What came of one measure.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasureWord {
    /// Its name, such as `nftables`.
    pub name: String,
    /// Why it is not in force; none where the device has tried it and it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_above_those_that_it_includes() {
        assert!(Level::ALL.is_sorted());
        for level in Level::ALL {
            assert_eq!(level.as_str().parse(), Ok(level));
        }
        assert!("isolated".parse::<Level>().is_err());
        assert!(!Level::Observe.holds_rollouts() && Level::Hold.holds_rollouts());
        assert!(!Level::Restrict.closes_network() && Level::Isolate.closes_network());
    }

    #[test]
    fn what_could_be_read_as_a_rule_or_an_option_is_no_address_and_no_unit() {
        let terms = |address: &str| {
            serde_json::from_str::<Terms>(&alloc::format!("{{\"open\": [{address:?}]}}"))
        };
        for bad in [
            "10.0.0.1:443 }; flush ruleset; #",
            "10.0.0.1 . 443",
            "10.0.0.0/8:443",
            "server.example:443",
            "10.0.0.1",
            "10.0.0.1:443\n",
            "$(reboot):1",
        ] {
            assert!(terms(bad).is_err(), "{bad:?}");
        }
        assert!(terms("[fd00::1]:8443").is_ok());
        for bad in [
            "",
            ".service",
            "-H.service",
            "--now.service",
            "a b.service",
            "a;b.service",
            "a/b.service",
            "a.service\n",
            "a",
            "$a.service",
            "*.service",
        ] {
            assert!(bad.parse::<UnitName>().is_err(), "{bad:?}");
        }
        assert!("app@1.service".parse::<UnitName>().is_ok());
    }

    #[test]
    fn addresses_of_everybody_or_nobody_and_the_agents_own_unit_are_refused() {
        for bad in [
            "0.0.0.0:443",
            "[::]:443",
            "255.255.255.255:443",
            "224.0.0.1:443",
            "[ff02::1]:443",
            "[::ffff:10.0.0.1]:443",
            "10.0.0.1:0",
        ] {
            let terms = Terms { open: alloc::vec![bad.parse().unwrap()], ..Terms::default() };
            assert!(matches!(terms.check(), Err(TermsError::Address { .. })), "{bad}");
        }
        let own = Terms {
            stop: alloc::vec!["lazaret-agent.service".parse().unwrap()],
            ..Terms::default()
        };
        assert!(matches!(own.check(), Err(TermsError::Unit { .. })));
        let many = Terms {
            open: alloc::vec!["10.0.0.1:1".parse().unwrap(); OPEN_MAX + 1],
            ..Terms::default()
        };
        assert!(matches!(many.check(), Err(TermsError::TooMany { .. })));
    }

    #[test]
    fn a_device_is_proved_contained_only_with_every_measure_tried() {
        let word = |level, measures: &[Option<&str>]| ContainmentWord {
            order: 1,
            level,
            nonce: None,
            measures: measures
                .iter()
                .map(|failed| MeasureWord {
                    name: "nftables".into(),
                    failed: failed.map(Into::into),
                })
                .collect(),
        };
        assert!(word(Level::Restrict, &[]).is_proved());
        assert!(!word(Level::Isolate, &[]).is_proved());
        assert!(word(Level::Isolate, &[None]).is_proved());
        let failed = word(Level::Isolate, &[None, Some("nft is missing")]);
        assert_eq!(failed.failure().as_deref(), Some("nftables: nft is missing"));
    }
}
