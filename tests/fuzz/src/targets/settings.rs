//! What people write by hand: settings, policies, filters and signed approvals.

use std::path::Path;
use std::sync::LazyLock;

use lazaret_agent::config::Config;
use lazaret_protocol::sshsig::{NAMESPACE_PLAN, SshKey, SshSignature};
use lazaret_server_domain::filter::Filter;
use lazaret_server_domain::rollout::policy::Policy;

/// The key that made the seeds.
static KEY: LazyLock<SshKey> = LazyLock::new(|| {
    let line = include_str!("../../../../protocol/src/sshsig/fixtures/ed.pub");
    line.trim().parse().expect("a key")
});

pub(crate) fn agent_config(input: &[u8]) {
    if let Err(err) = Config::parse(&String::from_utf8_lossy(input), Path::new("/etc/lazaret")) {
        assert!(!err.to_string().is_empty(), "what is wrong has words");
    }
}

pub(crate) fn agent_config_seeds() -> Vec<Vec<u8>> {
    let whole = "server = \"https://updates.example.com:8443\"\nserver_ca = \"ca.pem\"\n\
        tuf_root = \"root.json\"\nmodel = \"gw2\"\nserial = \"SN-1\"\nstate_dir = \"state\"\n\
        poll_interval = \"60s\"\n[slots]\nkind = \"directory\"\npath = \"slots\"\n\
        [[probe]]\nkind = \"command\"\nrun = [\"true\"]\n";
    vec![whole.into(), b"server = 1\n[[probe]]\n[[probe]]\n".to_vec(), Vec::new()]
}

pub(crate) fn policy(input: &[u8]) {
    let Ok(policy) = toml::from_str::<Policy>(&String::from_utf8_lossy(input)) else { return };
    let _problems = policy.check();
}

pub(crate) fn policy_seeds() -> Vec<Vec<u8>> {
    vec![
        include_bytes!("../../../../server/domain/policies/normal.toml").to_vec(),
        include_bytes!("../../../../server/domain/policies/emergency.toml").to_vec(),
    ]
}

/// A filter that was read reads the same again from its own text; one that was not points at a
/// character of it, or just behind its end.
pub(crate) fn filter(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match text.parse::<Filter>() {
        Ok(filter) => {
            assert_eq!(filter.as_str().parse(), Ok(filter.clone()), "a filter is not what it was");
        }
        Err(err) => {
            let columns = text.chars().count().saturating_add(1);
            assert!((1..=columns).contains(&err.column), "column {} of {columns}", err.column);
        }
    }
}

pub(crate) fn filter_seeds() -> Vec<Vec<u8>> {
    [
        "model==gw2;version=lt=2.4.0;(label.site==lyon,last_seen=lt=7d)",
        "serial=in=('a b',\"c\\\"d\");state!=quarantined",
        "((((((((((((((((model==x))))))))))))))))",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

pub(crate) fn ssh_signature(input: &[u8]) {
    let Ok(signature) = SshSignature::parse(&String::from_utf8_lossy(input)) else { return };
    let held = signature.verify(&KEY, NAMESPACE_PLAN, b"nobody signs this");
    assert!(held.is_err(), "nobody signed this message");
}

pub(crate) fn ssh_signature_seeds() -> Vec<Vec<u8>> {
    vec![
        include_bytes!("../../../../protocol/src/sshsig/fixtures/ed.sig").to_vec(),
        include_bytes!("../../../../protocol/src/sshsig/fixtures/ec.sig").to_vec(),
    ]
}
