//! A device's network: a namespace of its own, joined to this machine by one pair of devices; and
//! what is sent from within it, as a listener on the outside sees it.

#![allow(clippy::disallowed_methods, reason = "all of this is a test")]

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// Sends everything that a program can: datagrams, connections, echo requests, and frames that it
/// made itself; over IPv4 and IPv6.
const SENDER: &str = r#"
import socket, struct, sys
v4, v6, mac_to, mac_from, device = sys.argv[1:6]
def attempt(act):
    try: act()
    except OSError: pass
for n in range(20):
    for port in (53, 9, 443):
        for family, to in ((socket.AF_INET, v4), (socket.AF_INET6, v6)):
            one = socket.socket(family, socket.SOCK_DGRAM)
            attempt(lambda: one.sendto(b'lazaret-probe', (to, port)))
def connect(family, address):
    one = socket.socket(family, socket.SOCK_STREAM); one.settimeout(0.05)
    try: one.connect(address)
    finally: one.close()
for port in (22, 80, 443):
    attempt(lambda: connect(socket.AF_INET, (v4, port)))
    attempt(lambda: connect(socket.AF_INET6, (v6, port)))
echo = struct.pack('!BBHHH', 8, 0, 0xf7ff - 0, 0, 0)
icmp4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
attempt(lambda: icmp4.sendto(echo, (v4, 0)))
echo6 = struct.pack('!BBHHH', 128, 0, 0, 1, 1)
icmp6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
attempt(lambda: icmp6.sendto(echo6, (v6, 0)))
mac = lambda text: bytes(int(part, 16) for part in text.split(':'))
payload = b'lazaret-probe'
udp = struct.pack('!HHHH', 40000, 9, 8 + len(payload), 0) + payload
to4, to6 = socket.inet_aton(v4), socket.inet_pton(socket.AF_INET6, v6)
head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, to4, to4)
frame4 = mac(mac_to) + mac(mac_from) + b'\x08\x00' + head + udp
head6 = struct.pack('!IHBB', 0x60000000, len(udp), 17, 64) + to6 * 2
frame6 = mac(mac_to) + mac(mac_from) + b'\x86\xdd' + head6 + udp
other = mac(mac_to) + mac(mac_from) + b'\x88\xb5' + payload
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
attempt(lambda: raw.bind((device, 0)))
for n in range(20):
    for frame in (frame4, frame6, other):
        attempt(lambda: raw.send(frame))
"#;

/// Counts frames that come in on a device and are for these addresses, or that carry the mark of
/// the sender, until its standard input is closed.
const LISTENER: &str = r#"
import socket, sys, select
device, v4, v6 = sys.argv[1:4]
v4, v6 = socket.inet_aton(v4), socket.inet_pton(socket.AF_INET6, v6)
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
raw.bind((device, 0))
print('ready', flush=True)
seen, closing = 0, False
while True:
    ready, _, _ = select.select([raw] + ([] if closing else [sys.stdin]), [], [], 0.5)
    if raw in ready:
        frame, where = raw.recvfrom(65535)
        if where[2] == 4: continue
        kind = frame[12:14]
        to4 = kind == b'\x08\x00' and frame[30:34] == v4
        to6 = kind == b'\x86\xdd' and frame[38:54] == v6
        if b'lazaret-probe' in frame or to4 or to6:
            seen += 1
    elif closing: break
    if sys.stdin in ready: closing = True
print(seen, flush=True)
"#;

/// The namespace of a device.
pub(super) struct Net {
    /// Its name.
    pub(super) name: String,
    /// This machine's end.
    outside: String,
    /// The number that its addresses are made of.
    number: u8,
}

fn run(line: &str) -> anyhow::Result<String> {
    let output = Command::new("sh").args(["-c", line]).output()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{line}: {errors}");
    Ok(said)
}

impl Net {
    /// Makes it; `number` tells those of one machine apart.
    pub(super) fn new(number: u8) -> anyhow::Result<Self> {
        let pid = std::process::id() % 100_000;
        let (name, outside) = (format!("lzc-{pid}-{number}"), format!("lzo{pid}{number}"));
        let net = Self { name, outside, number };
        let (name, outside) = (&net.name, &net.outside);
        std::fs::create_dir_all(format!("/etc/netns/{name}"))?;
        let hosts = format!("{} localhost\n", net.server4());
        std::fs::write(format!("/etc/netns/{name}/hosts"), hosts)?;
        run(&format!("ip netns add {name}"))?;
        run(&format!("ip link add {outside} type veth peer name eth0 netns {name}"))?;
        for address in [net.server4() + "/24", net.foreign4() + "/24"] {
            run(&format!("ip addr add {address} dev {outside}"))?;
        }
        for address in [net.server6() + "/64", net.foreign6() + "/64"] {
            run(&format!("ip -6 addr add {address} dev {outside} nodad"))?;
        }
        run(&format!("ip link set {outside} up"))?;
        run(&format!("ip -n {name} addr add 10.219.{number}.2/24 dev eth0"))?;
        run(&format!("ip -n {name} -6 addr add fd19:{number}::2/64 dev eth0 nodad"))?;
        run(&format!("ip -n {name} link set eth0 up"))?;
        run(&format!("ip -n {name} link set lo up"))?;
        Ok(net)
    }

    pub(super) fn server4(&self) -> String {
        format!("10.219.{}.1", self.number)
    }

    pub(super) fn server6(&self) -> String {
        format!("fd19:{}::1", self.number)
    }

    fn foreign4(&self) -> String {
        format!("10.219.{}.9", self.number)
    }

    fn foreign6(&self) -> String {
        format!("fd19:{}::9", self.number)
    }

    /// Runs a line of shell within.
    pub(super) fn within(&self, line: &str) -> anyhow::Result<String> {
        let output =
            Command::new("ip").args(["netns", "exec", &self.name, "sh", "-c", line]).output()?;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{line}: {errors}");
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Sends everything to strangers from within, and says how many frames came out.
    pub(super) fn leaks(&self) -> anyhow::Result<u64> {
        let mut listener = Command::new("python3")
            .args(["-c", LISTENER, &self.outside, &self.foreign4(), &self.foreign6()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut out = std::io::BufReader::new(listener.stdout.take().context("no output")?);
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line)?;
        ensure!(line.trim() == "ready", "the listener said {line:?}");
        let mac = |path: String| run(&path);
        let to = mac(format!("cat /sys/class/net/{}/address", self.outside))?;
        let from = self.within("cat /sys/class/net/eth0/address")?;
        let sent = Command::new("ip")
            .args(["netns", "exec", &self.name, "python3", "-c", SENDER])
            .args([&self.foreign4(), &self.foreign6(), &to, &from])
            .arg("eth0")
            .output()?;
        ensure!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
        drop(listener.stdin.take());
        line.clear();
        std::io::BufRead::read_line(&mut out, &mut line)?;
        listener.wait()?;
        line.trim().parse().with_context(|| format!("the listener said {line:?}"))
    }

    /// Whether the server's port answers from within.
    pub(super) fn reaches(&self, address: &str, port: u16) -> bool {
        let line = format!(
            "python3 -c 'import socket; socket.create_connection((\"{address}\", {port}), 2)'"
        );
        self.within(&line).is_ok()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // Nothing is left behind by a test that failed.
        let _ = run(&format!("ip netns del {}", self.name));
        let _ = run(&format!("ip link del {} 2>/dev/null || true", self.outside));
        let _ = std::fs::remove_dir_all(format!("/etc/netns/{}", self.name));
    }
}
