//! Enrolment over EST (RFC 7030) by clients that are not ours: curl with openssl, and strongSwan.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "all of this program is a test"
)]

use std::path::Path;
use std::process::{Command, Output};

use lazaret_tests::http::{Connection, Credential, tls};
use lazaret_tests::peer;
use lazaret_tests::programs::Programs;
use lazaret_tests::site::Site;

/// Runs a line of shell in a folder, with the server's address and CA at hand.
fn shell(site: &Site, folder: &Path, line: &str) -> Output {
    Command::new("bash")
        .args(["-o", "pipefail", "-ec", line])
        .current_dir(folder)
        .env("EST", format!("https://localhost:{}", site.device_port))
        .env("CA", site.keys().join("ca/server-ca.pem"))
        .env("ROOT", site.keys().join("ca/root-ca.pem"))
        .env("STRONGSWAN_CONF", folder.join("strongswan.conf"))
        .output()
        .unwrap()
}

fn succeeds(site: &Site, folder: &Path, line: &str) -> String {
    let output = shell(site, folder, line);
    assert!(output.status.success(), "{line}\n{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A device's own connection, with what openssl left in `folder`.
fn status_of_device(site: &Site, folder: &Path) -> u16 {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let shown = Credential { chain_pem: read("device.pem"), key_pem: read("device.key") };
    let shown = tls(site, Some(&shown)).unwrap();
    Connection::open(site.device_port, &shown).unwrap().look("/v1/device").unwrap().status
}

#[test]
fn curl_and_openssl_enrol_and_renew() {
    let (_folder, site) = Site::running().unwrap();
    let work = tempfile::tempdir().unwrap();
    let run = |line: &str| succeeds(&site, work.path(), line);
    let claim = peer::claim(&site, "sn-7", "d-7").unwrap();
    let names = run("curl -sS --fail --cacert $CA $EST/.well-known/est/cacerts \
         | base64 -d | openssl pkcs7 -inform DER -print_certs -noout");
    assert_eq!(names.matches("subject=").count(), 2, "the issuing CA and its root: {names}");
    // The chain that a device is given ends at the root that everybody knows.
    run("curl -sS --fail --cacert $CA $EST/.well-known/est/cacerts \
         | base64 -d | openssl pkcs7 -inform DER -print_certs -out chain.pem
         openssl verify -CAfile $ROOT -untrusted chain.pem chain.pem");
    let wanted = run("curl -sS --fail --cacert $CA $EST/.well-known/est/csrattrs \
         | base64 -d | openssl asn1parse -inform DER");
    for name in ["id-ecPublicKey", "prime256v1", "ecdsa-with-SHA256"] {
        assert!(wanted.contains(name), "{wanted}");
    }

    // A request that asks to be a CA and somebody else: nothing of that is granted.
    run("openssl ecparam -name prime256v1 -genkey -noout -out sec1.key
         openssl pkcs8 -topk8 -nocrypt -in sec1.key -out device.key
         openssl req -new -key device.key -subj /CN=admin -outform DER \
           -addext basicConstraints=critical,CA:TRUE | base64 > csr");
    let enroll = format!(
        "curl -sS --fail --cacert $CA -u sn-7:{claim} -H 'Content-Type: application/pkcs10' \
         --data-binary @csr -D head $EST/.well-known/est/simpleenroll \
         | base64 -d | openssl pkcs7 -inform DER -print_certs -out device.pem"
    );
    run(&enroll);
    let head = std::fs::read_to_string(work.path().join("head")).unwrap().to_lowercase();
    assert!(head.contains("application/pkcs7-mime"), "{head}");
    assert!(head.contains("content-transfer-encoding: base64"), "{head}");
    let text = run("openssl x509 -in device.pem -noout -subject -ext basicConstraints");
    assert!(text.contains("CN = d-7") && text.contains("CA:FALSE"), "{text}");
    assert_eq!(status_of_device(&site, work.path()), 200);

    run("openssl ecparam -name prime256v1 -genkey -noout -out sec1.key
         openssl pkcs8 -topk8 -nocrypt -in sec1.key -out new.key
         openssl req -new -key new.key -subj / -outform DER | base64 > csr
         curl -sS --fail --cacert $CA --cert device.pem --key device.key \
           -H 'Content-Type: application/pkcs10' --data-binary @csr \
           $EST/.well-known/est/simplereenroll \
         | base64 -d | openssl pkcs7 -inform DER -print_certs -out new.pem
         mv new.pem device.pem; mv new.key device.key");
    assert_eq!(status_of_device(&site, work.path()), 200);

    // Another key with the same claim is somebody else.
    run("openssl ecparam -name prime256v1 -genkey -noout -out other.key
         openssl req -new -key other.key -subj / -outform DER | base64 > csr");
    let again = shell(&site, work.path(), &enroll);
    assert!(String::from_utf8_lossy(&again.stderr).contains("403"), "{again:?}");
}

#[test]
fn strongswan_enrols_and_renews() {
    let (_folder, site) = Site::running().unwrap();
    let work = tempfile::tempdir().unwrap();
    // It speaks TLS 1.2 unless told otherwise, and the server does not.
    std::fs::write(work.path().join("strongswan.conf"), "libtls { version_max = 1.3 }\n").unwrap();
    let run = |line: &str| succeeds(&site, work.path(), line);
    let claim = peer::claim(&site, "sn-8", "d-8").unwrap();
    run("pki --gen --type ecdsa --size 256 > old.key
         pki --req --type ecdsa --in old.key --dn 'CN=whoever' > old.req");
    run(&format!(
        "pki --est --url $EST --cacert $CA --cacert $ROOT --userpass sn-8:{claim} \
           --in old.req > old.der"
    ));
    run("pki --gen --type ecdsa --size 256 > new.key
         pki --req --type ecdsa --in new.key --dn 'CN=whoever' > new.req
         pki --est --url $EST --cacert $CA --cacert $ROOT --cert old.der --key old.key \
           --in new.req > new.der");
    run("openssl x509 -inform DER -in new.der -out device.pem
         openssl pkcs8 -topk8 -nocrypt -inform DER -in new.key -out device.key");
    assert_eq!(status_of_device(&site, work.path()), 200);
    let subject = run("openssl x509 -in device.pem -noout -subject");
    assert!(subject.contains("CN = d-8"), "{subject}");
}

#[test]
fn who_shows_nothing_or_something_else_is_refused() {
    let (_folder, site) = Site::running().unwrap();
    let work = tempfile::tempdir().unwrap();
    succeeds(
        &site,
        work.path(),
        "openssl ecparam -name prime256v1 -genkey -noout -out device.key
         openssl req -new -key device.key -subj / -outform DER | base64 > csr
         echo 'no request' | base64 > other
         openssl req -new -newkey rsa:2048 -nodes -keyout rsa.key -subj / -outform DER \
           | base64 > rsa",
    );
    let claim = peer::claim(&site, "sn-9", "d-9").unwrap();
    let status = |user: &str, route: &str, body: &str| {
        let line = format!(
            "curl -sS -o body -D head -w '%{{http_code}}' --cacert $CA {user} \
             --data-binary @{body} $EST/.well-known/est/{route}"
        );
        succeeds(&site, work.path(), &line)
    };
    assert_eq!(status("", "simpleenroll", "csr"), "401");
    let head = std::fs::read_to_string(work.path().join("head")).unwrap().to_lowercase();
    assert!(head.contains("www-authenticate: basic"), "{head}");
    assert_eq!(status("", "simplereenroll", "csr"), "401");
    assert_eq!(status("-u sn-9:lzc_guessed", "simpleenroll", "csr"), "403");
    let user = format!("-u sn-9:{claim}");
    for body in ["other", "rsa"] {
        assert_eq!(status(&user, "simpleenroll", body), "400", "{body}");
    }
    // None of that has used the claim up.
    assert_eq!(status(&user, "simpleenroll", "csr"), "200");
}

/// A site whose server trusts the factory `acme` for gw2 and the group lyon, whose CA lies in
/// `work`, together with that of another maker, which it does not know.
fn with_factory(work: &Path) -> (tempfile::TempDir, Site) {
    let folder = tempfile::tempdir().unwrap();
    let programs = Programs::beside_this_one().unwrap();
    let mut site = Site::found(programs, &folder.path().join("site")).unwrap();
    let run = |line: &str| succeeds(&site, work, line);
    for (name, ca) in [("acme", "Acme Root"), ("other", "Other Root")] {
        run(&format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
               -keyout {name}.key -out {name}.pem -subj '/O={ca}' \
               -addext basicConstraints=critical,CA:TRUE"
        ));
    }
    let path = site.folder.join("server.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let ca = work.join("acme.pem");
    let settings = format!(
        "{text}[[enrolment.factories]]\nname = \"acme\"\nca = {ca:?}\nmodels = [\"gw2\"]\n\
         groups = [\"lyon\"]\n"
    );
    std::fs::write(&path, settings).unwrap();
    site.init().unwrap();
    site.start_server().unwrap();
    (folder, site)
}

/// A factory certificate `NAME.crt` with its key, signed by `ca` of `work`, which names `subject`.
fn certified(site: &Site, work: &Path, (name, ca, subject): (&str, &str, &str)) {
    succeeds(
        site,
        work,
        &format!(
            "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
               -keyout {name}.key -out {name}.csr -subj '{subject}' 2>/dev/null
             openssl x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial \
               -days 2 -extfile <(echo basicConstraints=CA:FALSE) -out {name}.crt 2>/dev/null
             openssl ecparam -name prime256v1 -genkey -noout -out {name}.sec1
             openssl pkcs8 -topk8 -nocrypt -in {name}.sec1 -out {name}.own
             openssl req -new -key {name}.own -subj /CN=admin -outform DER | base64 > {name}.req"
        ),
    );
}

/// Enrols over EST with a factory certificate: the status, or curl's own exit code, and the code of
/// the refusal.
fn by_factory(site: &Site, work: &Path, (shown, request): (&str, &str)) -> (String, String) {
    let line = format!(
        "curl -sS -o answer -w '%{{http_code}}' --cacert $CA --cert {shown}.crt --key {shown}.key \
           -H 'Content-Type: application/pkcs10' --data-binary @{request}.req \
           $EST/.well-known/est/simpleenroll"
    );
    let _before = std::fs::remove_file(work.join("answer"));
    let output = shell(site, work, &line);
    let answer = std::fs::read_to_string(work.join("answer")).unwrap_or_default();
    let said = serde_json::from_str::<serde_json::Value>(&answer);
    let code = said.ok().and_then(|it| Some(it["code"].as_str()?.to_owned()));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    (String::from_utf8_lossy(&output.stdout).into_owned(), code.unwrap_or(error))
}

#[test]
fn a_machine_enrols_once_by_its_factory_certificate_and_no_other_does() {
    // Else whoever has any certificate of any maker becomes any device.
    let work = tempfile::tempdir().unwrap();
    let work = work.path();
    let (_folder, site) = with_factory(work);
    let list = "serial,device,model,group,factory\nsn-1,d-1,gw2,lyon,acme\n\
                sn-2,d-2,gw3,lyon,acme\nsn-3,d-3,gw2,paris,acme\nsn-5,d-5,gw2,lyon,acme\n";
    std::fs::write(work.join("fleet.csv"), list).unwrap();
    let file = work.join("fleet.csv").display().to_string();
    let import = |file: &str| site.lazaret(&["device", "import", file, "--reason", "test"]);
    assert_eq!(import(&file).unwrap()["added"], 4);
    std::fs::write(work.join("odd.csv"), "serial,model,factory\nsn-9,gw2,nobody\n").unwrap();
    let odd = format!("{:#}", import(&work.join("odd.csv").display().to_string()).unwrap_err());
    assert!(odd.contains("line 2: the server's settings have no factory nobody"), "{odd}");

    for (name, ca, subject) in [
        ("one", "acme", "/CN=d-5/serialNumber=sn-1"),
        ("two", "acme", "/serialNumber=sn-2"),
        ("three", "acme", "/CN=sn-3"),
        ("four", "acme", "/CN=sn-4"),
        ("five", "acme", "/CN=sn-5"),
        ("again", "acme", "/serialNumber=sn-1"),
        ("stranger", "other", "/serialNumber=sn-1"),
    ] {
        certified(&site, work, (name, ca, subject));
    }
    let enrol = |shown: &str, request: &str| by_factory(&site, work, (shown, request));
    // Another model, another group, a machine that nobody has listed.
    for shown in ["two", "three", "four"] {
        assert_eq!(enrol(shown, shown), ("403".into(), "factory-refused".into()), "{shown}");
    }
    // Another maker: that ends the handshake.
    let (status, why) = enrol("stranger", "stranger");
    assert_eq!(status, "000", "{why}");
    assert!(why.contains("unknown ca"), "{why}");
    let (status, why) = enrol("one", "one");
    assert_eq!(status, "200", "{why}");
    succeeds(
        &site,
        work,
        "base64 -d answer | openssl pkcs7 -inform DER -print_certs -out device.pem
         cp one.own device.key",
    );
    assert_eq!(status_of_device(&site, work), 200);
    let shown = site.lazaret(&["device", "show", "d-1"]).unwrap();
    assert_eq!((&shown["group"], &shown["serial"]), (&"lyon".into(), &"sn-1".into()), "{shown}");
    // The answer may have been lost: the same key gets it again, and any other key nothing.
    assert_eq!(enrol("one", "one").0, "200");
    assert_eq!(enrol("one", "again"), ("403".into(), "factory-used".into()));
    assert_eq!(enrol("again", "again"), ("403".into(), "factory-refused".into()));
    let events = site.events().unwrap();
    assert!(events.iter().any(|event| event["event"]["event"] == "factory-reused"), "{events:?}");
    // A factory certificate is no certificate of a device, whatever name stands in it.
    let line = "curl -sS -o answer -w '%{http_code}' --cacert $CA --cert one.crt --key one.key \
                $EST/v1/device";
    assert_eq!(succeeds(&site, work, line), "401");

    // Who is retired is out, and stays out.
    assert_eq!(enrol("five", "five").0, "200");
    let retired = site.lazaret(&["device", "retire", "d-5", "--reason", "sold"]).unwrap();
    assert_eq!(retired["retired"], "sold");
    assert_eq!(enrol("five", "five"), ("403".into(), "retired".into()));
}
