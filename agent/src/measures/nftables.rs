//! The measure `nftables`: one atomic load that closes the network to all but the addresses of the
//! order. A table of the family inet closes input, output and forward; beside it one chain per
//! device at the egress hook of netdev, below everything else, so that frames which a program makes
//! itself (`AF_PACKET`) do not get out either. No names are looked up, and leases come only from
//! the servers that the order names.
//!
//! What stays open besides: the loopback device; neighbour discovery and ARP, without which no
//! address on the link is reached. Nothing is flushed when the agent ends.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use lazaret_protocol::containment::Terms;
use serde_json::Value;

use super::{Measure, MeasureFailure, Wanted};
use crate::program;

/// The name of both tables.
const TABLE: &str = "lazaret_quarantine";

/// How long `nft` may take, in milliseconds. Measured: 12 to 44 ms.
const NFT_MS: u64 = 20_000;

/// Devices that get a chain of their own; a machine with more fails the measure.
const DEVICES_MAX: usize = 64;

/// Addresses that are nobody's (RFC 5737, RFC 3849): what goes there must not get out, and harms
/// nobody where it does. Port 9 discards.
const NOBODY: [&str; 2] = ["192.0.2.1:9", "[2001:db8::1]:9"];

/// Rules of each chain of inet, and of one of netdev, without those for leases.
const RULES: [(&str, usize); 3] = [("input", 4), ("output", 4), ("forward", 0)];
const EGRESS_RULES: usize = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct Nftables {
    nft: String,
    devices: PathBuf,
}

impl Default for Nftables {
    fn default() -> Self {
        Self { nft: "nft".into(), devices: PathBuf::from("/sys/class/net") }
    }
}

impl Measure for Nftables {
    fn apply(&self, wanted: Wanted<'_>) -> Result<(), MeasureFailure> {
        // What cannot be named in a rule is closed by the inet table alone, and said by `verify`.
        let devices = self.devices()?;
        let script = script(wanted.terms, &devices.named);
        let path = wanted.folder.join("quarantine.nft");
        let kept = wanted.durable.write(
            &path,
            script.as_bytes(),
            crate::durable::Access::Owner,
            "containment-rules",
        );
        kept.map_err(|err| MeasureFailure::because(crate::cli::chain(&err)))?;
        self.nft(&["-f", &path.to_string_lossy()]).map(drop)
    }

    fn verify(&self, wanted: Wanted<'_>) -> Result<(), MeasureFailure> {
        let devices = self.devices()?;
        if let Some(name) = devices.unnamed.first() {
            let why = format!("expected devices whose names fit into a rule, got {name:?}");
            return Err(MeasureFailure::because(why));
        }
        let listed = self.listed("inet")?;
        for (chain, rules) in RULES {
            let leases = if chain == "forward" { 0 } else { wanted.terms.leases.len() };
            expect_chain(&listed, chain, chain, rules.saturating_add(leases))?;
        }
        expect_sets(&listed, wanted.terms)?;
        let listed = self.listed("netdev")?;
        // nft before 1.0.8 leaves the device of a chain out of its JSON.
        let text = self.listing(&["list", "table", "netdev", TABLE])?;
        for (number, name) in devices.named.iter().enumerate() {
            let rules = EGRESS_RULES.saturating_add(wanted.terms.leases.len());
            expect_chain(&listed, &egress(number), "egress", rules)?;
            expect_device(&text, name)?;
        }
        expect_sets(&listed, wanted.terms)?;
        NOBODY.iter().try_for_each(|address| cannot_send(address))
    }

    fn undo(&self, _: &Path) -> Result<(), MeasureFailure> {
        let script = emptied();
        // Nothing was ever loaded where there is no nft.
        match self.nft_reads(&script) {
            Err(failure) if failure.why.contains("cannot be run") => Ok(()),
            done => done,
        }
    }
}

/// The network devices but the loopback.
#[derive(Debug, Default, PartialEq, Eq)]
struct Devices {
    /// Those that a rule can name.
    named: Vec<String>,
    /// The others.
    unnamed: Vec<String>,
}

impl Nftables {
    fn devices(&self) -> Result<Devices, MeasureFailure> {
        let failed = |err: io::Error| {
            let why = format!("expected the network devices in {}: {err}", self.devices.display());
            MeasureFailure::because(why)
        };
        let mut devices = Devices::default();
        for entry in std::fs::read_dir(&self.devices).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // Such as `bonding_masters`, which is a file.
            if !entry.path().is_dir() {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_loopback(&entry.path()) {
                continue;
            }
            if is_nameable(&name) && devices.named.len() < DEVICES_MAX {
                devices.named.push(name);
            } else {
                devices.unnamed.push(name);
            }
        }
        devices.named.sort();
        Ok(devices)
    }

