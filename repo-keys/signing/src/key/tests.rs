//! Key files: what is written is read back, by OpenSSL too, and by nobody without the passphrase.

use super::*;
use crate::role::OfflineRole;
use crate::sources;
use std::process::Command;

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned()).unwrap()
}

fn open(path: &Path, text: &str) -> Result<Box<dyn sources::HolderSigner>, KeyError> {
    let reference = path.to_string_lossy().into_owned();
    sources::open(&reference, sources::Secret::Passphrase(passphrase(text)))
}

#[test]
fn a_holder_key_signs_after_its_passphrase_and_not_without() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice.key");
    let alice = "alice".parse().unwrap();
    let public = create_holder_key(&alice, &path, &passphrase("correct horse")).unwrap();

    let signer = open(&path, "correct horse").unwrap();
    let signature = signer.sign(&OfflineRole::Root, b"payload").unwrap();
    assert_eq!(public.key.verify(b"payload", &signature), Ok(()));
    let on_disk = std::fs::read(folder.path().join("alice.pub")).unwrap();
    assert_eq!(serde_json::from_slice::<HolderPublic>(&on_disk).unwrap(), public);

    let refused = open(&path, "wrong horse!").err().unwrap();
    assert!(matches!(refused, KeyError::WrongPassphrase { .. }), "{refused:?}");
    let again = create_holder_key(&alice, &path, &passphrase("correct horse")).unwrap_err();
    assert!(matches!(again, KeyError::File(FileError::Exists { .. })), "{again:?}");
}

#[test]
fn a_holder_key_is_sealed_with_argon2id_and_its_parameters_cannot_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice.key");
    let alice = "alice".parse().unwrap();
    create_holder_key(&alice, &path, &passphrase("correct horse")).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["kdf"], "argon2id");
    assert!(json["memory_kib"].as_u64().unwrap() >= 19 * 1024);

    let changed = |from: &str, to: &str| {
        let other = text.replace(from, to);
        assert_ne!(other, text);
        let path = folder.path().join("changed.key");
        durable::replace_with::<_, FileError>(&path, Access::Private, |file| {
            use std::io::Write as _;
            file.write_all(other.as_bytes()).map_err(FileError::io("write", &path))
        })
        .unwrap();
        open(&path, "correct horse").err().unwrap()
    };
    let weaker = changed(r#""memory_kib":65536"#, r#""memory_kib":32768"#);
    assert!(matches!(weaker, KeyError::WrongPassphrase { .. }), "{weaker:?}");
    for (from, to) in [
        (r#""memory_kib":65536"#, r#""memory_kib":8"#),
        (r#""memory_kib":65536"#, r#""memory_kib":4294967295"#),
        (r#""passes":3"#, r#""passes":4294967295"#),
        (r#""kdf":"argon2id""#, r#""kdf":"argon2i""#),
    ] {
        let refused = changed(from, to);
        assert!(matches!(refused, KeyError::Malformed { .. }), "{to}: {refused:?}");
    }
}

#[test]
fn a_holder_key_that_another_tool_encrypted_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice.key");
    let done = Command::new("sh")
        .arg("-c")
        .arg(
            "umask 077; \
              openssl genpkey -algorithm ed25519 -aes256 -pass 'pass:correct horse' -out $0",
        )
        .arg(&path)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    open(&path, "correct horse").unwrap();
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice.key");
    create_holder_key(&"alice".parse().unwrap(), &path, &passphrase("correct horse")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let refused = open(&path, "correct horse").err().unwrap();
    assert!(matches!(refused, KeyError::Readable { mode: 0o640, .. }), "{refused:?}");
}

#[test]
fn short_passphrases_are_refused() {
    let refused = Passphrase::new("elevenchars".to_owned()).unwrap_err();
    assert_eq!(refused, crate::passphrase::PassphraseError::TooShort { got: 11 });
}

#[test]
fn a_mistyped_source_is_not_taken_for_a_file() {
    let secret = sources::Secret::Passphrase(passphrase("correct horse"));
    let refused = sources::open("pcks11:token=x", secret);
    assert!(matches!(refused.err(), Some(KeyError::UnknownSource { .. })));
}
