//! A server for tests, inside the test: files by path, byte ranges, and connections that break on
//! demand. No TLS.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use ed25519_dalek::{Signer as _, SigningKey};
use lazaret_protocol::canonical::CanonicalError;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::receipt::Receipt;
use lazaret_protocol::signed::Envelope;
use lazaret_protocol::time::Timestamp;

use crate::clock::Clock;
use crate::source::{Pull, Source};
use crate::transport::Transport;

/// What the server answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    /// Files by path.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Bytes of a body after which each connection breaks.
    pub(crate) break_after: Option<usize>,
    /// Answers the whole file whatever range is asked for.
    pub(crate) ignore_ranges: bool,
    /// Status and headers of the answers with a file, in place of true ones; `FROM` and `LAST` are
    /// replaced. Without a `Content-Length` the answer ends with its connection.
    pub(crate) said: Option<(u16, String)>,
    /// Bytes that follow every file.
    pub(crate) trailer: Vec<u8>,
    /// Sends one byte at a time, with a pause of so many milliseconds between two.
    pub(crate) drip_ms: Option<u64>,
    /// Status, body and headers for everything else.
    pub(crate) otherwise: Option<(u16, String, String)>,
    /// Answers to POST by path: the first is given once, the last for ever.
    pub(crate) posts: BTreeMap<String, Vec<String>>,
    /// Bodies that were posted, by path.
    pub(crate) posted: Vec<(String, Vec<u8>)>,
    /// The evidence that was uploaded, and its digest once it was the last.
    pub(crate) evidence: Vec<u8>,
    pub(crate) evidence_digest: Option<String>,
    /// Is told of each body that is posted before it is answered.
    pub(crate) witness: Option<Witness>,
}

/// Somebody who sees what is posted.
#[derive(Clone)]
pub(crate) struct Witness(pub(crate) Arc<dyn Fn(&str, &[u8]) + Send + Sync>);

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Witness")
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) transport: Transport,
    pub(crate) source: Source,
    pub(crate) answers: Arc<Mutex<Answers>>,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(answers));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (to_answer, to_note) = (Arc::clone(&answers), Arc::clone(&requests));
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (answers, requests) = (Arc::clone(&to_answer), Arc::clone(&to_note));
                thread::spawn(move || {
                    let _ = serve(connection, &answers, &requests);
                });
            }
        });
        let transport = Transport::plain(&base);
        let pull = Pull { bytes_per_second_min: 0, window_ms: 2000 };
        let source = transport.repository(pull, &Clock::new(Timestamp::default()));
        Self { transport, source, answers, requests }
    }

    pub(crate) fn with_files(files: &[(&str, &[u8])]) -> Self {
        let files =
            files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect();
        Self::start(Answers { files, ..Answers::default() })
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(
    connection: TcpStream,
    answers: &Mutex<Answers>,
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut connection = connection;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        let (mut from, mut length) = (None, 0);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let header = header.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(range) = header.strip_prefix("range: bytes=") {
                from = range.trim_end_matches('-').parse::<usize>().ok();
            }
            if let Some(value) = header.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let range = from.map_or(String::new(), |from| format!(" from {from}"));
        requests.lock().unwrap().push(format!("{method} {path}{range}"));
        let mut answers = answers.lock().unwrap();
        if path.starts_with("/v1/evidence/") {
            let answer = evidence(&mut answers, &method, &path, &body);
            connection.write_all(answer.as_bytes())?;
            continue;
        }
        if let (Some(witness), "POST") = (&answers.witness, method.as_str()) {
            (witness.0)(&path, &body);
        }
        if let Some(queue) = answers.posts.get_mut(&path) {
            let answer = if queue.len() > 1 { queue.remove(0) } else { queue[0].clone() };
            let answer = if path == "/v1/report" { acknowledgement(&body) } else { answer };
            let length = answer.len();
            answers.posted.push((path, body));
            write!(connection, "HTTP/1.1 200 X\r\nContent-Length: {length}\r\n\r\n{answer}")?;
            continue;
        }
        let answers = answers.clone();
        let Some(file) = answers.files.get(&path) else {
            let (status, headers, body) = answers.otherwise.unwrap_or_else(|| {
                (404, String::new(), r#"{"code":"not-found","detail":"there is none"}"#.into())
            });
            let length = body.len();
            write!(
                connection,
                "HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
            )?;
            continue;
        };
        let from = if answers.ignore_ranges { None } else { from };
        let rest = &file[from.unwrap_or(0).min(file.len())..];
        if let Some((status, headers)) = &answers.said {
            let headers = headers
                .replace("FROM", &from.unwrap_or(0).to_string())
                .replace("LAST", &file.len().saturating_sub(1).to_string());
            write!(connection, "HTTP/1.1 {status} X\r\n{headers}Connection: close\r\n\r\n")?;
            connection.write_all(rest)?;
            return connection.write_all(&answers.trailer);
        }
        let (status, range) = match from {
            Some(from) => {
                (206, format!("Content-Range: bytes {from}-{}/{}\r\n", file.len() - 1, file.len()))
            }
            None => (200, String::new()),
        };
        write!(connection, "HTTP/1.1 {status} X\r\n{range}Content-Length: {}\r\n\r\n", rest.len())?;
        if let Some(ms) = answers.drip_ms {
            for byte in rest {
                connection.write_all(std::slice::from_ref(byte))?;
                crate::clock::sleep_ms(ms);
            }
            continue;
        }
        match answers.break_after {
            Some(most) if most < rest.len() => return connection.write_all(&rest[..most]),
            _ => connection.write_all(rest)?,
        }
    }
}

/// What a server that believes everything answers to a report.
fn acknowledgement(body: &[u8]) -> String {
    let envelope = lazaret_protocol::signed::Envelope::parse(body).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&envelope.payload).unwrap();
    format!("{{\"order\":{}}}", report["order"])
}

/// The key that signs receipts, as the anchors of tests name it.
pub(crate) fn order_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn receipt_for(answers: &Answers, bundle: &str) -> String {
    let receipt = Receipt {
        bundle: bundle.parse().unwrap(),
        device: "d-1".parse().unwrap(),
        sha256: Sha256Digest::of(&answers.evidence),
        length: answers.evidence.len() as u64,
        at: Timestamp::from_ms(1_700_000_000_000),
    };
    let public = PublicKey::Ed25519(order_key().verifying_key().to_bytes().to_vec());
    let sealed = Envelope::seal::<_, CanonicalError>(&receipt, public.key_id(), |bytes| {
        Ok(order_key().sign(bytes).to_bytes().to_vec())
    });
    serde_json::to_string(&sealed.unwrap()).unwrap()
}

fn evidence(answers: &mut Answers, method: &str, path: &str, body: &[u8]) -> String {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let field = |name: &str| {
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap_or("")
    };
    let conflict = method == "PUT" && field("offset") != answers.evidence.len().to_string();
    let (status, body) = if conflict {
        (409, r#"{"code":"conflict","detail":"another offset"}"#.to_owned())
    } else {
        answers.evidence.extend_from_slice(body);
        let mut receipt = String::new();
        if field("last") == "true" {
            answers.evidence_digest = Some(field("sha256").to_owned());
            let bundle = path.split_once('?').map_or(path, |(path, _)| path).rsplit('/').next();
            receipt = format!(",\"receipt\":{}", receipt_for(answers, bundle.unwrap()));
        }
        (200, format!("{{\"offset\":{}{receipt}}}", answers.evidence.len()))
    };
    let length = body.len();
    if answers.break_after.is_some_and(|most| answers.evidence.len() > most) {
        return String::new();
    }
    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}")
}
