//! A hostile mirror. Before a device it ends the device's TLS with the server's own certificate,
//! goes on with the device's, and answers chosen paths by itself: what somebody could do who took
//! the server over, but has none of the offline keys. As a public mirror it speaks plain HTTP and
//! has the repository alone.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::http::{self, Credential};
use crate::site::{Device, Site};

/// Longest request head that is taken, in bytes.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Where an endless answer gives up on a device that takes everything, in bytes.
pub const ENDLESS_BYTES: usize = 64 * 1024 * 1024;

/// Longest silence on a connection: more than a poll is held.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Between two bytes of an answer that trickles.
const TRICKLE: Duration = Duration::from_millis(50);

/// What is answered in place of the server.
#[derive(Debug, Clone)]
pub enum Answer {
    /// These bytes.
    Bytes(Vec<u8>),
    /// There is no such file.
    Missing,
    /// Spaces, without end.
    Endless,
    /// What the server says, with one byte in the middle of the body changed.
    OneByteChanged,
    /// That it is elsewhere.
    Redirected(String),
    /// What the server says, a byte every 50 ms.
    Trickling,
    /// What the server says, under a head that says this of its range, with status 206.
    UnderRange(String),
    /// What the server says, up to so many bytes of the body, and the connection ends.
    CutAfter(usize),
}

/// One lie.
#[derive(Debug, Clone)]
pub struct Lie {
    /// A part of the paths that it is told on.
    pub part: String,
    /// What is told.
    pub answer: Answer,
}

/// The mirror of one device. It ends when this goes.
#[derive(Debug)]
pub struct Mirror {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// None on a public mirror, which speaks plain HTTP.
    acceptor: Option<Arc<ServerConfig>>,
    onward: Arc<ClientConfig>,
    upstream: u16,
    lies: Mutex<Vec<Lie>>,
    told: Mutex<Vec<Told>>,
    asked: AtomicUsize,
    over: AtomicBool,
}

/// A lie that was told.
#[derive(Debug, Clone)]
struct Told {
    part: String,
    bytes: usize,
}

impl Mirror {
    /// Stands between `site` and a device that is enrolled, honest at first, and tells the device's
    /// settings so. The agent has to start again to see that.
    ///
    /// # Errors
    /// The device has no certificate, or no port can be had.
    pub fn before(site: &Site, device: &Device) -> anyhow::Result<Self> {
        let tls = site.folder.join("tls");
        let chain = CertificateDer::pem_file_iter(tls.join("server.pem"))?;
        let key = PrivateKeyDer::from_pem_file(tls.join("server.key"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let acceptor = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(chain.collect::<Result<_, _>>()?, key)?;
        let mirror = Self::listen(site, device, Some(Arc::new(acceptor)))?;
        device.set(&format!("server = \"https://localhost:{}\"", mirror.port))?;
        Ok(mirror)
    }

    /// Stands beside the server as the first mirror of a device that is enrolled, in plain HTTP,
    /// and tells the device's settings so. The agent has to start again to see that.
    ///
    /// # Errors
    /// The device has no certificate, or no port can be had.
    pub fn public(site: &Site, device: &Device) -> anyhow::Result<Self> {
        let mirror = Self::listen(site, device, None)?;
        device.set(&format!("mirrors = [\"http://127.0.0.1:{}/repo\"]", mirror.port))?;
        Ok(mirror)
    }

    fn listen(
        site: &Site,
        device: &Device,
        acceptor: Option<Arc<ServerConfig>>,
    ) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            acceptor,
            onward: http::tls(site, Some(&credential(device)?))?,
            upstream: site.device_port,
            lies: Mutex::default(),
            told: Mutex::default(),
            asked: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &serving));
        Ok(Self { port, shared })
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Tells these lies and no others.
    pub fn lie(&self, lies: Vec<Lie>) {
        *held(&self.shared.lies) = lies;
    }

    /// How often it was asked for anything.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// How often a lie about paths with this part was told.
    #[must_use]
    pub fn told(&self, part: &str) -> usize {
        held(&self.shared.told).iter().filter(|told| told.part == part).count()
    }

