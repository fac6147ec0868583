//! Who watches the expiry of roles: the real server says in its event log, once, that a role has to
//! be signed again, and does not say it again after every start.

use std::time::Duration;

use anyhow::ensure;
use lazaret_tests::programs::{Programs, arg};
use lazaret_tests::site::Site;
use lazaret_tests::wait;
use serde_json::{Value, json};

/// Longest wait for a reconciler that runs as the server starts.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was said of `emergency`, the oldest first: its version and how pressing it was.
fn said(site: &Site) -> anyhow::Result<Vec<(u64, String)>> {
    let of = |event: &Value| {
        let fact = event.get("event")?;
        let ours = fact.get("event")? == "role-expires" && fact.get("role")? == "emergency";
        let urgency = fact.get("urgency")?.as_str()?.to_owned();
        ours.then_some((fact.get("version")?.as_u64()?, urgency))
    };
    Ok(site.events()?.iter().filter_map(of).collect())
}

/// Has two holders sign an `emergency` that lives for so many days, and publishes it.
fn publish(site: &Site, version: u64, days: &str) -> anyhow::Result<()> {
    let at = |name: &str| arg(&site.folder.join(format!("{version}.{name}")));
    let (payload, targets) = (at("payload"), arg(&site.keys().join("metadata/1.targets.json")));
    let mut make = vec!["payload", "emergency", "--expires-days", days, "--out", &payload];
    let previous = arg(&site.folder.join(format!("signed/{}.emergency.json", version - 1)));
    let before = if version > 1 { vec!["--previous", &previous] } else { Vec::new() };
    make.extend(&before);
    site.lazaret_keys(&make)?;
    let out = arg(&site.folder.join("signed"));
    let signatures = ["alice", "bob"].map(|holder| at(&format!("{holder}.sig")));
    let mut assemble = vec!["assemble", "--payload", &payload, "--targets", &targets];
    for (holder, signature) in ["alice", "bob"].iter().zip(&signatures) {
        let key = arg(&site.keys().join(format!("holders/{holder}.key")));
        let mut sign = vec!["sign", "--payload", &payload, "--key", &key, "--targets", &targets];
        sign.extend(["--out", signature]);
        sign.extend(&before);
        site.lazaret_keys(&sign)?;
        assemble.extend(["--sig", signature]);
    }
    assemble.extend(["--out-dir", &out]);
    site.lazaret_keys(&assemble)?;
    let signed = arg(&site.folder.join(format!("signed/{version}.emergency.json")));
    site.lazaret(&["repo", "publish", "--metadata", &signed])?;
    Ok(())
}

fn restart(site: &mut Site) -> anyhow::Result<()> {
    site.kill_server()?;
    site.start_server()
}

#[test]
fn a_role_that_has_to_be_signed_again_is_in_the_event_log_once() -> anyhow::Result<()> {
    // If this failed, a role would expire unseen, and no device would take any update; or its
    // warnings would be so many that nobody reads them.
    let folder = tempfile::tempdir()?;
    let mut site = Site::found(Programs::beside_this_one()?, &folder.path().join("site"))?;
    site.init()?;
    site.start_server()?;
    publish(&site, 1, "10")?;
    restart(&mut site)?;
    wait::until("a warning", PATIENCE, || Ok((!said(&site)?.is_empty()).then_some(())))?;
    ensure!(said(&site)? == [(1, "soon".to_owned())], "{:?}", said(&site)?);

    // Signed again for long enough: nothing to say. Then for too short a time, which is news, and
    // comes after whatever an activation in between would have said.
    publish(&site, 2, "100")?;
    restart(&mut site)?;
    publish(&site, 3, "5")?;
    restart(&mut site)?;
    wait::until("another warning", PATIENCE, || Ok((said(&site)?.len() > 1).then_some(())))?;
    let expected = [(1, "soon".to_owned()), (3, "soon".to_owned())];
    ensure!(said(&site)? == expected, "{} {:?}", json!(expected), said(&site)?);
    Ok(())
}
