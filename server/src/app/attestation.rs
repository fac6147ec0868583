//! A machine enrols by what its TPM states: it is challenged, and it answers.

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use lazaret_protocol::attested::{AttestedRequest, ChallengeReply, ChallengeRequest, Octets};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::enroll::EnrollReply;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol_tpm::credential;
use lazaret_protocol_tpm::enrolment::{Claimed, EnrolmentError, Proof};
use lazaret_server_domain::attestation::{self, CHALLENGE_MS, Challenge, Hardware};
use lazaret_server_domain::device::Device;
use lazaret_server_domain::event::Event;
use lazaret_server_domain::inventory::Item;
use lazaret_server_domain::measurement;
use lazaret_server_domain::record::{Decision, Found};
use lazaret_server_domain::refused::Refused;
use lazaret_server_store::Committed;

use super::context::{App, random};
use super::error::AppError;
use super::issue;

/// Registers of the SHA-256 bank that a quote is asked for: firmware, and secure boot's policy
/// (TCG PC client platform firmware profile, 3.3.4).
const REGISTERS: [u8; 2] = [0, 7];

/// Makes a credential that only the machine's TPM opens.
///
/// # Errors
/// The TPM is not welcome, or its keys are not of their kinds; or the store.
pub(crate) async fn challenge(
    app: &App,
    request: &ChallengeRequest,
) -> Result<Committed<ChallengeReply>, AppError> {
    let claimed = Claimed::parse(&request.endorsement.0, &request.attestation.0, &request.device.0)
        .map_err(refused)?;
    let certificate = request.certificate.as_ref().map(|octets| octets.0.as_slice());
    let vouched = app.makers.vouch(&claimed.endorsement, certificate, app.now());
    let endorsement = Sha256Digest::of(&claimed.endorsement.spki());
    let secret = random::<32>()?;
    // The system's randomness was there a line before, and does not go away.
    let mut system = UnwrapErr(SysRng);
    let made =
        credential::make(&claimed.endorsement, claimed.attestation.name(), &secret, &mut system)
            .map_err(|err| refused(EnrolmentError::Endorsement(Some(err))))?;
    let nonce = Sha256Digest::from_bytes(random::<32>()?);
    let committed = app
        .decide(|| async {
            let serial = &request.serial;
            let item: Found<Item> = app.store.find(serial.as_str()).await?;
            let device = of_item(app, item.value.as_ref()).await?;
            let (item, device) = (item.value.as_ref(), device.value.as_ref());
            attestation::welcome(item, device, serial, (&endorsement, vouched))?;
            let found = app.store.find(serial.as_str()).await?;
            let claimed = [&request.endorsement, &request.attestation, &request.device];
            let challenge = Challenge {
                serial: serial.clone(),
                challenge: nonce,
                secret: Sha256Digest::of(&secret),
                endorsement,
                claimed: claimed.map(Clone::clone),
                expires: app.now().plus_ms(CHALLENGE_MS),
                used: false,
            };
            Ok(attestation::challenge(&found, &challenge))
        })
        .await?;
    Ok(committed.map(|()| ChallengeReply {
        challenge: nonce,
        blob: Octets(made.blob),
        seed: Octets(made.seed),
        registers: REGISTERS.to_vec(),
    }))
}

/// Enrols a machine that has answered its challenge.
///
/// # Errors
/// The challenge is not to be answered any more, or the TPM does not prove what it has to; or the
/// store.
pub(crate) async fn enroll(
    app: &App,
    request: &AttestedRequest,
) -> Result<Committed<EnrollReply>, AppError> {
    let secret = Sha256Digest::of(&request.secret.0);
    let key = issue::public(&issue::checked_key(&request.csr)?);
    app.decide(|| async {
        let now = app.now();
        let found: Found<Challenge> = app.store.find(request.serial.as_str()).await?;
        let made = attestation::answered(&found, (&request.challenge, &secret), now)?;
        let [endorsement, attestation, device] = &made.claimed;
        let claimed = Claimed::parse(&endorsement.0, &attestation.0, &device.0).map_err(refused)?;
        let (certified, quote) = (&request.certified, &request.quote);
        let proof = claimed
            .prove(
                &key,
                (request.challenge.as_bytes(), &REGISTERS),
                (&certified.statement.0, &certified.signature.0),
                (&quote.statement.0, &quote.signature.0),
            )
            .map_err(refused)?;
        let item: Found<Item> = app.store.find(request.serial.as_str()).await?;
        let device = of_item(app, item.value.as_ref()).await?;
        // The list may have changed since the challenge was made. That a maker had vouched was
        // seen then.
        let vouched = (&made.endorsement, attestation::Vouched::ByMaker);
        let there = device.value.as_ref();
        let welcome = attestation::welcome(item.value.as_ref(), there, &request.serial, vouched)?;
        let measured = (proof.registers.clone(), Octets(proof.digest.clone()));
        let judged = measurement::judge(welcome, (&measured.0, &measured.1), &app.measurements);
        let unexpected = match judged {
            measurement::Judged::Expected => None,
            measurement::Judged::Told(fact) => Some(fact),
            measurement::Judged::Refused(fact, refused) => {
                let told = Decision::reply(refused).event(Event { at: now, fact });
                return Err(app.store.commit(told).await?.into_reply().into());
            }
        };
        let issued = app.issuer.issue(&welcome.device, &request.csr, now)?;
        let reply = EnrollReply {
            device: welcome.device.clone(),
            certificate_chain: issued.chain,
            not_after: issued.issued.ends,
        };
        let hardware = hardware(made, request, proof, now);
        let made = (issued.issued, hardware, unexpected);
        let decision = attestation::enroll(welcome, (&found, &device), made, now);
        Ok(decision.resting_on(&item).with_reply(reply))
    })
    .await
}

/// The device that a machine becomes or is; none where nobody knows the machine.
async fn of_item(app: &App, item: Option<&Item>) -> Result<Found<Device>, AppError> {
    let name = item.map_or("", |item| item.device.as_str());
    Ok(app.store.find(name).await?)
}

fn hardware(
    made: &Challenge,
    request: &AttestedRequest,
    proof: Proof,
    now: lazaret_protocol::time::Timestamp,
) -> Hardware {
    let [_, attestation, _] = &made.claimed;
    Hardware {
        endorsement: made.endorsement,
        attestation: attestation.clone(),
        resets: proof.clock.resets,
        clock_ms: proof.clock.clock_ms,
        quote: request.quote.clone(),
        nonce: made.challenge,
        registers: proof.registers,
        digest: Octets(proof.digest),
        at: now,
    }
}

/// Each way of not being believed has its own name.
fn refused(err: EnrolmentError) -> AppError {
    let code = match &err {
        EnrolmentError::Endorsement(_) => RefusalCode::EndorsementRefused,
        EnrolmentError::DeviceKey(_) | EnrolmentError::OtherKey => RefusalCode::KeyNotBound,
        EnrolmentError::Stale { .. } => RefusalCode::ChallengeRefused,
        _ => RefusalCode::AttestationRefused,
    };
    let source = std::error::Error::source(&err).map_or(String::new(), |why| format!(": {why}"));
    Refused::because(code, format!("{err}{source}")).into()
}
