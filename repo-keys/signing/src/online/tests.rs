//! What the server's folder of keys may hold, and what stops the server.

use super::*;
use crate::key::create_holder_key;
use crate::passphrase::Passphrase;
use std::os::unix::fs::PermissionsExt as _;

fn folder() -> (tempfile::TempDir, PathBuf, OnlinePublic) {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("online");
    let public = OnlineKeys::create(&folder).unwrap();
    (outer, folder, public)
}

fn holder_key(path: &Path) {
    let passphrase = Passphrase::new("correct horse".to_owned()).unwrap();
    create_holder_key(&"alice".parse().unwrap(), path, &passphrase).unwrap();
}

#[test]
fn online_keys_are_read_back_as_made() {
    let (_outer, folder, public) = folder();
    let keys = OnlineKeys::load(&folder).unwrap();
    assert_eq!(keys.public(), public);
    let signature = keys.sign(OnlineRole::Snapshot, b"x");
    assert_eq!(public.snapshot.verify(b"x", &signature), Ok(()));
    assert!(public.timestamp.verify(b"x", &signature).is_err());
    assert!(!format!("{keys:?}").contains("SigningKey"));
}

#[test]
fn an_encrypted_key_in_the_place_of_an_online_key_stops_the_server() {
    let (_outer, folder, _) = folder();
    fs::remove_file(folder.join("deltas.pem")).unwrap();
    holder_key(&folder.join("deltas.pem"));
    let refused = OnlineKeys::load(&folder).unwrap_err();
    assert!(matches!(refused, KeyError::Encrypted { .. }), "{refused:?}");
}

#[test]
fn a_further_private_key_in_the_folder_stops_the_server() {
    let (_outer, folder, _) = folder();
    holder_key(&folder.join("innocent.txt"));
    let refused = OnlineKeys::load(&folder).unwrap_err();
    assert!(matches!(refused, KeyError::Unexpected { .. }), "{refused:?}");
}

#[test]
fn a_key_that_root_lists_stops_the_server() {
    let (_outer, folder, public) = folder();
    let keys = OnlineKeys::load(&folder).unwrap();
    assert!(keys.refuse_offline(&[]).is_ok());
    let refused = keys.refuse_offline(&[public.timestamp]).unwrap_err();
    assert!(matches!(refused, KeyError::OfflineKey { .. }), "{refused:?}");
}

#[test]
fn an_online_key_that_the_group_can_read_stops_the_server() {
    let (_outer, folder, _) = folder();
    let path = folder.join("orders.pem");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = OnlineKeys::load(&folder).unwrap_err();
    assert!(matches!(refused, KeyError::Readable { .. }), "{refused:?}");
}

#[test]
fn the_listed_key_signs_and_the_first_order_key_that_the_anchors_name() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    let (was, will) = (OnlineKeys::create(&old).unwrap(), OnlineKeys::create(&new).unwrap());
    let keys = OnlineKeys::load(&old).unwrap().with_next(&new).unwrap();
    for listed in [&was.snapshot, &will.snapshot] {
        let signature = keys.sign_as(OnlineRole::Snapshot, listed, b"payload").unwrap();
        assert_eq!(listed.verify(b"payload", &signature), Ok(()));
    }
    assert_eq!(keys.sign_as(OnlineRole::Snapshot, &was.timestamp, b"payload"), None);

    assert_eq!(keys.orders_public(), was.orders);
    assert!(keys.choose_orders(&[was.orders.clone(), will.orders.clone()]));
    assert_eq!(keys.orders_public(), was.orders);
    assert!(keys.choose_orders(std::slice::from_ref(&will.orders)));
    assert_eq!(keys.orders_public(), will.orders);
    assert_eq!(will.orders.verify(b"order", &keys.sign_order(b"order")), Ok(()));
    assert!(!keys.choose_orders(std::slice::from_ref(&was.snapshot)));
    assert_eq!(keys.orders_public(), will.orders);
    // A holder's key is refused wherever it lies.
    assert!(keys.refuse_offline(&[will.deltas.clone()]).is_err());
}
