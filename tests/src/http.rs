//! A client that does as it is told: HTTP/1.1 over one kept connection of TLS 1.3, where the bytes
//! of a request may be anything. It knows nothing of what is asked; nothing is tried again.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::site::Site;

/// Longest wait for any byte of an answer. A held poll is not asked for by this client.
const PATIENCE: Duration = Duration::from_secs(30);

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a client shows: its chain and key, both in PEM.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The certificate, then those of the CAs above it.
    pub chain_pem: String,
    /// The key, PKCS#8.
    pub key_pem: String,
}

impl Credential {
    /// An operator's, from the files of the ceremony.
    ///
    /// # Errors
    /// There is no such operator.
    pub fn operator(site: &Site, name: &str) -> anyhow::Result<Self> {
        let folder = site.folder.join("operators");
        let read = |file: String| {
            std::fs::read_to_string(folder.join(&file)).with_context(|| format!("no {file}"))
        };
        Ok(Self { chain_pem: read(format!("{name}.pem"))?, key_pem: read(format!("{name}.key"))? })
    }
}

/// TLS settings of a client of this site: TLS 1.3, the site's server CA, and what the client shows.
/// Connections that share them would resume each other's sessions if the server let them.
///
/// # Errors
/// The CA or the credential is not PEM, or they do not fit together.
pub fn tls(site: &Site, shown: Option<&Credential>) -> anyhow::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&site.keys().join("ca").join("server-ca.pem"))? {
        roots.add(certificate)?;
    }
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots);
    let settings = match shown {
        None => builder.with_no_client_auth(),
        Some(shown) => {
            let chain = CertificateDer::pem_slice_iter(shown.chain_pem.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(shown.key_pem.as_bytes())?;
            builder.with_client_auth_cert(chain.collect::<Result<_, _>>()?, key)?
        }
    };
    Ok(Arc::new(settings))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    found.with_context(|| format!("{} holds no certificates", path.display()))
}

/// One open connection.
#[derive(Debug)]
pub struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    read: Vec<u8>,
    sends: Sends,
}

/// Whether the server still takes what is sent.
#[derive(Debug, Clone, Copy)]
enum Sends {
    All,
    NoMore,
}

fn is_end(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// What came back.
#[derive(Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, as it came.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(500).collect();
        f.debug_struct("Answer").field("status", &self.status).field("body", &body).finish()
    }
}

impl Answer {
    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The code of a refusal; empty where the answer is a success or carries none.
    #[must_use]
    pub fn code(&self) -> String {
        let json = self.json();
        let code = json.get("code").and_then(Value::as_str).filter(|_| self.status >= 400);
        code.unwrap_or_default().to_owned()
    }

    /// The words of a refusal.
    #[must_use]
    pub fn detail(&self) -> String {
        self.json().get("detail").and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

impl Connection {
    /// Connects and finishes the client's side of the handshake. In TLS 1.3 the server judges the
    /// client's certificate after that: see [`Self::alert`].
    ///
    /// # Errors
    /// Nobody listens, or the handshake fails.
    pub fn open(port: u16, tls: &Arc<ClientConfig>) -> anyhow::Result<Self> {
        let tcp = TcpStream::connect(("127.0.0.1", port))?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let connection = ClientConnection::new(Arc::clone(tls), name)?;
        let mut stream = StreamOwned::new(connection, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { stream, read: Vec::new(), sends: Sends::All })
    }

    /// The alert with which the server ends this connection. Nothing must have been asked, so that
    /// the alert is not lost to a reset.
    ///
    /// # Errors
    /// The server says nothing, or something else than an alert.
    pub fn alert(mut self) -> anyhow::Result<AlertDescription> {
        let said = self.stream.read(&mut [0]);
        let Err(err) = said else { bail!("expected an alert, got {said:?}") };
        match err.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::AlertReceived(alert)) => Ok(*alert),
            _ => Err(err).context("expected an alert"),
        }
    }

