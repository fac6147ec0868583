//! Who is let in: codes that are used once, people who are not let in any more, tokens that never
//! allow more than the person may do.

use super::token::{self, ServiceToken};
use super::*;
use crate::record::{decode, key_of};
use alloc::vec;
use lazaret_protocol::operator::TokenRequest;

const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);
const HOUR: u64 = 3_600_000;

fn digest(text: &str) -> Sha256Digest {
    Sha256Digest::of(text.as_bytes())
}

fn nobody<T: Record>(name: &str) -> Found<T> {
    Found { key: key_of::<T>(name), version: None, value: None }
}

fn found<T: Record>(value: T) -> Found<T> {
    Found { key: key_of::<T>(&value.name()), version: Some(1), value: Some(value) }
}

fn admin() -> OperatorName {
    "root".parse().unwrap()
}

fn request(name: &str, roles: &[Role]) -> OperatorRequest {
    OperatorRequest {
        name: name.parse().unwrap(),
        roles: roles.to_vec(),
        scope: None,
        ends: None,
        valid_ms: HOUR,
        reason: "test".into(),
    }
}

fn added(request: &OperatorRequest) -> Result<OperatorRecord, Refused> {
    let nobody = nobody(request.name.as_str());
    let decision = add(&nobody, request, digest("code"), (&admin(), NOW))?;
    Ok(decision.preview().clone())
}

fn code_of(refused: Result<impl core::fmt::Debug, Refused>) -> RefusalCode {
    refused.unwrap_err().code
}

#[test]
fn a_bootstrap_code_makes_one_administrator_once_and_lapses() {
    let nothing = nobody::<Bootstrap>(Bootstrap::NAME);
    let parts = prepare(&nothing, digest("lzb_1"), NOW.plus_ms(HOUR)).into_parts().unwrap();
    let prepared: Bootstrap = decode(&parts.put[0].0, &parts.put[0].1).unwrap();
    let prepared = found(prepared);
    let ana: OperatorName = "ana".parse().unwrap();
    let show = |bootstrap_: &Found<Bootstrap>, code: &str, at: Timestamp| {
        bootstrap((bootstrap_, &nobody("ana")), (&ana, digest(code)), digest("certificate"), at)
    };
    assert_eq!(code_of(show(&nothing, "lzb_1", NOW)), RefusalCode::CodeRefused);
    assert_eq!(code_of(show(&prepared, "lzb_2", NOW)), RefusalCode::CodeRefused);
    let late = NOW.plus_ms(HOUR);
    assert_eq!(code_of(show(&prepared, "lzb_1", late)), RefusalCode::CodeRefused);
    let decision = show(&prepared, "lzb_1", NOW).unwrap();
    assert_eq!(decision.preview().roles, Some(vec![Role::Admin]));
    let parts = decision.into_parts().unwrap();
    let used: Bootstrap = decode(&parts.put[0].0, &parts.put[0].1).unwrap();
    assert_eq!(code_of(show(&found(used), "lzb_1", NOW)), RefusalCode::CodeRefused);
    assert!(parts.expect.iter().any(|(key, _)| *key == prepared.key), "two could use it at once");
}

#[test]
fn an_invitation_voids_the_certificates_before_it_only_when_it_is_used() {
    let record = added(&request("bert", &[Role::Viewer])).unwrap();
    let first = redeem(&found(record), digest("code"), digest("c1"), NOW).unwrap();
    let bert = first.preview().clone();
    let again = redeem(&found(bert.clone()), digest("code"), digest("c2"), NOW);
    assert_eq!(code_of(again), RefusalCode::CodeRefused);

    let invited = invite(&found(bert), (digest("other"), HOUR), (&admin(), NOW)).unwrap();
    let invited = invited.preview().clone();
    let shows = |record: &OperatorRecord, certificate: &str| {
        standing(Some(record), (digest(certificate), vec![Role::Operator]), NOW)
    };
    assert_eq!(shows(&invited, "c1").unwrap().roles, [Role::Viewer]);
    let second = redeem(&found(invited), digest("other"), digest("c2"), NOW).unwrap();
    let bert = second.preview().clone();
    assert_eq!(code_of(shows(&bert, "c1")), RefusalCode::Unauthenticated);
    assert!(shows(&bert, "c2").is_ok());
    // One more on renewal, and the oldest goes.
    let bert = renew(&found(bert), digest("c3")).unwrap().preview().clone();
    let bert = renew(&found(bert), digest("c4")).unwrap().preview().clone();
    assert!(
        shows(&bert, "c2").is_err() && shows(&bert, "c3").is_ok() && shows(&bert, "c4").is_ok()
    );
}

