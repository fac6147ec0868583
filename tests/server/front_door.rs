//! The front door of the real server: slow, silent and greedy clients are dropped while honest ones
//! are served as before.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "all of this program is a test"
)]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lazaret_tests::http::{Connection, Credential, tls};
use lazaret_tests::peer::Peer;
use lazaret_tests::programs::Programs;
use lazaret_tests::site::Site;
use lazaret_tests::wait;

/// How long each of the limits below lasts, in seconds.
const LIMIT: u64 = 3;

fn site(settings: &str) -> (tempfile::TempDir, Site) {
    let folder = tempfile::tempdir().unwrap();
    let programs = Programs::beside_this_one().unwrap();
    let mut site = Site::found(programs, &folder.path().join("site")).unwrap();
    site.init().unwrap();
    let path = site.folder.join("server.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = match settings.strip_prefix("[devices]\n") {
        Some(lines) => text.replace("[devices]\n", &format!("[devices]\n{lines}")),
        None => format!("{text}{settings}"),
    };
    std::fs::write(&path, text).unwrap();
    site.start_server().unwrap();
    (folder, site)
}

/// The middle of the times that so many requests take.
fn middle(open: &mut Connection, requests: usize) -> Duration {
    let mut times: Vec<Duration> = (0..requests)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(open.look("/v1/device").unwrap().status, 200);
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

#[test]
fn hundreds_of_slow_connections_are_dropped_and_honest_requests_do_not_wait() {
    let (_folder, site) = site(&format!(
        "[front_door]\nhandshake_seconds = {LIMIT}\nfirst_request_seconds = {LIMIT}\n\
         body_silence_seconds = {LIMIT}\n"
    ));
    let device = Peer::enrol(&site, "d-1").unwrap();
    let mut honest = device.connect(&site).unwrap();
    let quiet = middle(&mut honest, 200);

    let nobody = tls(&site, None).unwrap();
    let mut silent = Vec::new();
    let mut slow = Vec::new();
    for number in 0..300 {
        if number % 3 == 0 {
            // No handshake, or half of one.
            let mut tcp = TcpStream::connect(("127.0.0.1", site.device_port)).unwrap();
            if number % 2 == 0 {
                tcp.write_all(&[0x16, 0x03, 0x01]).unwrap();
            }
            silent.push(tcp);
            continue;
        }
        let mut open = Connection::open(site.device_port, &nobody).unwrap();
        // A head that never ends, or a body that never does.
        open.send(match number % 2 {
            0 => b"GET /v1/health HTTP/1.1\r\nhost: localhost\r\nx-drip: ",
            _ => b"POST /v1/enroll HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{",
        })
        .unwrap();
        slow.push(open);
    }
    let loud = middle(&mut honest, 200);
    // Others share this machine: what is quieter than the clock's own noise is not compared.
    let noise = Duration::from_millis(3);
    assert!(loud <= quiet * 2 + noise, "{loud:?} among slow connections, {quiet:?} without");

    let patience = Duration::from_secs(LIMIT + 15);
    let begun = Instant::now();
    for mut tcp in silent {
        tcp.set_read_timeout(Some(patience)).unwrap();
        wait::until("a silent connection to be dropped", patience, || Ok(is_over(&mut tcp)))
            .unwrap();
    }
    for open in slow {
        open.ends_within(patience).unwrap();
    }
    assert!(begun.elapsed() < patience, "{:?}", begun.elapsed());
    assert_eq!(honest.look("/v1/device").unwrap().status, 200, "the honest one was dropped");
}

/// slowhttptest with so many slow connections of one kind, for as long as the limits here and some
/// seconds more; `table` gets its table of seconds.
fn slow(site: &Site, kind: &[&str], table: &Path) -> Child {
    let mut command = Command::new("slowhttptest");
    command.args(kind).args(["-c", "200", "-r", "100", "-l", "14", "-i", "1", "-p", "2", "-g"]);
    // A body is read where a route takes one.
    let path = if kind.contains(&"-B") { "/v1/enroll" } else { "/v1/health" };
    command.args(["-u", &format!("https://127.0.0.1:{}{path}", site.device_port), "-o"]);
    command.arg(table).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().expect("this test needs slowhttptest")
}

#[test]
fn slowhttptest_in_each_of_its_ways_is_dropped_and_costs_honest_requests_nothing() {
    let (folder, site) = site(&format!(
        "[front_door]\nhandshake_seconds = {LIMIT}\nfirst_request_seconds = {LIMIT}\n\
         idle_seconds = {LIMIT}\nbody_silence_seconds = {LIMIT}\n\
         stranger_requests_per_second = 10000\nstranger_requests_burst = 100000\n\
         peer_requests_per_second = 100000\npeer_requests_burst = 1000000\n"
    ));
    let device = Peer::enrol(&site, "d-1").unwrap();
    let mut honest = device.connect(&site).unwrap();
    let quiet = middle(&mut honest, 300);
    // Heads that never end, bodies that drip, a range that asks for thousands of pieces, and
    // readers that take a byte at a time. A byte a second is never silent for long.
    let ways: [&[&str]; 4] = [
        &["-H"],
        &["-B", "-s", "8192", "-t", "POST", "-x", "2"],
        &["-R", "-a", "10", "-b", "3000"],
        &["-X", "-w", "1", "-y", "8", "-n", "1", "-z", "1", "-k", "3"],
    ];
    let table = |at: usize| folder.path().join(format!("slow-{at}"));
    let mut running: Vec<Child> =
        ways.iter().enumerate().map(|(at, kind)| slow(&site, kind, &table(at))).collect();
    let mut loud = Vec::new();
    let mut worst = Duration::ZERO;
    let (begun, mut left) = (Instant::now(), usize::MAX);
    while running.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        let took = middle(&mut honest, 100);
        worst = worst.max(took);
        // All are open after two seconds, and over after the limits; the readers go on for longer.
        if begun.elapsed() > Duration::from_secs(LIMIT + 7) {
            left = left.min(established(site.device_port));
        }
        loud.push(took);
    }
    loud.sort();
    let loud = loud[loud.len() / 2];
    // Others share this machine: what is quieter than the clock's own noise is not compared.
    let noise = Duration::from_millis(3);
    assert!(loud <= quiet * 2 + noise, "{loud:?} (at worst {worst:?}) beside {quiet:?} without");
    for (at, (kind, child)) in ways.iter().zip(running).enumerate() {
        let said = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        // It ends before its own time only where it has no connection any more. A slow reader does
        // not see the end of a connection before it has read what came before that.
        let is_over = said.contains("No open connections left") || kind.contains(&"-X");
        assert!(is_over, "{kind:?} went on to its end: {said}");
        // Its table has a row a second, of which the last one comes before its end.
        let text = std::fs::read_to_string(table(at).with_extension("csv")).unwrap();
        let rows =
            text.lines().skip(1).map(|row| row.split(',').map(|it| it.trim().parse::<u64>()));
        // Seconds, closed, pending, connected, available.
        let opened = rows.map(|row| row.skip(1).take(3).flatten().sum::<u64>()).max();
        // What is answered and over within the last second is in no row.
        assert!(opened >= Some(100), "{kind:?} opened too few connections: {text}");
    }
    assert_eq!(left, 1, "the server kept connections of slow clients");
    assert_eq!(honest.look("/v1/device").unwrap().status, 200, "the honest one was dropped");
}

