//! Keys as `age-keygen` writes them, and headers. That `age` opens files is shown in the suite of
//! stock tools.

use super::*;
use alloc::string::ToString as _;
use alloc::vec;
use proptest::prelude::*;

/// Made by age-keygen 1.1.1.
const PUBLIC: &str = "age1d3zm7qnf244a86gl3cfqavdnrwmv34t8jk2ddasaf60yl3p5w3hs8crv4c";

#[test]
fn keys_of_age_keygen_are_read_and_written() {
    let recipient: Recipient = PUBLIC.parse().unwrap();
    assert_eq!(recipient.to_string(), PUBLIC);
    let secret = Identity([7; 32]).to_text();
    let file = alloc::format!("# created: now\n# public key: {PUBLIC}\n{secret}\n");
    assert_eq!(identities(&file), Ok(vec![Identity([7; 32])]));
}

#[test]
fn other_texts_are_no_keys() {
    let mut wrong = PUBLIC.to_string();
    wrong.pop();
    let secret = Identity([7; 32]).to_text();
    for text in ["", "age1", "age", &wrong, &PUBLIC.to_uppercase(), &secret, "ssh-ed25519 AAAA"] {
        assert!(text.parse::<Recipient>().is_err(), "{text:?}");
    }
    for text in ["", PUBLIC, &secret.to_lowercase()] {
        assert!(text.parse::<Identity>().is_err(), "{text:?}");
    }
    assert!(identities("# nothing\n").is_err());
}

proptest! {
    #[test]
    fn any_key_is_read_as_it_was_written_and_any_changed_letter_is_noticed(
        key: [u8; 32], at in 4usize..62, other in 0usize..32
    ) {
        let text = Recipient(key).to_string();
        prop_assert_eq!(text.parse(), Ok(Recipient(key)));
        let mut bytes = text.into_bytes();
        prop_assume!(bytes[at] != ALPHABET[other]);
        bytes[at] = ALPHABET[other];
        let text = String::from_utf8(bytes).unwrap();
        prop_assert!(text.parse::<Recipient>().is_err());
    }

    #[test]
    fn a_header_is_read_as_it_was_written(
        stanzas in prop::collection::vec(
            (any::<[u8; 32]>(), prop::collection::vec(any::<u8>(), 0..100)),
            1..4,
        ),
        mac: [u8; 32],
    ) {
        let stanzas: Vec<Stanza> =
            stanzas.into_iter().map(|(share, wrapped)| Stanza { share, wrapped }).collect();
        let authenticated = header(&stanzas);
        let mut text = authenticated.clone();
        text.push_str(&mac_line(&mac));
        let length = text.len();
        let mut file = text.into_bytes();
        file.extend_from_slice(b"nonce and payload");
        let read = Header::parse(&file).unwrap();
        prop_assert_eq!(read, Header { stanzas, authenticated: authenticated.len(), mac, length });
    }

    #[test]
    fn any_bytes_are_a_header_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut file = FIRST_LINE.as_bytes().to_vec();
        file.push(b'\n');
        file.extend_from_slice(&bytes);
        let _ = Header::parse(&file);
    }
}

#[test]
fn stanzas_of_others_are_passed_over() {
    let text = alloc::format!(
        "{FIRST_LINE}\n-> scrypt abc 18\nAAAA\n--- {}\n",
        STANDARD_NO_PAD.encode([7; 32])
    );
    let header = Header::parse(text.as_bytes()).unwrap();
    assert_eq!(header.stanzas, vec![]);
}
