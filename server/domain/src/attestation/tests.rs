//! Whose TPM is welcome, and challenges that are good once.

use lazaret_protocol::key::PublicKey;

use super::*;

const KEY: &[u8] = b"endorsement";

fn item(endorsement: Option<Endorsement>) -> Item {
    Item {
        serial: "sn-1".parse().unwrap(),
        device: "d-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        group: Some("lyon".into()),
        endorsement,
        claim: None,
        imei: None,
        iccid: None,
        imsi: None,
        factory: None,
        by: "ana".parse().unwrap(),
        at: Timestamp::from_ms(1),
    }
}

fn hardware(endorsement: &[u8]) -> Hardware {
    let octets = Octets(alloc::vec![1]);
    Hardware {
        endorsement: Sha256Digest::of(endorsement),
        attestation: octets.clone(),
        resets: 3,
        clock_ms: 4,
        quote: TpmStatement { statement: octets.clone(), signature: octets.clone() },
        nonce: Sha256Digest::of(b"nonce"),
        registers: alloc::vec![0, 7],
        digest: octets,
        at: Timestamp::from_ms(1),
    }
}

fn issued() -> Issued {
    Issued {
        key: PublicKey::EcdsaP256(alloc::vec![4; 65]),
        certificate: Sha256Digest::of(b"certificate"),
        ends: Timestamp::from_ms(100),
    }
}

fn missing<T>(key: &str) -> Found<T> {
    Found { key: key.into(), version: None, value: None }
}

/// The device that the machine became, with another TPM or none.
fn enrolled(tpm: Option<&[u8]>) -> Device {
    let listed = item(Some(Endorsement::Certificate));
    let found = (&missing("challenge/sn-1"), &missing("device/d-1"));
    let entered = enroll(&listed, found, (issued(), hardware(b""), None), Timestamp::from_ms(2));
    Device { hardware: tpm.map(hardware), ..entered.preview().clone() }
}

fn code(item: Option<&Item>, device: Option<&Device>, vouched: Vouched) -> Option<RefusalCode> {
    let shown = (&Sha256Digest::of(KEY), vouched);
    let refused = welcome(item, device, &"sn-1".parse().unwrap(), shown).err()?;
    assert!(refused.detail.contains("serial sn-1"), "{refused:?}");
    Some(refused.code)
}

#[test]
fn only_the_listed_tpm_or_one_that_a_maker_vouched_for_is_welcome() {
    let refused = Some(RefusalCode::EndorsementRefused);
    let this = item(Some(Endorsement::Key(Sha256Digest::of(KEY))));
    assert_eq!(code(Some(&this), None, Vouched::No), None);
    let other = item(Some(Endorsement::Key(Sha256Digest::of(b"another"))));
    assert_eq!(code(Some(&other), None, Vouched::ByMaker), refused);
    let any = item(Some(Endorsement::Certificate));
    assert_eq!(code(Some(&any), None, Vouched::ByMaker), None);
    assert_eq!(code(Some(&any), None, Vouched::No), refused);
    // Nobody listed it, or it was to show a claim.
    assert_eq!(code(None, None, Vouched::ByMaker), refused);
    assert_eq!(code(Some(&item(None)), None, Vouched::ByMaker), refused);
}

#[test]
fn the_tpm_that_came_first_stays_and_takes_over_nothing() {
    let refused = Some(RefusalCode::EndorsementRefused);
    let any = item(Some(Endorsement::Certificate));
    assert_eq!(code(Some(&any), Some(&enrolled(Some(KEY))), Vouched::ByMaker), None);
    assert_eq!(code(Some(&any), Some(&enrolled(Some(b"another"))), Vouched::ByMaker), refused);
    assert_eq!(code(Some(&any), Some(&enrolled(None)), Vouched::ByMaker), refused);
}

#[test]
fn a_challenge_is_good_once_and_for_five_minutes_and_only_with_its_secret() {
    let made = Challenge {
        serial: "sn-1".parse().unwrap(),
        challenge: Sha256Digest::of(b"nonce"),
        secret: Sha256Digest::of(b"secret"),
        endorsement: Sha256Digest::of(KEY),
        claimed: [(); 3].map(|()| Octets(alloc::vec![])),
        expires: Timestamp::from_ms(CHALLENGE_MS),
        used: false,
    };
    let code = |made: &Challenge, nonce: &[u8], secret: &[u8], now: u64| {
        let found =
            Found { key: "challenge/sn-1".into(), version: Some(1), value: Some(made.clone()) };
        let shown = (&Sha256Digest::of(nonce), &Sha256Digest::of(secret));
        answered(&found, shown, Timestamp::from_ms(now)).err().map(|refused| refused.code)
    };
    assert_eq!(code(&made, b"nonce", b"secret", CHALLENGE_MS - 1), None);
    let (refused, unproved) = (RefusalCode::ChallengeRefused, RefusalCode::AttestationRefused);
    assert_eq!(code(&made, b"nonce", b"secret", CHALLENGE_MS), Some(refused));
    assert_eq!(code(&made, b"other", b"secret", 0), Some(refused));
    assert_eq!(code(&made, b"nonce", b"guess", 0), Some(unproved));
    let used = Challenge { used: true, ..made };
    assert_eq!(code(&used, b"nonce", b"secret", 0), Some(refused));
    let none = missing("challenge/sn-1");
    let shown = (&Sha256Digest::of(b"nonce"), &Sha256Digest::of(b"secret"));
    assert!(answered(&none, shown, Timestamp::from_ms(0)).is_err());
}

#[test]
fn a_machine_that_was_away_keeps_all_but_its_key_and_certificates() {
    let there = enrolled(Some(KEY));
    assert_eq!(there.group.as_deref(), Some("lyon"));
    let found = Found { key: "device/d-1".into(), version: Some(1), value: Some(there.clone()) };
    let again = Issued { certificate: Sha256Digest::of(b"new"), ..issued() };
    let new = hardware(KEY);
    let listed = item(Some(Endorsement::Certificate));
    let challenge = missing("challenge/sn-1");
    let decided =
        enroll(&listed, (&challenge, &found), (again, new.clone(), None), Timestamp::from_ms(9));
    let expected = Device {
        certificates: alloc::vec![Sha256Digest::of(b"new")],
        hardware: Some(new),
        ..there
    };
    assert_eq!(*decided.preview(), expected);
}

#[test]
fn a_tpm_that_is_younger_than_it_was_is_a_sign_of_a_copy() {
    let there = enrolled(Some(KEY));
    let found = Found { key: "device/d-1".into(), version: Some(1), value: Some(there) };
    let listed = item(Some(Endorsement::Certificate));
    let challenge = missing("challenge/sn-1");
    let signs = |resets: u32, clock_ms: u64| {
        let now = Hardware { resets, clock_ms, ..hardware(KEY) };
        let at = Timestamp::from_ms(9);
        let decided = enroll(&listed, (&challenge, &found), (issued(), now, None), at);
        decided.preview().watch.suspicions.keys().copied().collect::<Vec<Sign>>()
    };
    assert_eq!(signs(3, 5), []);
    assert_eq!(signs(4, 1), [], "its clock starts anew with a reset");
    assert_eq!(signs(2, 9), [Sign::TpmClockFell]);
    assert_eq!(signs(3, 3), [Sign::TpmClockFell]);
}