/// Connections that are established at this port, as Linux counts them at the server's end.
fn established(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{port:04X}");
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[1].ends_with(&local) && row[3] == "01").count()
}

#[test]
fn a_body_that_drips_is_dropped_within_the_time_of_a_silence() {
    let (_folder, site) = site(&format!("[front_door]\nbody_silence_seconds = {LIMIT}\n"));
    let mut open = Connection::open(site.device_port, &tls(&site, None).unwrap()).unwrap();
    let head = b"POST /v1/enroll HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{";
    open.send(head).unwrap();
    let begun = Instant::now();
    wait::until("the drip to be refused", Duration::from_secs(30), || {
        // The waits between two tries are shorter than the silence that is let off.
        Ok(open.send(b" ").is_err().then_some(()))
    })
    .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(LIMIT + 7), "{:?}", begun.elapsed());
}

fn is_over(tcp: &mut TcpStream) -> Option<()> {
    match tcp.read(&mut [0; 64]) {
        Ok(0) => Some(()),
        Ok(_) => None,
        Err(err) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(_) => Some(()),
    }
}

#[test]
fn one_address_has_no_more_connections_than_its_share() {
    let (_folder, site) = site("[devices]\nper_address_max = 20\n");
    let nobody = tls(&site, None).unwrap();
    let mut served = Vec::new();
    for _ in 0..30 {
        let open = Connection::open(site.device_port, &nobody);
        served.extend(open.ok().and_then(|mut open| {
            let answer = open.look("/v1/health").ok()?;
            (answer.status == 200).then_some(open)
        }));
    }
    assert_eq!(served.len(), 20);
    drop(served);
    wait::until("a place", Duration::from_secs(10), || {
        let open = Connection::open(site.device_port, &nobody);
        let answer = open.and_then(|mut open| open.look("/v1/health"));
        Ok(answer.ok().filter(|answer| answer.status == 200).map(drop))
    })
    .unwrap();
}