    fn nft(&self, arguments: &[&str]) -> Result<String, MeasureFailure> {
        let command: Vec<String> = std::iter::once(self.nft.as_str())
            .chain(arguments.iter().copied())
            .map(str::to_owned)
            .collect();
        program::run(&command, &[], NFT_MS).map_err(|failure| {
            let said = failure.output.lines().next().unwrap_or_default().trim();
            MeasureFailure::because(format!("nft {}: {} {said}", arguments.join(" "), failure.why))
        })
    }

    fn nft_reads(&self, script: &str) -> Result<(), MeasureFailure> {
        self.nft(&[script]).map(drop)
    }

    fn listed(&self, family: &str) -> Result<Vec<Value>, MeasureFailure> {
        let text = self.listing(&["-j", "list", "table", family, TABLE])?;
        let unread = |why: String| {
            MeasureFailure::because(format!("expected the table {family} {TABLE} in JSON: {why}"))
        };
        let listed: Value = serde_json::from_str(&text).map_err(|err| unread(err.to_string()))?;
        let entries = listed.get("nftables").and_then(Value::as_array);
        entries.cloned().ok_or_else(|| unread("it has no list".into()))
    }

    /// What `nft` prints of a table is longer than what is kept of a program that runs for long, so
    /// that it is read here.
    fn listing(&self, arguments: &[&str]) -> Result<String, MeasureFailure> {
        let output = std::process::Command::new(&self.nft)
            .args(arguments)
            .env_clear()
            .env("PATH", program::PATH)
            .stdin(std::process::Stdio::null())
            .output();
        let output =
            output.map_err(|err| MeasureFailure::because(format!("nft cannot be run: {err}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or_default().trim().to_owned();
            let why = format!("nft {}: {said}", arguments.join(" "));
            return Err(MeasureFailure::because(why));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Sending to nobody must fail here, at once and for this reason.
fn cannot_send(address: &str) -> Result<(), MeasureFailure> {
    let Ok(to) = address.parse::<SocketAddr>() else { return Ok(()) };
    let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    // A device without this family has nothing to close in it.
    let Ok(socket) = UdpSocket::bind(from) else { return Ok(()) };
    match socket.send_to(b"lazaret tries its own quarantine", to) {
        Err(_) => Ok(()),
        Ok(_) => {
            let why = format!("expected that nothing can be sent to {}, but it was sent", to.ip());
            Err(MeasureFailure::because(why))
        }
    }
}

fn is_loopback(device: &Path) -> bool {
    // ARPHRD_LOOPBACK of linux/if_arp.h.
    std::fs::read_to_string(device.join("type")).is_ok_and(|kind| kind.trim() == "772")
}

/// Whether a name stands in a rule as itself: the kernel takes names with quotes and braces too.
fn is_nameable(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    !name.is_empty() && name.len() <= 15 && name.chars().all(plain)
}

fn egress(number: usize) -> String {
    format!("egress_{number}")
}

/// Both tables made, if they are not there, and deleted: in the same load as what follows.
fn emptied() -> String {
    ["inet", "netdev"].iter().fold(String::new(), |mut text, family| {
        let _ = writeln!(text, "table {family} {TABLE} {{}}\ndelete table {family} {TABLE}");
        text
    })
}

/// The whole of what is loaded. Every value in it is a number, an address that was parsed, or a
/// name that was checked.
fn script(terms: &Terms, devices: &[String]) -> String {
    let mut text = emptied();
    let lease = leases(terms);
    let output = format!("    oifname \"lo\" accept\n{}{}", outwards(), lease.outwards);
    let input = format!("    iifname \"lo\" accept\n{}{}", inwards(), lease.inwards);
    let _ = write!(
        text,
        "table inet {TABLE} {{\n{sets}\
         \n  chain input {{\n    type filter hook input priority -300; policy drop;\n{input}  }}\
         \n  chain output {{\n    type filter hook output priority -300; policy drop;\n{output}  }}\
         \n  chain forward {{\n    type filter hook forward priority -300; policy drop;\n  }}\n\
         }}\n",
        sets = sets(terms),
    );
    let mut chains = String::new();
    for (number, name) in devices.iter().enumerate() {
        let _ = write!(
            chains,
            "\n  chain {} {{\n    type filter hook egress device \"{name}\" priority 500; policy \
             drop;\n    arp operation {{ request, reply }} accept\n{}{}  }}\n",
            egress(number),
            outwards(),
            lease.outwards,
        );
    }
    let _ = write!(text, "table netdev {TABLE} {{\n{}{chains}}}\n", sets(terms));
    text
}

const NEIGHBOURS: &str = "nd-neighbor-solicit, nd-neighbor-advert";

fn outwards() -> String {
    format!(
        "    ip daddr . tcp dport @open4 accept\n    ip6 daddr . tcp dport @open6 accept\n    ip6 \
         hoplimit 255 icmpv6 type {{ {NEIGHBOURS}, nd-router-solicit }} accept\n"
    )
}

fn inwards() -> String {
    format!(
        "    ip saddr . tcp sport @open4 ct state established accept\n    ip6 saddr . tcp sport \
         @open6 ct state established accept\n    ip6 hoplimit 255 icmpv6 type {{ {NEIGHBOURS}, \
         nd-router-advert }} accept\n"
    )
}

struct Leases {
    outwards: String,
    inwards: String,
}

/// A lease comes from a named server only. One whose lease has run out asks everybody on its link,
/// which is let out to the broadcast address alone.
fn leases(terms: &Terms) -> Leases {
    let mut leases = Leases { outwards: String::new(), inwards: String::new() };
    for server in &terms.leases {
        let (out, back) = match server {
            IpAddr::V4(v4) => (
                format!("ip daddr {{ {v4}, 255.255.255.255 }} udp sport 68 udp dport 67"),
                format!("ip saddr {v4} udp sport 67 udp dport 68"),
            ),
            IpAddr::V6(v6) => (
                format!("ip6 daddr {{ {v6}, ff02::1:2 }} udp sport 546 udp dport 547"),
                format!("ip6 saddr {v6} udp sport 547 udp dport 546"),
            ),
        };
        let _ = writeln!(leases.outwards, "    {out} accept");
        let _ = writeln!(leases.inwards, "    {back} accept");
    }
    leases
}

fn open(terms: &Terms) -> (Vec<SocketAddr>, Vec<SocketAddr>) {
    terms.open_once().into_iter().partition(SocketAddr::is_ipv4)
}

fn sets(terms: &Terms) -> String {
    let (v4, v6) = open(terms);
    let mut text = String::new();
    for (name, kind, addresses) in [("open4", "ipv4_addr", v4), ("open6", "ipv6_addr", v6)] {
        let _ = write!(text, "  set {name} {{\n    type {kind} . inet_service\n");
        let elements: Vec<String> =
            addresses.iter().map(|one| format!("{} . {}", one.ip(), one.port())).collect();
        if !elements.is_empty() {
            let _ = writeln!(text, "    elements = {{ {} }}", elements.join(", "));
        }
        text.push_str("  }\n");
    }
    text
}

fn of<'a>(listed: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    listed.iter().filter_map(move |entry| entry.get(kind))
}

fn says(value: &Value, key: &str, wanted: &str) -> bool {
    value.get(key).and_then(Value::as_str) == Some(wanted)
}

/// A chain with its hook, its device, a policy of drop and as many rules as were loaded.
fn expect_chain(
    listed: &[Value],
    name: &str,
    hook: &str,
    rules: usize,
) -> Result<(), MeasureFailure> {
    let failed = |why: String| Err(MeasureFailure::because(format!("chain {name}: {why}")));
    let Some(chain) = of(listed, "chain").find(|chain| says(chain, "name", name)) else {
        return failed("it is not there".into());
    };
    if !says(chain, "hook", hook) || !says(chain, "policy", "drop") {
        return failed(format!("expected the hook {hook} with the policy drop, got {chain}"));
    }
    let got = of(listed, "rule").filter(|rule| says(rule, "chain", name)).count();
    if got != rules {
        return failed(format!("expected {rules} rules, got {got}"));
    }
    Ok(())
}

/// A chain at the egress hook of this device.
fn expect_device(text: &str, name: &str) -> Result<(), MeasureFailure> {
    let quoted = format!("\"{name}\"");
    let is_its = |line: &str| line.contains("hook egress") && line.contains(&quoted);
    if text.lines().any(is_its) {
        return Ok(());
    }
    Err(MeasureFailure::because(format!("expected a chain at the egress of {name}, got none")))
}

/// The sets with the addresses of the order, all of them and no other.
fn expect_sets(listed: &[Value], terms: &Terms) -> Result<(), MeasureFailure> {
    let (v4, v6) = open(terms);
    for (name, wanted) in [("open4", v4), ("open6", v6)] {
        let set = of(listed, "set").find(|set| says(set, "name", name));
        let elements = set.and_then(|set| set.get("elem")).and_then(Value::as_array);
        let got: BTreeSet<SocketAddr> =
            elements.into_iter().flatten().filter_map(element).collect();
        let count = elements.map_or(0, Vec::len);
        let wanted: BTreeSet<SocketAddr> = wanted.into_iter().collect();
        if set.is_none() || got != wanted || count != wanted.len() {
            let why = format!("set {name}: expected {wanted:?}, got {got:?} of {count}");
            return Err(MeasureFailure::because(why));
        }
    }
    Ok(())
}

fn element(value: &Value) -> Option<SocketAddr> {
    let parts = value.get("concat")?.as_array()?;
    let [address, port] = parts.as_slice() else { return None };
    let port = u16::try_from(port.as_u64()?).ok()?;
    Some(SocketAddr::new(address.as_str()?.parse().ok()?, port))
}

#[cfg(test)]
mod tests;
