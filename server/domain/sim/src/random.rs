//! Randomness from a seed: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
//! generators", OOPSLA 2014) as a hash, so that what a device does at one moment does not depend on
//! the order in which anybody asks.

/// A number that looks random, from three.
pub(crate) const fn mix(seed: u64, a: u64, b: u64) -> u64 {
    let mut z = seed
        .wrapping_add(a.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_add(b.wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number below `below`; 0 where that is 0. The bias is below 2^-32 for what is asked here.
pub(crate) const fn below(random: u64, below: u64) -> u64 {
    match random.checked_rem(below) {
        Some(number) => number,
        None => 0,
    }
}

/// Whether something that happens in `permille` of 1000 cases happens.
pub(crate) const fn happens(random: u64, permille: u32) -> bool {
    below(random, 1000) < permille as u64
}

/// A number from 0 to 1.
pub(crate) fn unit(random: u64) -> f64 {
    // 53 bits are what a double holds.
    let bits = u32::try_from(random >> 32).unwrap_or(u32::MAX);
    (f64::from(bits) + 0.5) / 4_294_967_296.0
}

/// A log-normal number with this median and spread of its logarithm (Box-Muller).
pub(crate) fn log_normal(random: u64, median: f64, spread: f64) -> f64 {
    let (a, b) = (unit(random), unit(mix(random, 1, 2)));
    let normal = libm::sqrt(-2.0 * libm::log(a)) * libm::cos(core::f64::consts::TAU * b);
    median * libm::exp(spread * normal)
}