    /// Most bytes that the device took of one answer about paths with this part.
    #[must_use]
    pub fn most_bytes(&self, part: &str) -> usize {
        let told = held(&self.shared.told);
        told.iter().filter(|told| told.part == part).map(|told| told.bytes).max().unwrap_or(0)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // It waits for a connection: this one is its last. If it is gone already, all is well.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn credential(device: &Device) -> anyhow::Result<Credential> {
    let identity = device.folder.join("state").join("identity");
    let certificate = std::fs::read(identity.join("certificate.json"))
        .with_context(|| format!("{} is not enrolled", device.id))?;
    let certificate: Value = serde_json::from_slice(&certificate)?;
    let chain = certificate.pointer("/certificate_chain").and_then(Value::as_str);
    Ok(Credential {
        chain_pem: chain.context("no certificate_chain in certificate.json")?.to_owned(),
        key_pem: std::fs::read_to_string(identity.join("key.pem"))?,
    })
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for connection in listener.incoming() {
        if shared.over.load(Ordering::SeqCst) {
            return;
        }
        let Ok(connection) = connection else { continue };
        let shared = Arc::clone(shared);
        // A device that hangs up early is what some lies are for.
        std::thread::spawn(move || serve(&shared, connection).ok());
    }
}

/// What the device's side is read from and written to.
trait Inward: Read + Write {}

impl<S: Read + Write> Inward for S {}

/// One request, one answer, and the connection ends.
fn serve(shared: &Shared, connection: TcpStream) -> io::Result<()> {
    connection.set_read_timeout(Some(SILENCE_MAX))?;
    connection.set_write_timeout(Some(SILENCE_MAX))?;
    let Some(acceptor) = &shared.acceptor else {
        let mut device = connection;
        return serve_over(shared, &mut device);
    };
    let tls = ServerConnection::new(Arc::clone(acceptor)).map_err(io::Error::other)?;
    let mut device = StreamOwned::new(tls, connection);
    serve_over(shared, &mut device)?;
    device.conn.send_close_notify();
    device.flush()
}

fn serve_over(shared: &Shared, device: &mut dyn Inward) -> io::Result<()> {
    let Some(request) = Request::read(device)? else { return Ok(()) };
    shared.asked.fetch_add(1, Ordering::SeqCst);
    let lie = held(&shared.lies).iter().find(|lie| request.path.contains(&lie.part)).cloned();
    match lie {
        None => device.write_all(&shared.ask(&request)?)?,
        Some(lie) => {
            // Told before it is known how much the device takes of it: it may hang up.
            let at = {
                let mut told = held(&shared.told);
                told.push(Told { part: lie.part.clone(), bytes: 0 });
                told.len() - 1
            };
            let mut count = |bytes: usize| {
                if let Some(told) = held(&shared.told).get_mut(at) {
                    told.bytes += bytes;
                }
            };
            shared.tell(device, &request, lie.answer, &mut count)?;
        }
    }
    device.flush()
}

impl Shared {
    /// The server's answer, head and body.
    fn ask(&self, request: &Request) -> io::Result<Vec<u8>> {
        let connection = TcpStream::connect(("127.0.0.1", self.upstream))?;
        connection.set_read_timeout(Some(SILENCE_MAX))?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let tls =
            ClientConnection::new(Arc::clone(&self.onward), name).map_err(io::Error::other)?;
        let mut server = StreamOwned::new(tls, connection);
        server.write_all(&request.onward())?;
        let mut answer = Vec::new();
        match server.read_to_end(&mut answer) {
            // The server may close without a goodbye; what is whole is judged by its length.
            Err(err) if err.kind() != io::ErrorKind::UnexpectedEof => Err(err),
            _ => Ok(answer),
        }
    }

