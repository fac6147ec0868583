//! Credentials and requests as stock clients write them; the rest is shown with real ones in
//! `tests/server/est.rs`.

use super::*;

#[test]
fn credentials_are_read_as_clients_write_them() {
    let claim = STANDARD.encode("SN-1:lzc_a:b");
    let expected = Some(("SN-1".to_owned(), "lzc_a:b".to_owned()));
    assert_eq!(user_and_password(&format!("Basic {claim}")), expected);
    assert_eq!(user_and_password(&format!("bAsIc  {claim} ")), expected);
    for other in ["", "Basic", "Bearer abc", "Basic ?", "Basic YQ==", "Basic /w=="] {
        assert_eq!(user_and_password(other), None, "{other:?}");
    }
}

#[test]
fn a_request_is_read_with_or_without_line_breaks() {
    let der = [7; 100];
    let plain = STANDARD.encode(der);
    let (first, rest) = plain.split_at(64);
    let broken = format!("{first}\r\n{rest}\r\n");
    let expected = csr(&Bytes::from(plain.clone())).unwrap();
    assert!(expected.contains(&plain));
    assert_eq!(csr(&Bytes::from(broken)).unwrap(), expected);
    assert!(csr(&Bytes::from_static(b"-----BEGIN")).is_err());
}
