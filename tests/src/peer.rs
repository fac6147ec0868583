//! A device that is only a key, a certificate and a poll number: what it sends is up to the test.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use serde_json::{Value, json};

use crate::http::{Answer, Connection, Credential, tls};
use crate::site::{MODEL, Site};

/// An enrolled device without an agent.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its device id.
    pub id: String,
    /// What it shows.
    pub credential: Credential,
    /// Its TLS settings.
    pub tls: Arc<ClientConfig>,
}

impl Peer {
    /// Makes a claim as the operator `ana`, and enrols with a fresh key.
    ///
    /// # Errors
    /// The server refuses one of both.
    pub fn enrol(site: &Site, id: &str) -> anyhow::Result<Self> {
        let secret = claim(site, &format!("sn-{id}"), id)?;
        let key = KeyPair::generate()?;
        let request = json!({ "serial": format!("sn-{id}"), "claim": secret, "csr": csr(&key)? });
        let mut nobody = Connection::open(site.device_port, &tls(site, None)?)?;
        let answer = nobody.tell("POST", "/v1/enroll", &request)?;
        Self::of_reply(site, &answer, &key)
    }

    /// Gets a new certificate, with a new key.
    ///
    /// # Errors
    /// The server refuses.
    pub fn renew(&self, site: &Site) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let answer =
            self.connect(site)?.tell("POST", "/v1/renew", &json!({ "csr": csr(&key)? }))?;
        Self::of_reply(site, &answer, &key)
    }

    fn of_reply(site: &Site, answer: &Answer, key: &KeyPair) -> anyhow::Result<Self> {
        ensure!(answer.status == 200, "expected a certificate, got {answer:?}");
        let reply = answer.json();
        let field = |name: &str| {
            let text = reply.get(name).and_then(Value::as_str);
            text.map(str::to_owned).with_context(|| format!("no {name} in {reply}"))
        };
        let credential =
            Credential { chain_pem: field("certificate_chain")?, key_pem: key.serialize_pem() };
        let tls = tls(site, Some(&credential))?;
        Ok(Self { id: field("device")?, credential, tls })
    }

    /// A connection with the device's certificate.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(&self, site: &Site) -> anyhow::Result<Connection> {
        Connection::open(site.device_port, &self.tls)
    }
}

/// A poll with this number, of a device that runs nothing and does not want to be held.
#[must_use]
pub fn poll(sequence: u64) -> Value {
    json!({
        "sequence": sequence,
        "model": MODEL,
        "running": null,
        "update_state": "idle",
        "other_slot": "unknown",
        "boot_count": 1,
        "tuf_timestamp_version": 1,
        "order_sequence": 0,
        "log_head": { "size": 0, "hash": "0".repeat(64) },
        "quarantined": false,
        "hold_ms": 0,
    })
}

/// A request for a claim that lives for an hour.
#[must_use]
pub fn claim_request(serial: &str, device: &str) -> Value {
    json!({
        "serial": serial,
        "device": device,
        "model": MODEL,
        "valid_ms": 3_600_000,
        "reason": "test",
    })
}

/// A claim's secret, made by the operator `ana`.
///
/// # Errors
/// The server refuses.
pub fn claim(site: &Site, serial: &str, device: &str) -> anyhow::Result<String> {
    let ana = tls(site, Some(&Credential::operator(site, "ana")?))?;
    let mut ana = Connection::open(site.operator_port, &ana)?;
    let answer = ana.tell("POST", "/v1/claims", &claim_request(serial, device))?;
    let reply = answer.json();
    let secret = reply.get("claim").and_then(Value::as_str).map(str::to_owned);
    secret.with_context(|| format!("expected a claim, got {answer:?}"))
}

/// A plain request to certify this key.
///
/// # Errors
/// None that a fresh key gives.
pub fn csr(key: &KeyPair) -> anyhow::Result<String> {
    Ok(CertificateParams::default().serialize_request(key)?.pem()?)
}
