//! Who may log in, and in which state each password is. No password is collected, and no hash of
//! one: only whether there is one, of which kind, and when it was changed.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Failure, Scene, bounded, cut};

const USERS: &str = "/etc/passwd";
const PASSWORDS: &str = "/etc/shadow";

pub(super) fn users(_: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    let users = String::from_utf8_lossy(&bounded(Path::new(USERS))?).into_owned();
    let passwords = bounded(Path::new(PASSWORDS));
    let states = match &passwords {
        Ok(bytes) => states(&String::from_utf8_lossy(bytes)),
        Err(_) => BTreeMap::new(),
    };
    let mut out = String::from("user\tuid\tgid\tshell\tpassword\tchanged-day\n");
    for line in users.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, .., shell] = fields.as_slice() else { continue };
        let (state, changed) = states.get(*name).map_or(("unknown", ""), |(s, c)| (s, c.as_str()));
        let row = [*name, *uid, *gid, *shell, state, changed].map(plain).join("\t");
        out.push_str(&row);
        out.push('\n');
    }
    if let Err(why) = passwords {
        out.push_str(&format!("[states are unknown: {why}]\n"));
    }
    Ok(cut(out.into_bytes()))
}

fn states(shadow: &str) -> BTreeMap<String, (&'static str, String)> {
    let state = |line: &str| {
        let mut fields = line.split(':');
        let (name, password, changed) = (fields.next()?, fields.next()?, fields.next()?);
        Some((name.to_owned(), (state_of(password), changed.to_owned())))
    };
    shadow.lines().filter_map(state).collect()
}

/// What a field of shadow(5) says, without what is in it.
fn state_of(password: &str) -> &'static str {
    match password {
        "" => "EMPTY",
        locked if locked.starts_with('!') => "locked",
        "*" | "x" => "none",
        sha512 if sha512.starts_with("$6$") => "set, sha512crypt",
        yescrypt if yescrypt.starts_with("$y$") => "set, yescrypt",
        sha256 if sha256.starts_with("$5$") => "set, sha256crypt",
        md5 if md5.starts_with("$1$") => "set, MD5: weak",
        des if !des.starts_with('$') => "set, DES: weak",
        _ => "set",
    }
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_passwords_are_told_and_never_their_hashes() {
        let shadow = "root:$6$salt$secretHASH:19000:0:99999:7:::\nopen::1::::::\nd:*:2::::::\n\
                      off:!$6$salt$HASH:3::::::\nold:ab01FAX.bQRSU:4::::::\n";
        let states = states(shadow);
        assert_eq!(states["root"], ("set, sha512crypt", "19000".to_owned()));
        assert_eq!(states["open"].0, "EMPTY");
        assert_eq!((states["d"].0, states["off"].0), ("none", "locked"));
        assert_eq!(states["old"].0, "set, DES: weak");
        assert!(!format!("{states:?}").contains("HASH"));
    }
}
