//! Connections of devices that are open at this server, and whether those of one device come from
//! two addresses and speak in turn. A device that changes its network leaves a connection behind,
//! which does not speak again; of a device and its copy both do.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use lazaret_protocol::id::DeviceId;

/// Every open connection over which a device has asked for something.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    /// Counts connections and requests.
    last: u64,
    of: HashMap<DeviceId, Vec<Line>>,
    device: HashMap<u64, DeviceId>,
}

#[derive(Debug)]
struct Line {
    connection: u64,
    from: IpAddr,
    /// The number of its last request.
    spoke: u64,
}

impl Live {
    /// The number of a new connection.
    pub(crate) fn opened(&self) -> u64 {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.last = open.last.wrapping_add(1);
        open.last
    }

    /// Forgets a connection.
    pub(crate) fn closed(&self, connection: u64) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(device) = open.device.remove(&connection) else { return };
        if let Some(lines) = open.of.get_mut(&device) {
            lines.retain(|line| line.connection != connection);
            if lines.is_empty() {
                open.of.remove(&device);
            }
        }
    }

    /// Notes a request of a device; the evidence is there where another connection of it, from
    /// elsewhere, has spoken since this one did last.
    pub(crate) fn spoke(&self, device: &DeviceId, connection: u64, from: IpAddr) -> Option<String> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.last = open.last.wrapping_add(1);
        let now = open.last;
        let lines = open.of.entry(device.clone()).or_default();
        let Some(own) = lines.iter_mut().find(|line| line.connection == connection) else {
            lines.push(Line { connection, from, spoke: now });
            open.device.insert(connection, device.clone());
            return None;
        };
        let before = std::mem::replace(&mut own.spoke, now);
        let other = lines.iter().find(|line| {
            line.connection != connection && line.spoke > before && are_apart(line.from, from)
        })?;
        Some(format!(
            "expected requests over one connection after the other, got them in turn over two \
             that are open, from {} and {from}",
            other.from
        ))
    }
}

/// Whether two addresses are not of one machine: of one kind, and not of one IPv6 network of 64
/// bits, within which machines change theirs. One may well have an address of each kind.
fn are_apart(one: IpAddr, other: IpAddr) -> bool {
    let network = |ip: Ipv6Addr| u128::from(ip) >> 64;
    match (one.to_canonical(), other.to_canonical()) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one != other,
        (IpAddr::V6(one), IpAddr::V6(other)) => network(one) != network(other),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn two_connections_that_speak_in_turn_from_two_addresses_are_a_sign() {
        let (live, device) = (Live::default(), "d-1".parse().unwrap());
        let (one, two) = (live.opened(), live.opened());
        assert_eq!(live.spoke(&device, one, ip("192.0.2.1")), None);
        // It may have moved to another network.
        assert_eq!(live.spoke(&device, two, ip("192.0.2.2")), None);
        assert_eq!(live.spoke(&device, two, ip("192.0.2.2")), None);
        let sign = live.spoke(&device, one, ip("192.0.2.1")).unwrap();
        assert!(sign.contains("192.0.2.1") && sign.contains("192.0.2.2"), "{sign}");
        live.closed(two);
        assert_eq!(live.spoke(&device, one, ip("192.0.2.1")), None);
    }

    #[test]
    fn two_connections_of_one_machine_are_none() {
        let (live, device) = (Live::default(), "d-1".parse().unwrap());
        for pair in [
            ["192.0.2.1", "192.0.2.1"],
            ["192.0.2.1", "2001:db8::1"],
            ["2001:db8::1", "2001:db8::2"],
            ["192.0.2.1", "::ffff:192.0.2.1"],
        ] {
            let lines = pair.map(|from| (live.opened(), ip(from)));
            for (line, from) in lines.into_iter().chain(lines) {
                assert_eq!(live.spoke(&device, line, from), None, "{pair:?}");
            }
            lines.iter().for_each(|(line, _)| live.closed(*line));
        }
        let open = live.0.lock().unwrap();
        assert!(open.of.is_empty() && open.device.is_empty(), "{open:?}");
    }
}