    /// Waits until the server ends this connection, whatever it says before.
    ///
    /// # Errors
    /// It is still open after so long.
    pub fn ends_within(mut self, patience: Duration) -> anyhow::Result<()> {
        self.stream.sock.set_read_timeout(Some(patience))?;
        loop {
            match self.stream.read(&mut [0; 1024]) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(err) if matches!(err.kind(), io::ErrorKind::WouldBlock) => {
                    bail!("expected the server to end the connection within {patience:?}")
                }
                Err(_) => return Ok(()),
            }
        }
    }

    /// Whether the handshake was a whole one and not the resumption of an earlier session.
    #[must_use]
    pub fn was_whole_handshake(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(rustls::HandshakeKind::Full)
    }

    /// How many session tickets the server has given.
    #[must_use]
    pub fn tickets(&self) -> u32 {
        self.stream.conn.tls13_tickets_received()
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// The connection ends before the whole answer is there.
    pub fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Answer> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        // One write, so that a small request is one packet. A server that refuses a body need not
        // take all of it: its answer may be here although the rest could not be sent.
        match self.send(&[head.as_bytes(), body].concat()) {
            Err(err) if is_end(&err) => self.sends = Sends::NoMore,
            sent => sent?,
        }
        self.answer()
    }

    /// Asks with a JSON body.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn tell(&mut self, method: &str, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.ask(method, path, &serde_json::to_vec(body)?)
    }

    /// Looks.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn look(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.ask("GET", path, b"")
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The server has ended the connection.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Waits for the answer to a HEAD, after whose head nothing comes.
    ///
    /// # Errors
    /// The connection ends before the whole head is there.
    pub fn head(&mut self) -> anyhow::Result<Answer> {
        let head = self.read_head()?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok(Answer { status, head, body: Vec::new() })
    }

    /// Reads the body behind a head that was read alone.
    ///
    /// # Errors
    /// The connection ends before it is there, or it has no length.
    pub fn body_of(&mut self, head: Answer) -> anyhow::Result<Answer> {
        self.read.splice(0..0, head.head.into_bytes());
        self.answer()
    }

    fn read_head(&mut self) -> anyhow::Result<String> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let rest = self.read.split_off(end);
        Ok(String::from_utf8(std::mem::replace(&mut self.read, rest))?)
    }

    /// Waits for one answer.
    ///
    /// # Errors
    /// The connection ends before the whole answer is there, or it has no length.
    pub fn answer(&mut self) -> anyhow::Result<Answer> {
        let head = self.read_head()?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        // RFC 9112, 6.3: it ends with its head, whatever the head says.
        if status == 304 {
            return Ok(Answer { status, head, body: Vec::new() });
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
        });
        let length = length.with_context(|| format!("an answer without a length:\n{head}"))??;
        ensure!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes");
        while self.read.len() < length {
            self.more()?;
        }
        let rest = self.read.split_off(length);
        let body = std::mem::replace(&mut self.read, rest);
        Ok(Answer { status, head, body })
    }

    /// Reads what has come, where the stream itself would first try to send what is left.
    fn read_only(&mut self, buffer: &mut [u8]) -> anyhow::Result<usize> {
        loop {
            match self.stream.conn.reader().read(buffer) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                got => return Ok(got?),
            }
            let got = self.stream.conn.read_tls(&mut self.stream.sock)?;
            ensure!(got > 0, "the server ended the connection");
            self.stream.conn.process_new_packets()?;
        }
    }

    fn more(&mut self) -> anyhow::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let got = match self.sends {
            Sends::All => self.stream.read(&mut buffer)?,
            Sends::NoMore => self.read_only(&mut buffer)?,
        };
        ensure!(got > 0, "the server ended the connection");
        self.read.extend_from_slice(buffer.get(..got).unwrap_or_default());
        Ok(())
    }
}