#[test]
fn who_asks_too_often_is_told_when_to_come_back_and_nobody_else_is() {
    let (_folder, site) = site(
        "[front_door]\npeer_requests_per_second = 2\npeer_requests_burst = 20\n\
         stranger_requests_per_second = 1\nstranger_requests_burst = 10\n",
    );
    let greedy = Peer::enrol(&site, "d-1").unwrap();
    let modest = Peer::enrol(&site, "d-2").unwrap();
    let mut open = greedy.connect(&site).unwrap();
    let limited = (0..40).map(|_| open.look("/v1/device").unwrap()).find(|it| it.status == 429);
    let limited = limited.expect("nobody was limited");
    assert_eq!(limited.code(), "rate-limited");
    let head = limited.head.to_ascii_lowercase();
    assert!(head.contains("\r\nretry-after: "), "{head}");
    // It is the device that is limited, whichever connection it uses.
    assert_eq!(greedy.connect(&site).unwrap().look("/v1/device").unwrap().status, 429);
    assert_eq!(modest.connect(&site).unwrap().look("/v1/device").unwrap().status, 200);
    let mut nobody = Connection::open(site.device_port, &tls(&site, None).unwrap()).unwrap();
    assert!((0..30).any(|_| nobody.look("/v1/health").unwrap().status == 429));
    let told = site.lazaret(&["audit", "show", "--outcome", "rate-limited"]).unwrap();
    let told = told["items"].as_array().unwrap();
    assert!(!told.is_empty() && told.len() < 12, "{told:?}");
}

#[test]
fn no_answer_says_which_program_or_version_it_is_from() {
    let (_folder, site) = site("");
    let ana = Credential::operator(&site, "ana").unwrap();
    let mut operators =
        Connection::open(site.operator_port, &tls(&site, Some(&ana)).unwrap()).unwrap();
    let mut devices = Connection::open(site.device_port, &tls(&site, None).unwrap()).unwrap();
    for answer in [
        operators.look("/v1/health").unwrap(),
        operators.look("/nowhere").unwrap(),
        devices.look("/v1/health").unwrap(),
        devices.look("/v1/device").unwrap(),
    ] {
        let head = answer.head.to_ascii_lowercase();
        for word in
            ["server:", "hyper", "warp", "lazaret", "x-powered-by", env!("CARGO_PKG_VERSION")]
        {
            assert!(!head.contains(word), "{word} in {head}");
        }
    }
}
