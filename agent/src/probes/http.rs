//! The probe `http`: an address on this device, or beside it, that answers with the status that is
//! expected. Plain HTTP/1.1 over one connection: what is asked is whether the application answers.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use lazaret_protocol::time::Timestamp;

use super::{Probe, ProbeFailure, Surroundings};
use crate::clock::Clock;
use crate::config::Reader;

/// Bytes of an answer that are read: its head, and the beginning of its body for the report.
const ANSWER_BYTES_MAX: usize = 4096;

#[derive(Debug)]
struct HttpProbe {
    /// `HOST:PORT`.
    address: String,
    host: String,
    path: String,
    status: u16,
}

pub(super) fn make(from: &mut Reader<'_>) -> Option<Box<dyn Probe>> {
    let status = u16::try_from(from.number("status", 200, 100..=599)).unwrap_or(200);
    let (address, host, path) = from.required("url", parts)?;
    Some(Box::new(HttpProbe { address, host, path, status }))
}

fn parts(url: &str) -> Result<(String, String, String), String> {
    let wrong = || format!("expected an address such as http://127.0.0.1:8080/health, got {url:?}");
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '@';
    if host.is_empty() || url.contains(odd) {
        return Err(wrong());
    }
    let ported = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if ported { host.to_owned() } else { format!("{host}:80") };
    let path = if path.is_empty() { "/" } else { path };
    Ok((address, host.to_owned(), path.to_owned()))
}

impl Probe for HttpProbe {
    fn look(&self, _: &Surroundings<'_>, timeout_ms: u64) -> Result<(), ProbeFailure> {
        let answer = self.ask(timeout_ms).map_err(|err| {
            ProbeFailure::because(format!(
                "http://{}{} does not answer: {err}",
                self.host, self.path
            ))
        })?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let got = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse::<u16>().ok());
        if got == Some(self.status) {
            return Ok(());
        }
        let got = got.map_or_else(|| "no HTTP".to_owned(), |got| got.to_string());
        let why = format!(
            "expected status {} from http://{}{}, got {got}",
            self.status, self.host, self.path
        );
        Err(ProbeFailure { why, output: text })
    }
}

impl HttpProbe {
    /// The beginning of the answer, within the time for all of it together.
    fn ask(&self, timeout_ms: u64) -> std::io::Result<Vec<u8>> {
        let clock = Clock::new(Timestamp::default());
        let left = || -> std::io::Result<Duration> {
            let left = timeout_ms.saturating_sub(clock.monotonic_ms());
            if left == 0 {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
            Ok(Duration::from_millis(left))
        };
        let mut addresses = self.address.to_socket_addrs()?;
        let address = addresses.next().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
        let mut stream = TcpStream::connect_timeout(&address, left()?)?;
        stream.set_write_timeout(Some(left()?))?;
        let (path, host) = (&self.path, &self.host);
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut piece = [0; 1024];
        while answer.len() < ANSWER_BYTES_MAX {
            stream.set_read_timeout(Some(left()?))?;
            match stream.read(&mut piece) {
                Ok(count @ 1..) => answer.extend_from_slice(piece.get(..count).unwrap_or_default()),
                // What came so far says enough.
                Err(_) if answer.windows(4).any(|bytes| bytes == b"\r\n\r\n") => break,
                Ok(_) => break,
                Err(err) => return Err(err),
            }
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Asks somebody who answers with `answer` and then keeps silent with the line open.
    fn ask(answer: &'static str) -> Result<(), ProbeFailure> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let got = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            // It stays open until the probe hangs up.
            let _ = stream.read(&mut [0; 1]);
            String::from_utf8_lossy(&request[..got]).into_owned()
        });
        let (address, host, path) = parts(&format!("http://{address}/health?full=1")).unwrap();
        let transport = crate::transport::Transport::plain("http://127.0.0.1:1");
        let image = std::path::Path::new("/image");
        let around = Surroundings { image, slot: "b", transport: &transport };
        let found = HttpProbe { address, host, path, status: 200 }.look(&around, 300);
        assert!(server.join().unwrap().starts_with("GET /health?full=1 HTTP/1.1\r\n"));
        found
    }

    #[test]
    fn an_address_is_judged_by_its_status_within_its_time() {
        assert_eq!(ask("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Ok(()));
        let failure = ask("HTTP/1.1 503 X\r\n\r\nno database").unwrap_err();
        assert!(failure.why.ends_with("/health?full=1, got 503"), "{}", failure.why);
        assert!(failure.output.ends_with("no database"));
        let failure = ask("SSH-2.0-x\r\n\r\n").unwrap_err();
        assert!(failure.why.ends_with("got no HTTP"), "{}", failure.why);
        let failure = ask("").unwrap_err();
        assert!(failure.why.contains("does not answer: "), "{}", failure.why);
    }

    #[test]
    fn addresses_are_of_plain_http() {
        let of = |url: &str| parts(url).map(|(address, _, path)| (address, path));
        assert_eq!(of("http://localhost"), Ok(("localhost:80".into(), "/".into())));
        assert_eq!(of("http://[::1]:8080/x"), Ok(("[::1]:8080".into(), "/x".into())));
        for bad in ["https://a", "a", "http://", "http:///x", "http://u@a/", "http://a/ b"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
