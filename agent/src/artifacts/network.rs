//! Interfaces, sockets and counters, as the kernel lists them.

use super::{Failure, Scene, together};

pub(super) fn sockets(_: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    together(&[
        "/proc/net/tcp",
        "/proc/net/tcp6",
        "/proc/net/udp",
        "/proc/net/udp6",
        "/proc/net/raw",
        "/proc/net/unix",
    ])
}

pub(super) fn counters(_: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    together(&[
        "/proc/net/dev",
        "/proc/net/snmp",
        "/proc/net/snmp6",
        "/proc/net/softnet_stat",
        "/proc/net/netstat",
        "/proc/net/sockstat",
        "/proc/net/packet",
        "/proc/net/nf_conntrack",
        "/proc/net/ip_tables_names",
    ])
}

pub(super) fn interfaces(_: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    together(&[
        "/proc/net/dev",
        "/proc/net/route",
        "/proc/net/ipv6_route",
        "/proc/net/if_inet6",
        "/proc/net/fib_trie",
        "/proc/net/arp",
    ])
}
