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
    sources::open(&reference, &mut || Ok(passphrase(text)))
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
fn openssl_reads_a_holder_key_and_agrees_on_the_public_half() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice.key");
    let alice = "alice".parse().unwrap();
    let public = create_holder_key(&alice, &path, &passphrase("correct horse")).unwrap();
    let out = Command::new("openssl")
        .args(["pkey", "-passin", "pass:correct horse", "-pubout", "-outform", "DER", "-in"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let PublicKey::Ed25519(bytes) = public.key else { panic!("not Ed25519") };
    assert!(out.stdout.ends_with(&bytes));
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
    let refused = sources::open("pkcs11:token=x", &mut || Ok(passphrase("correct horse")));
    assert!(matches!(refused.err(), Some(KeyError::UnknownSource { .. })));
}
