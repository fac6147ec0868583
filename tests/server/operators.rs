//! Who may act on the real server: the first administrator, those who come after, their programs,
//! third parties, and a walk of every route with every credential.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this program is a test"
)]

use std::path::PathBuf;
use std::time::Duration;

use lazaret_protocol::operator::Role;
use lazaret_protocol::time::Timestamp;
use lazaret_tests::http::{Answer, Connection, Credential, tls};
use lazaret_tests::peer::{self, Peer};
use lazaret_tests::programs::{self, Programs};
use lazaret_tests::site::Site;
use lazaret_tests::wait;
use rustls::AlertDescription;
use serde_json::{Value, json};

mod routes;

/// At once, on a machine with other work to do: well before a stream says that it is still there.
const AT_ONCE: Duration = Duration::from_secs(8);

/// A site whose first administrator has logged in with the code of `init`.
fn founded() -> (tempfile::TempDir, Site, String) {
    let folder = tempfile::tempdir().unwrap();
    let programs = Programs::beside_this_one().unwrap();
    let mut site = Site::found(programs, &folder.path().join("site")).unwrap();
    let said = site.init().unwrap();
    let code = said["bootstrap"]["code"].as_str().expect("a code").to_owned();
    site.start_server().unwrap();
    (folder, site, code)
}

/// What `lazaret login` says; its settings lie in the folder of that name.
fn login(site: &Site, name: &str, code: &str) -> anyhow::Result<Value> {
    let out = site.folder.join("people").join(name);
    let mut command = site.programs.command("lazaret");
    command.args(["--json", "login", "--name", name, "--code", code]);
    command.arg("--at").arg(format!("https://localhost:{}", site.sign_in_port));
    command.arg("--server-ca").arg(site.keys().join("ca/server-ca.pem"));
    programs::json(command.arg("--out").arg(out))
}

/// A command of somebody who has logged in.
fn lazaret(site: &Site, name: &str, args: &[&str]) -> anyhow::Result<Value> {
    let mut command = site.programs.command("lazaret");
    command.arg("--json").arg("--config");
    command.arg(site.folder.join("people").join(name).join("cli.toml"));
    programs::json(command.args(args))
}

fn credential(site: &Site, name: &str) -> Credential {
    let folder = site.folder.join("people").join(name);
    let read = |file: String| std::fs::read_to_string(folder.join(file)).unwrap();
    let (chain, key) = (format!("{name}.pem"), format!("{name}.key.pem"));
    Credential { chain_pem: read(chain), key_pem: read(key) }
}

fn connected(site: &Site, shown: &Credential) -> Connection {
    Connection::open(site.operator_port, &tls(site, Some(shown)).unwrap()).unwrap()
}

/// Asks on the sign-in listener, with a token or with nothing.
fn bearing(site: &Site, token: Option<&str>, method: &str, path: &str) -> Answer {
    let mut open = Connection::open(site.sign_in_port, &tls(site, None).unwrap()).unwrap();
    let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n"));
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{}content-length: 2\r\n\r\n{{}}",
        bearer.unwrap_or_default()
    );
    open.send(head.as_bytes()).unwrap();
    // Asked of nobody who is let in: a stream has no end.
    open.answer().unwrap()
}

