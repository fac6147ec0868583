//! A stand-in for the server's operator listener: TLS 1.3 with client certificates on loopback, and
//! answers from a closure. It speaks just enough HTTP/1.1 for one client.

use std::io::{BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use rcgen::ExtendedKeyUsagePurpose;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::fixture::Authority;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) body: Vec<u8>,
}

/// Status and body.
pub(crate) type Answer = (u16, Vec<u8>);

/// JSON with status 200.
pub(crate) fn ok(value: serde_json::Value) -> Answer {
    (200, value.to_string().into_bytes())
}

/// A refusal.
pub(crate) fn refused(status: u16, code: &str, detail: &str) -> Answer {
    (status, serde_json::json!({"code": code, "detail": detail}).to_string().into_bytes())
}

/// A running stand-in and an operator's settings for it.
pub(crate) struct Double {
    pub(crate) folder: tempfile::TempDir,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Double {
    /// Starts it; `answer` sees each request with how many came before it.
    pub(crate) fn start(answer: impl Fn(&Request, usize) -> Answer + Send + 'static) -> Self {
        let servers = Authority::new("server CA");
        let operators = Authority::new("operator CA");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let alice = operators.issue("alice", ExtendedKeyUsagePurpose::ClientAuth);
        let put = |name: &str, text: &str| put(&folder.path().join(name), text.as_bytes());
        put("server-ca.pem", &servers.pem);
        put("alice.pem", &alice.certificate);
        put("alice.key.pem", &alice.key.serialize_pem());
        put(
            "cli.toml",
            &format!(
                "server = \"https://{address}\"\nserver_ca = \"server-ca.pem\"\n\
                 certificate = \"alice.pem\"\nkey = \"alice.key.pem\"\n"
            ),
        );
        let config = Arc::new(config(&servers, &operators));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let stream = StreamOwned::new(connection, stream.unwrap());
                serve(stream, &answer, &seen);
            }
        });
        Self { folder, requests }
    }

    /// What was asked, in order.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `lazaret` as alice in the folder.
    pub(crate) fn lazaret(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_lazaret"))
            .current_dir(self.folder.path())
            .args(["--config", "cli.toml"])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Runs it with `--json`, expects success, and reads the answer.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let arguments = [&["--json"], arguments].concat();
        let output = self.lazaret(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Writes a file of a test.
pub(crate) fn put(path: &Path, bytes: &[u8]) {
    std::fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

fn config(servers: &Authority, operators: &Authority) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(operators.pem.as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
        .build()
        .unwrap();
    let server = servers.issue("server", ExtendedKeyUsagePurpose::ServerAuth);
    let chain = vec![CertificateDer::from_pem_slice(server.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(server.key.serialize_pem().as_bytes()).unwrap();
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap()
}

/// One connection, until the client goes away. A status of 0 breaks the connection.
fn serve(
    stream: StreamOwned<ServerConnection, std::net::TcpStream>,
    answer: &impl Fn(&Request, usize) -> Answer,
    seen: &Mutex<Vec<Request>>,
) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = receive(&mut stream) {
        let before = seen.lock().unwrap().len();
        let (status, body) = answer(&request, before);
        seen.lock().unwrap().push(request);
        if status == 0 {
            return;
        }
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
        let out = stream.get_mut();
        let sent = out.write_all(head.as_bytes()).and_then(|()| out.write_all(&body));
        if sent.and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

fn receive(stream: &mut impl std::io::BufRead) -> Option<Request> {
    let mut length = 0;
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let line = lines.first()?.trim_end_matches(" HTTP/1.1").to_owned();
    Some(Request { line, body })
}
