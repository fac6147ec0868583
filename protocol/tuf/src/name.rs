//! What files are called: of roles, locally and on the wire, and of targets on the wire.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;

/// The top-level roles (TUF 2.1), whose names no delegated role may have.
pub(crate) const TOP_LEVEL: [&str; 4] = [ROOT, TIMESTAMP, SNAPSHOT, TARGETS];
/// The role that says who may sign.
pub(crate) const ROOT: &str = "root";
/// The role that says what is newest.
pub(crate) const TIMESTAMP: &str = "timestamp";
/// The role that says which versions belong together.
pub(crate) const SNAPSHOT: &str = "snapshot";
/// The role at which every search begins.
pub(crate) const TARGETS: &str = "targets";

/// Longest file name of a role, in bytes: file systems take 255, and a version of up to 20 digits
/// stands before it on the wire.
const FILE_NAME_BYTES_MAX: usize = 200;

/// The local file name of a role: `<quoted role>.json`. It holds no path separator whatever the
/// role is called, so it stays in the folder that it is joined to.
#[must_use]
pub fn local_name(role: &str) -> String {
    format!("{}.json", quoted(role))
}

/// The role of a local file name; none where no role is stored under that name.
#[must_use]
pub fn role_of_local_name(file: &str) -> Option<String> {
    let role = unquoted(file.strip_suffix(".json")?)?;
    (is_role_name(&role) && local_name(&role) == file).then_some(role)
}

/// The name on the wire (TUF 6.2): with the version before it where snapshots are consistent.
pub(crate) fn wire_name(role: &str, version: Option<u64>) -> String {
    match version {
        Some(version) => format!("{version}.{}", local_name(role)),
        None => local_name(role),
    }
}

/// The path of a target on the wire (TUF 5.7.3): the hash goes before the last part of the path.
pub(crate) fn hashed_path(target: &str, hash: &str) -> String {
    match target.rsplit_once('/') {
        Some((folder, file)) => format!("{folder}/{hash}.{file}"),
        None => format!("{hash}.{target}"),
    }
}

/// Whether a role can be called that: not empty, and short enough for a file name.
pub(crate) fn is_role_name(role: &str) -> bool {
    !role.is_empty() && quoted(role).len() <= FILE_NAME_BYTES_MAX
}

/// The bin of `target` among `2^bits` succinct roles (TAP 15): the first bits of the SHA-256 of its
/// name, in hexadecimal digits enough for the last bin.
pub(crate) fn succinct_role(prefix: &str, bits: u32, target: &str) -> String {
    let [a, b, c, d, ..] = *Sha256Digest::of(target.as_bytes()).as_bytes();
    let bin = u32::from_be_bytes([a, b, c, d]) >> 32_u32.saturating_sub(bits);
    let digits = usize::try_from(bits.div_ceil(4)).unwrap_or(8);
    format!("{prefix}-{bin:0digits$x}")
}

/// Percent-encodes all but the unreserved characters (RFC 3986, 2.3), which serves both as one
/// segment of a URL and as a file name.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn unquoted(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let digits = core::str::from_utf8(&digits).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unusual_role_names_stay_in_their_folder() {
        assert_eq!(local_name("rel-m1"), "rel-m1.json");
        assert_eq!(local_name("../a"), "..%2Fa.json");
        assert_eq!(local_name("/a?#%"), "%2Fa%3F%23%25.json");
        assert_eq!(wire_name("é", Some(7)), "7.%C3%A9.json");
        assert_eq!(wire_name("targets", None), "targets.json");
    }

    #[test]
    fn the_hash_goes_before_the_last_part_of_the_path() {
        assert_eq!(hashed_path("m/1/image", "ab"), "m/1/ab.image");
        assert_eq!(hashed_path("image", "ab"), "ab.image");
    }

    #[test]
    fn succinct_roles_are_named_as_tap_15_does() {
        // sha256("a") begins ca 97 81 12.
        assert_eq!(succinct_role("bin", 1, "a"), "bin-1");
        assert_eq!(succinct_role("bin", 8, "a"), "bin-ca");
        assert_eq!(succinct_role("bin", 9, "a"), "bin-195");
        assert_eq!(succinct_role("bin", 32, "a"), "bin-ca978112");
    }

    proptest! {
        #[test]
        fn a_local_name_leads_back_to_its_role(role in ".{1,20}") {
            let file = local_name(&role);
            prop_assert!(!file.contains(['/', '\\', '\0']));
            prop_assert_eq!(role_of_local_name(&file), Some(role));
        }
    }
}