#[test]
fn the_first_administrator_comes_in_with_a_code_once_and_lets_others_in() {
    let (_folder, mut site, code) = founded();
    // No code, no way in; and a code is good for one person, once.
    assert!(login(&site, "eve", &format!("lzb_{}", "0".repeat(64))).is_err());
    let root = login(&site, "root", &code).unwrap();
    assert_eq!(root["name"], "root");
    assert!(login(&site, "eve", &code).is_err());
    let key = PathBuf::from(root["key"].as_str().unwrap());
    let mode = std::os::unix::fs::PermissionsExt::mode(&key.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let who = lazaret(&site, "root", &["operator", "whoami"]).unwrap();
    assert_eq!(who["roles"], json!(["admin"]));
    assert!(lazaret(&site, "root", &["halt", "--reason", "x"]).is_err(), "admin acts on nothing");

    let because = ["--reason", "test"];
    let add = |name: &str, roles: &str| {
        let args = [&["operator", "add", name, "--roles", roles], &because[..]].concat();
        lazaret(&site, "root", &args).unwrap()["code"].as_str().unwrap().to_owned()
    };
    let code = add("bert", "operator,viewer");
    assert!(login(&site, "carl", &code).is_err(), "a code is for the name that it was made for");
    login(&site, "bert", &code).unwrap();
    // The certificate says who, the registry what.
    let mut bert = connected(&site, &credential(&site, "bert"));
    assert_eq!(bert.look("/v1/whoami").unwrap().json()["roles"], json!(["operator", "viewer"]));

    // Disabled: at once, on the open connection and by token.
    let made = ["token", "create", "--purpose", "ci", "--roles", "viewer", "--days", "2"];
    let made = lazaret(&site, "bert", &[&made[..], &because].concat()).unwrap();
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("lzt_") && secret.len() == 4 + 64, "{secret}");
    assert_eq!(bearing(&site, Some(secret), "GET", "/v1/devices").status, 200);
    let listed = lazaret(&site, "root", &["token", "list"]).unwrap();
    assert!(!listed.to_string().contains(secret), "{listed}");
    assert!(listed["items"][0]["last_used"].is_number(), "{listed}");
    let mut stream = connected(&site, &credential(&site, "bert"));
    stream
        .send(b"GET /v1/events/stream HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .unwrap();
    assert_eq!(stream.head().unwrap().status, 200);
    lazaret(&site, "root", &[&["operator", "disable", "bert"], &because[..]].concat()).unwrap();
    stream.ends_within(AT_ONCE).unwrap();
    assert_eq!(bert.look("/v1/whoami").unwrap().code(), "forbidden");
    assert_eq!(bearing(&site, Some(secret), "GET", "/v1/devices").code(), "forbidden");
    // Who holds a key of the key tool is disabled in the same way, and oneself is not.
    let mut ana = connected(&site, &Credential::operator(&site, "ana").unwrap());
    assert_eq!(ana.look("/v1/whoami").unwrap().status, 200);
    lazaret(&site, "root", &[&["operator", "disable", "ana"], &because[..]].concat()).unwrap();
    assert_eq!(ana.look("/v1/whoami").unwrap().code(), "forbidden");
    for name in ["ana", "bert"] {
        let args = [&["operator", "enable", name], &because[..]].concat();
        lazaret(&site, "root", &args).unwrap();
    }
    assert_eq!(ana.look("/v1/whoami").unwrap().status, 200);
    let args = [&["operator", "disable", "root"], &because[..]].concat();
    assert!(lazaret(&site, "root", &args).is_err());

    // Revoked, and renewed: the next certificate works, with a key that was made here.
    let mut stream = Connection::open(site.sign_in_port, &tls(&site, None).unwrap()).unwrap();
    let head = "GET /v1/events/stream HTTP/1.1\r\nhost: localhost\r\nconnection: close";
    stream.send(format!("{head}\r\nauthorization: Bearer {secret}\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(stream.head().unwrap().status, 200);
    let id = made["token"]["id"].as_str().unwrap();
    lazaret(&site, "bert", &[&["token", "revoke", id], &because[..]].concat()).unwrap();
    assert_eq!(bearing(&site, Some(secret), "GET", "/v1/devices").code(), "unauthenticated");
    stream.ends_within(AT_ONCE).unwrap();
    let before = credential(&site, "bert").key_pem;
    lazaret(&site, "bert", &["login", "--renew"]).unwrap();
    assert_ne!(credential(&site, "bert").key_pem, before);
    assert!(lazaret(&site, "bert", &["operator", "whoami"]).is_ok());

    // The only administrator loses their key: whoever runs the machine makes another code.
    site.kill_server().unwrap();
    let mut command = site.programs.command("lazaret-server");
    command.arg("bootstrap").arg("--config").arg(site.folder.join("server.toml")).arg("--json");
    let code = programs::json(&mut command).unwrap()["code"].as_str().unwrap().to_owned();
    site.start_server().unwrap();
    std::fs::remove_dir_all(site.folder.join("people/root")).unwrap();
    login(&site, "root", &code).unwrap();
    assert!(lazaret(&site, "root", &["operator", "list"]).is_ok());
    let acts = site.lazaret(&["audit", "show", "--what", "bootstrap"]).unwrap();
    assert!(acts["items"].as_array().unwrap().len() >= 4, "{acts}");
    assert!(!acts.to_string().contains(&code[4..]), "a secret lies in the log");
}

#[test]
fn a_third_party_sees_and_does_what_was_agreed_until_it_ends() {
    let (_folder, site, code) = founded();
    login(&site, "root", &code).unwrap();
    for device in ["d-1", "d-2"] {
        Peer::enrol(&site, device).unwrap();
    }
    site.lazaret(&["device", "label", "d-1", "incident=i-7"]).unwrap();
    let soon = Timestamp::from_ms(now_ms() + 6000).to_rfc3339();
    let invited = |name: &str, ends: &str| {
        let args = ["operator", "add", name, "--roles", "responder", "--incident", "i-7"];
        let args = [&args[..], &["--ends", ends, "--reason", "test"]].concat();
        let made = lazaret(&site, "root", &args).unwrap();
        login(&site, name, made["code"].as_str().unwrap()).unwrap();
        connected(&site, &credential(&site, name))
    };
    let mut acme = invited("acme", &soon);
    let mut other = invited("other", "2099-01-01T00:00:00Z");
    let listed = other.look("/v1/devices").unwrap().json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["items"][0]["id"], "d-1");
    let reason = json!({ "reason": "agreed" });
    for (path, status) in [
        ("/v1/devices/d-1/evidence", 200),
        ("/v1/devices/d-2/evidence", 403),
        ("/v1/devices/unknown/evidence", 403),
    ] {
        let answer = other.tell("POST", path, &reason).unwrap();
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    // Of evidence they see their incident's, and that they did is a leaf of its custody log.
    let ordered = site.lazaret(&["evidence", "collect", "d-2", "--reason", "another case"]);
    let others = ordered.unwrap()["bundle"].as_str().unwrap().to_owned();
    let bundles = other.look("/v1/bundles").unwrap().json();
    assert_eq!(bundles["items"].as_array().unwrap().len(), 1, "{bundles}");
    let bundle = &bundles["items"][0];
    let last = bundle["custody"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["who"], &last["act"]), (&json!("other"), &json!("viewed")), "{bundle}");
    assert_eq!(other.look(&format!("/v1/bundles/{others}")).unwrap().code(), "forbidden");
    for path in ["/v1/events", "/v1/rollouts", "/v1/releases", "/v1/devices/d-2"] {
        assert_eq!(other.look(path).unwrap().code(), "forbidden", "{path}");
    }
    wait::until("the end of the agreement", Duration::from_secs(20), || {
        Ok((acme.look("/v1/devices/d-1")?.code() == "forbidden").then_some(()))
    })
    .unwrap();
    // Every route, once it is over.
    for route in routes::of_operators() {
        let answer = acme.ask(&route.method, &route.path(), b"{}").unwrap();
        assert_eq!(answer.code(), "forbidden", "{route:?}: {answer:?}");
    }
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

#[test]
fn every_route_is_closed_to_all_but_those_that_it_names() {
    let (_folder, site, code) = founded();
    login(&site, "root", &code).unwrap();
    let device = Peer::enrol(&site, "unknown").unwrap();
    let scoped = ["--models", "gw9", "--ends", "2099-01-01T00:00:00Z", "--reason", "test"];
    let every = "viewer,operator,release-manager,incident-commander,responder,auditor";
    let args = [&["operator", "add", "third", "--roles", every], &scoped[..]].concat();
    let made = lazaret(&site, "root", &args).unwrap();
    login(&site, "third", made["code"].as_str().unwrap()).unwrap();
    let routes = routes::of_operators();

    // Nobody, and a device: refused in the handshake where a certificate is due, by each route
    // where a token is.
    let nobody = tls(&site, None).unwrap();
    let alert = |tls| Connection::open(site.operator_port, tls).unwrap().alert().unwrap();
    assert_eq!(alert(&nobody), AlertDescription::CertificateRequired);
    assert_eq!(alert(&device.tls), AlertDescription::UnknownCA);
    for token in [None, Some("lzt_guessed")] {
        for route in &routes {
            let answer = bearing(&site, token, &route.method, &route.path());
            assert_eq!(answer.code(), "unauthenticated", "{route:?}: {answer:?}");
        }
    }

    for role in Role::ALL {
        let (name, role) = (format!("is-{}", role.as_str()), role.as_str());
        site.operator(&name, role).unwrap();
        let shown = Credential::operator(&site, &name).unwrap();
        let mut open = connected(&site, &shown);
        for route in &routes {
            let answer = asked(&mut open, || connected(&site, &shown), route);
            let named = route.who == "any" || route.who.split(", ").any(|one| one == role);
            let refused = answer.status == 403 || answer.status == 401;
            assert_eq!(!named, refused, "{role} at {route:?}: {answer:?}");
        }
    }

    // A third party, with every role there is but outside its scope.
    let shown = credential(&site, "third");
    let mut open = connected(&site, &shown);
    let opens = [
        "GET /v1/health",
        "GET /v1/openapi.json",
        "GET /v1/devices",
        "GET /v1/bundles",
        "GET /v1/whoami",
        "GET /v1/tokens",
        "POST /v1/tokens",
        "POST /v1/tokens/TOKEN/revoke",
        "POST /v1/operators/renew",
        // The model of the route's example is the one in its scope.
        "GET /v1/releases/MODEL/VERSION",
    ];
    for route in &routes {
        let answer = asked(&mut open, || connected(&site, &shown), route);
        let template = route.template.split('?').next().unwrap();
        let is_open = opens.contains(&format!("{} {template}", route.method).as_str());
        assert_eq!(is_open, answer.code() != "forbidden", "{route:?}: {answer:?}");
    }
}

/// Asks for a route; the stream has no end, so that nothing else is asked on its connection.
fn asked(open: &mut Connection, again: impl Fn() -> Connection, route: &routes::Route) -> Answer {
    if !route.template.contains("/stream") {
        return open.ask(&route.method, &route.path(), b"{}").unwrap();
    }
    let head = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", route.path());
    let mut alone = again();
    alone.send(head.as_bytes()).unwrap();
    let head = alone.head().unwrap();
    if head.status == 200 { head } else { alone.body_of(head).unwrap() }
}

#[test]
fn two_certificates_and_a_token_of_one_person_count_once() {
    let (_folder, site, code) = founded();
    login(&site, "root", &code).unwrap();
    let claimed = |open: &mut Connection, device: &str| {
        let body = peer::claim_request(&format!("sn-{device}"), device);
        open.tell("POST", "/v1/claims", &body).unwrap()
    };
    // The same name from the key tool twice: two certificates, one person.
    let first = Credential::operator(&site, "ana").unwrap();
    std::fs::remove_dir_all(site.folder.join("operators")).unwrap();
    site.operator("ana", "operator").unwrap();
    let second = Credential::operator(&site, "ana").unwrap();
    assert_ne!(first.chain_pem, second.chain_pem);
    for (shown, device) in [(&first, "d-1"), (&second, "d-2")] {
        let mut open = connected(&site, shown);
        assert_eq!(open.look("/v1/whoami").unwrap().json()["name"], "ana");
        assert_eq!(claimed(&mut open, device).status, 200);
    }
    let made = ["token", "create", "--purpose", "ci", "--roles", "operator", "--days", "1"];
    let made = site.lazaret(&[&made[..], &["--reason", "test"]].concat()).unwrap();
    let secret = made["secret"].as_str().unwrap();
    let who = bearing(&site, Some(secret), "GET", "/v1/whoami").json();
    assert_eq!((&who["name"], &who["roles"]), (&json!("ana"), &json!(["operator"])));
    // Else a token that leaks makes others that outlive its revocation.
    assert_ne!(bearing(&site, Some(secret), "POST", "/v1/tokens").status, 200);
}
