//! How often somebody may ask: a bucket of requests for each device and person, and one for each
//! network address of those who have not said who they are. A bucket fills again at a steady rate,
//! so that bursts are served and floods are told when to come back.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::places::network;

/// Buckets at once. Past it those that are full again are forgotten, and, if that is not enough,
/// all of them: nobody is refused for want of memory.
const BUCKETS_MAX: usize = 100_000;

/// Whose bucket it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// A device or a person, by the name in the certificate.
    Named(String),
    /// Somebody at this network.
    At(IpAddr),
}

impl Key {
    /// Of a stranger at an address.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self::At(network(address))
    }
}

/// How much a bucket holds, and how fast it fills.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Requests a second.
    pub(crate) per_second: u32,
    /// Requests at once.
    pub(crate) burst: u32,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Requests that are left, in thousandths.
    left: u64,
    at: Instant,
}

/// The buckets of one face.
#[derive(Debug)]
pub(crate) struct Rates {
    named: Rate,
    strangers: Rate,
    buckets: Mutex<HashMap<Key, Bucket>>,
}

impl Rates {
    /// Empty of buckets.
    pub(crate) fn new(named: Rate, strangers: Rate) -> Self {
        Self { named, strangers, buckets: Mutex::default() }
    }

    /// Takes one request out of a bucket; or says how long to wait for one.
    pub(crate) fn take(&self, key: Key) -> Result<(), Duration> {
        self.take_at(key, Instant::now())
    }

    fn take_at(&self, key: Key, now: Instant) -> Result<(), Duration> {
        let rate = match key {
            Key::Named(_) => self.named,
            Key::At(_) => self.strangers,
        };
        let full = u64::from(rate.burst.max(1)) * 1000;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&key) {
            let rate_of = |key: &Key| match key {
                Key::Named(_) => self.named,
                Key::At(_) => self.strangers,
            };
            buckets.retain(|key, bucket| {
                let rate = rate_of(key);
                filled(*bucket, rate, now) < u64::from(rate.burst.max(1)) * 1000
            });
            if buckets.len() >= BUCKETS_MAX {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { left: full, at: now });
        let left = filled(*bucket, rate, now);
        let enough = left >= 1000;
        *bucket = Bucket { left: if enough { left - 1000 } else { left }, at: now };
        if enough {
            return Ok(());
        }
        let missing = 1000 - left;
        Err(Duration::from_millis(missing.div_ceil(u64::from(rate.per_second.max(1)))))
    }
}

/// What a bucket holds by now, in thousandths of a request: a thousandth for each millisecond and
/// request a second.
fn filled(bucket: Bucket, rate: Rate, now: Instant) -> u64 {
    let ms = now.saturating_duration_since(bucket.at).as_millis();
    let gained = ms.saturating_mul(u128::from(rate.per_second.max(1)));
    let full = u64::from(rate.burst.max(1)) * 1000;
    bucket.left.saturating_add(u64::try_from(gained).unwrap_or(u64::MAX)).min(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_served_and_a_flood_is_told_when_to_come_back() {
        let rate = Rate { per_second: 10, burst: 5 };
        let rates = Rates::new(rate, rate);
        let key = || Key::Named("d-1".into());
        let begin = Instant::now();
        for _ in 0..5 {
            assert_eq!(rates.take_at(key(), begin), Ok(()));
        }
        assert_eq!(rates.take_at(key(), begin), Err(Duration::from_millis(100)));
        let other = Key::at("192.0.2.1".parse().unwrap());
        assert_eq!(rates.take_at(other, begin), Ok(()), "each has its own");
        let later = begin + Duration::from_millis(100);
        assert_eq!(rates.take_at(key(), later), Ok(()));
        assert!(rates.take_at(key(), later).is_err());
        let much_later = begin + Duration::from_secs(3600);
        for _ in 0..5 {
            assert_eq!(rates.take_at(key(), much_later), Ok(()));
        }
        assert!(rates.take_at(key(), much_later).is_err(), "a bucket holds no more than a burst");
    }

    #[test]
    fn whoever_has_many_addresses_does_not_fill_the_memory() {
        let rate = Rate { per_second: 1, burst: 1 };
        let rates = Rates::new(rate, rate);
        let now = Instant::now();
        for number in 0..=u32::try_from(BUCKETS_MAX).unwrap() {
            let address = IpAddr::from(number.to_be_bytes());
            assert_eq!(rates.take_at(Key::at(address), now), Ok(()));
        }
        assert!(rates.buckets.lock().unwrap().len() <= BUCKETS_MAX);
    }
}
