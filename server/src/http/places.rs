//! Places for connections: so many in all, and so many for each network address, so that one
//! greedy peer does not keep everybody else out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Bits of an IPv6 address that say whose it is: a customer gets at least so many.
const IPV6_PREFIX_BITS: u32 = 64;

/// The places of a listener.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    taken: Arc<Mutex<Taken>>,
    all_max: usize,
    address_max: usize,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    taken: Arc<Mutex<Taken>>,
    network: IpAddr,
}

impl Places {
    /// So many in all, and so many of one address.
    pub(crate) fn new(all_max: usize, address_max: usize) -> Self {
        Self { taken: Arc::default(), all_max, address_max }
    }

    /// A place for a connection from this address; none where there is none left.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Place> {
        let network = network(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = taken.by_address.get(&network).copied().unwrap_or(0);
        if taken.all >= self.all_max || of_address >= self.address_max {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(network, of_address + 1);
        drop(taken);
        Some(Place { taken: Arc::clone(&self.taken), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        let left = taken.by_address.get(&self.network).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            taken.by_address.remove(&self.network);
        } else {
            taken.by_address.insert(self.network, left);
        }
    }
}

/// Whose address it is: the address itself, or the network that an IPv6 customer gets.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mask = u128::MAX << (128 - IPV6_PREFIX_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_keep_the_others_out() {
        let places = Places::new(5, 3);
        let of = |text: &str| text.parse::<IpAddr>().unwrap();
        let greedy: Vec<Place> = std::iter::from_fn(|| places.take(of("192.0.2.1"))).collect();
        assert_eq!(greedy.len(), 3);
        let others: Vec<Place> = ["192.0.2.2", "192.0.2.3", "192.0.2.4"]
            .iter()
            .filter_map(|address| places.take(of(address)))
            .collect();
        assert_eq!(others.len(), 2, "and all together have a limit");
        drop(greedy);
        assert!(places.take(of("192.0.2.1")).is_some(), "a place that is left can be had");
        drop(others);
        assert!(places.taken.lock().unwrap().by_address.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let places = Places::new(9, 1);
        let kept = places.take("2001:db8::1".parse().unwrap());
        assert!(kept.is_some());
        assert!(places.take("2001:db8::2".parse().unwrap()).is_none());
        assert!(places.take("2001:db8:0:1::1".parse().unwrap()).is_some());
        // An IPv4 address is the same one in its IPv6 form.
        assert_eq!(
            network("::ffff:192.0.2.1".parse().unwrap()),
            network("192.0.2.1".parse().unwrap())
        );
    }
}
