//! The policies that come with Lazaret, as TOML: a shell parses them like the operator's own.

/// Name and text of each.
pub const SHIPPED: &[(&str, &str)] = &[
    ("normal", include_str!("../../../policies/normal.toml")),
    ("slow", include_str!("../../../policies/slow.toml")),
    ("emergency", include_str!("../../../policies/emergency.toml")),
];