    fn tell(
        &self,
        device: &mut dyn Inward,
        request: &Request,
        answer: Answer,
        count: &mut dyn FnMut(usize),
    ) -> io::Result<()> {
        match answer {
            Answer::Missing => {
                let body = br#"{"code":"not-found","detail":"no such file"}"#;
                device.write_all(&head("404 Not Found", Some(body.len()), None))?;
                device.write_all(body)
            }
            Answer::Bytes(bytes) => {
                let whole = bytes.len();
                let part = bytes.get(request.from.min(whole)..).unwrap_or_default();
                let range = format!("bytes {}-{}/{whole}", request.from, whole.saturating_sub(1));
                let (status, range) = match request.from {
                    0 => ("200 OK", None),
                    _ => ("206 Partial Content", Some(range)),
                };
                device.write_all(&head(status, Some(part.len()), range))?;
                count(part.len());
                device.write_all(part)
            }
            Answer::Endless => {
                let range = format!("bytes {}-{}/*", request.from, u64::MAX);
                let (status, range) = match request.from {
                    0 => ("200 OK", None),
                    _ => ("206 Partial Content", Some(range)),
                };
                device.write_all(&head(status, None, range))?;
                let spaces = vec![b' '; 16 * 1024];
                for _ in 0..ENDLESS_BYTES / spaces.len() {
                    device.write_all(&spaces)?;
                    device.flush()?;
                    count(spaces.len());
                }
                Ok(())
            }
            Answer::OneByteChanged => {
                let mut answer = self.ask(request)?;
                let body = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0) + 4;
                let middle = body + answer.len().saturating_sub(body) / 2;
                if let Some(byte) = answer.get_mut(middle) {
                    *byte ^= 1;
                }
                count(answer.len());
                device.write_all(&answer)
            }
            Answer::Redirected(to) => {
                let head = "HTTP/1.1 302 Found\r\nconnection: close\r\ncontent-length: 0\r\n";
                device.write_all(format!("{head}location: {to}\r\n\r\n").as_bytes())
            }
            Answer::Trickling => {
                let (head, body) = split(self.ask(request)?);
                device.write_all(&head)?;
                for byte in body {
                    device.write_all(&[byte])?;
                    device.flush()?;
                    count(1);
                    std::thread::sleep(TRICKLE);
                }
                Ok(())
            }
            Answer::UnderRange(range) => {
                let (_, body) = split(self.ask(request)?);
                let length = Some(body.len());
                device.write_all(&head("206 Partial Content", length, Some(range)))?;
                count(body.len());
                device.write_all(&body)
            }
            Answer::CutAfter(most) => {
                let (head, body) = split(self.ask(request)?);
                device.write_all(&head)?;
                let part = body.get(..most.min(body.len())).unwrap_or_default();
                count(part.len());
                device.write_all(part)
            }
        }
    }
}

/// The head of an answer, with its empty line, and the body.
fn split(mut answer: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
    let body = answer.split_off(end);
    (answer, body)
}

fn head(status: &str, length: Option<usize>, range: Option<String>) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
    if let Some(length) = length {
        head.push_str(&format!("content-length: {length}\r\n"));
    }
    if let Some(range) = range {
        head.push_str(&format!("content-range: {range}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// A request of the device.
#[derive(Debug)]
struct Request {
    head: Vec<String>,
    path: String,
    /// The first byte of a range, 0 where there is none.
    from: usize,
    body: Vec<u8>,
}

impl Request {
    /// The next request; none where the device hung up.
    fn read(stream: &mut dyn Inward) -> io::Result<Option<Self>> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() > HEAD_BYTES_MAX || stream.read(&mut byte)? == 0 {
                return Ok(None);
            }
            head.extend_from_slice(&byte);
        }
        let text = String::from_utf8_lossy(&head);
        let head: Vec<String> = text.trim_end().split("\r\n").map(str::to_owned).collect();
        let field = |name: &str| {
            let lines = head.iter().filter_map(|line| line.split_once(':'));
            let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value.trim().to_owned())
        };
        let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        let range = field("range").unwrap_or_default();
        let from = range.trim_start_matches("bytes=").split('-').next().unwrap_or_default();
        let length = field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let (path, from) = (path.to_owned(), from.parse().unwrap_or(0));
        Ok(Some(Self { head, path, from, body }))
    }

    /// The same request, on a connection that ends with its answer.
    fn onward(&self) -> Vec<u8> {
        let kept =
            self.head.iter().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        let mut lines: Vec<String> = kept.cloned().collect();
        // A public mirror has the repository under a name of its own.
        if let Some(first) = lines.first_mut() {
            *first = first.replace(" /repo/", " /v1/repo/");
        }
        lines.extend(["connection: close", "", ""].map(str::to_owned));
        let mut bytes = lines.join("\r\n").into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