#[test]
fn the_registry_goes_before_the_certificate() {
    let ana: OperatorName = "ana".parse().unwrap();
    let said = || (digest("c"), vec![Role::Operator]);
    assert_eq!(standing(None, said(), NOW).unwrap().roles, [Role::Operator]);
    let disabled = disable(&nobody("ana"), &ana, "left", (&admin(), NOW)).unwrap();
    let disabled = disabled.preview().clone();
    assert_eq!(code_of(standing(Some(&disabled), said(), NOW)), RefusalCode::Forbidden);
    let enabled = enable(&found(disabled), &admin()).unwrap().preview().clone();
    assert_eq!(standing(Some(&enabled), said(), NOW).unwrap().roles, [Role::Operator]);
    for refused in [
        disable(&nobody("root"), &admin(), "x", (&admin(), NOW)).map(drop),
        enable(&found(OperatorRecord { name: admin(), ..enabled }), &admin()).map(drop),
    ] {
        assert_eq!(code_of(refused), RefusalCode::Forbidden, "nobody decides about themselves");
    }
}

#[test]
fn a_third_party_has_an_end_and_who_manages_people_does_nothing_else() {
    let scope = Scope { models: vec!["gw2".parse().unwrap()], ..Scope::default() };
    let mut third = request("acme", &[Role::Responder]);
    third.scope = Some(scope);
    assert_eq!(code_of(added(&third)), RefusalCode::BadRequest);
    third.ends = Some(NOW);
    assert_eq!(code_of(added(&third)), RefusalCode::BadRequest);
    third.ends = Some(NOW.plus_ms(HOUR));
    let acme = added(&third).unwrap();
    assert!(acme.admitted(NOW).is_ok());
    assert_eq!(code_of(acme.admitted(NOW.plus_ms(HOUR))), RefusalCode::Forbidden);
    third.scope = Some(Scope::default());
    assert_eq!(code_of(added(&third)), RefusalCode::BadRequest);

    assert!(added(&request("a", &[Role::Admin, Role::Auditor])).is_ok());
    for roles in [&[][..], &[Role::Admin, Role::Operator], &[Role::Admin, Role::ReleaseManager]] {
        assert_eq!(code_of(added(&request("a", roles))), RefusalCode::BadRequest, "{roles:?}");
    }
}

fn token(roles: &[Role], person: &Standing) -> Result<ServiceToken, Refused> {
    let request = TokenRequest {
        purpose: "ci".into(),
        roles: roles.to_vec(),
        scope: None,
        valid_ms: HOUR,
        reason: "test".into(),
    };
    let ana: OperatorName = "ana".parse().unwrap();
    let named = (digest("secret"), "t-1".into());
    let decision = token::make(&nobody("x"), &request, named, (&ana, person, NOW))?;
    Ok(decision.preview().clone())
}

#[test]
fn a_token_allows_no_more_than_its_person_may_do_at_that_moment() {
    let roles = vec![Role::Operator, Role::Viewer, Role::Admin];
    let person = Standing { roles, scopes: vec![], ends: None };
    assert_eq!(code_of(token(&[Role::Auditor], &person)), RefusalCode::Forbidden);
    assert_eq!(code_of(token(&[Role::Admin], &person)), RefusalCode::Forbidden);
    let made = token(&[Role::Operator, Role::Viewer], &person).unwrap();
    assert_eq!(token::standing(&made, None, NOW).unwrap().roles.len(), 2);

    let mut ana = added(&request("ana", &[Role::Viewer])).unwrap();
    let scope = Scope { groups: vec!["lyon".into()], ..Scope::default() };
    ana.scope = Some(scope.clone());
    let narrowed = token::standing(&made, Some(&ana), NOW).unwrap();
    assert_eq!((narrowed.roles, narrowed.scopes), (vec![Role::Viewer], vec![scope]));
    ana.disabled = Some("left".into());
    assert_eq!(code_of(token::standing(&made, Some(&ana), NOW)), RefusalCode::Forbidden);

    let late = NOW.plus_ms(HOUR);
    assert_eq!(code_of(token::standing(&made, None, late)), RefusalCode::Unauthenticated);
    let owner = made.operator.clone();
    let revoked = token::revoke(&found(made.clone()), (&owner, &[]), NOW).unwrap();
    let refused = token::standing(revoked.preview(), None, NOW);
    assert_eq!(code_of(refused), RefusalCode::Unauthenticated);
    let other = token::revoke(&found(made.clone()), (&admin(), &[Role::Operator]), NOW);
    assert_eq!(code_of(other), RefusalCode::NotFound, "not even whose it is");
    assert!(token::revoke(&found(made), (&admin(), &[Role::Admin]), NOW).is_ok());
}

#[test]
fn a_token_ends_with_the_access_of_its_person_and_stays_within_their_scope() {
    let scope = Scope { incident: Some("i-7".into()), ..Scope::default() };
    let ends = NOW.plus_ms(HOUR / 2);
    let person =
        Standing { roles: vec![Role::Viewer], scopes: vec![scope.clone()], ends: Some(ends) };
    let made = token(&[Role::Viewer], &person).unwrap();
    assert_eq!(made.ends, ends);
    assert_eq!(token::standing(&made, None, NOW).unwrap().scopes, [scope]);
}
