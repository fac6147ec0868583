//! The conversation, with a store that signs by echo.

use super::*;
use crate::stores::KeyStoreError;

struct Echo;

impl KeyStore for Echo {
    fn public(&mut self) -> Result<Option<PublicKey>, KeyStoreError> {
        Ok(None)
    }

    fn create(&mut self) -> Result<PublicKey, KeyStoreError> {
        Ok(PublicKey::EcdsaP256(vec![4, 1, 2]))
    }

    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, KeyStoreError> {
        if message.is_empty() { Err(KeyStoreError::NoKey) } else { Ok(message.to_vec()) }
    }
}

fn answers(input: &[u8]) -> Vec<String> {
    let mut output = Vec::new();
    serve(&mut Echo, input, &mut output).unwrap();
    String::from_utf8(output).unwrap().lines().map(ToOwned::to_owned).collect()
}

#[test]
fn every_request_has_its_answer_and_an_error_ends_nothing() {
    let input = b"\"create\"\n{\"sign\":\"aGk=\"}\n{\"sign\":\"\"}\n{\"sign\":\"?\"}\nwhat\n{\"sign\":\"aGk=\"}\n\"claims\"\n";
    let answers = answers(input);
    assert_eq!(answers.len(), 7);
    assert_eq!(answers[0], r#"{"public":{"algorithm":"ecdsa-p256-sha256","public":"BAEC"}}"#);
    assert_eq!(answers[1], r#"{"signature":"aGk="}"#);
    assert_eq!(answers[2], r#"{"error":"there is no key"}"#);
    assert!(answers[3].starts_with(r#"{"error":"expected a request"#));
    assert!(answers[4].starts_with(r#"{"error":"expected a request"#));
    assert_eq!(answers[5], answers[1]);
    assert_eq!(answers[6], r#"{"error":"expected a store that can attest, such as a TPM"}"#);
}

#[test]
fn a_line_past_the_limit_ends_the_conversation() {
    let line = vec![b'a'; usize::try_from(LINE_BYTES_MAX).unwrap() + 1];
    let answers = answers(&line);
    assert_eq!(answers, [r#"{"error":"expected a line of at most 524288 bytes"}"#]);
}
