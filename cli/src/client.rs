//! The server's operator listener as this program sees it: requests over TLS 1.3 with our
//! certificate, answers with a limit, refusals as errors. What is asked and why is the commands'
//! business.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use lazaret_protocol::limits::METADATA_BYTES_MAX;
use lazaret_protocol::operator::{Page, TOKEN_PREFIX};
use lazaret_protocol::refusal::{Refusal, RefusalCode};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::header::{AUTHORIZATION, HeaderValue};
use ureq::http::{Request, Response, StatusCode};
use ureq::middleware::MiddlewareNext;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
use ureq::{Agent, Body, RequestBuilder, SendBody};

use crate::settings::{Credential, Settings};

/// Largest JSON answer, in bytes: a page of a thousand devices is under 1 MiB.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Largest refusal that is read, in bytes.
const REFUSAL_BYTES_MAX: u64 = 64 * 1024;

/// Largest PEM file, in bytes. A chain of three certificates is under 4 KiB.
const PEM_BYTES_MAX: u64 = 256 * 1024;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long nothing at all may come or go on a connection.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a publication may take: the server may have deltas of gigabytes to finish first.
const PUBLICATION_TIMEOUT: Duration = Duration::from_secs(3600);

/// Items that are asked for at once.
const PAGE_ITEMS: u64 = 500;

/// The server, ready to be asked.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    server: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No connection, or it broke.
    #[error("cannot reach {server}")]
    Unreachable {
        server: String,
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server said no.
    #[error("the server refused ({code}): {detail}")]
    Refused { status: StatusCode, code: String, detail: String },
    /// What came is no answer to what was asked.
    #[error("expected {expected} from {server}, got something else: {why}")]
    NotUnderstood { server: String, expected: &'static str, why: String },
}

impl ClientError {
    /// Whether the server refused, whatever the code.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Whether the server refused with this code.
    pub(crate) fn is(&self, wanted: RefusalCode) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted.as_str())
    }

    /// Whether the same request may well work a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. }) || self.is(RefusalCode::Unavailable)
    }
}

impl Client {
    /// Reads our certificate and key and the server's CA. Nothing is sent yet.
    pub(crate) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = certificates(&settings.server_ca)?;
        check_roots(&roots, &settings.server_ca)?;
        let (shown, token) = match &settings.credential {
            Credential::Certificate { certificate, key } => {
                (Some(client_cert(certificate, key, &provider)?), None)
            }
            Credential::Token { file } => (None, Some(token(file)?)),
        };
        Ok(Self::over(&settings.server, (provider, &roots), shown, token))
    }

    /// A client that shows nothing, for who has only a one-time code.
    pub(crate) fn stranger(server: &str, server_ca: &Path) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = certificates(server_ca)?;
        check_roots(&roots, server_ca)?;
        let server = crate::settings::server_address(server.to_owned())?;
        Ok(Self::over(&server, (provider, &roots), None, None))
    }

    fn over(
        server: &str,
        (provider, roots): (Arc<CryptoProvider>, &[CertificateDer<'static>]),
        shown: Option<ClientCert>,
        token: Option<HeaderValue>,
    ) -> Self {
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(RootCerts::new_with_certs(&owned(roots)))
            .client_cert(shown)
            .build();
        let bearing = move |mut request: Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
            if let Some(token) = &token {
                request.headers_mut().insert(AUTHORIZATION, token.clone());
            }
            next.handle(request)
        };
        let config = Agent::config_builder()
            .tls_config(tls)
            .middleware(bearing)
            .https_only(true)
            .http_status_as_error(false)
            .max_redirects(0)
            // Settings come from the configuration file: an environment variable must not send
            // orders to a fleet through somebody's proxy.
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_per_read(Some(SILENCE_TIMEOUT))
            .timeout_per_write(Some(SILENCE_TIMEOUT))
            .user_agent(concat!("lazaret/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.new_agent(), server: server.to_owned() }
    }

    /// `GET` of a JSON answer.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.answer(self.agent.get(self.url(path)).call())
    }

    /// Items of a list from after `after` on, at most `limit`, page by page.
    pub(crate) fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        after: Option<String>,
        limit: u64,
    ) -> Result<Page<T>, ClientError> {
        self.list_matching(path, None, (after, limit))
    }

    /// The same, of those that a filter matches. A page may be empty and have a successor, because
    /// the server looks at so many at most for one.
    pub(crate) fn list_matching<T: DeserializeOwned>(
        &self,
        path: &str,
        filter: Option<&str>,
        range: (Option<String>, u64),
    ) -> Result<Page<T>, ClientError> {
        let filter = filter.map(|filter| format!("&filter={}", escaped(filter)));
        self.list_where(path, &filter.unwrap_or_default(), range)
    }

    /// The same, with further parameters of the query, each `&name=value`.
    pub(crate) fn list_where<T: DeserializeOwned>(
        &self,
        path: &str,
        filter: &str,
        (after, limit): (Option<String>, u64),
    ) -> Result<Page<T>, ClientError> {
        let mut items = Vec::new();
        let mut next = after;
        loop {
            let wanted = limit.saturating_sub(items.len() as u64).min(PAGE_ITEMS);
            let after = next.as_deref().map(|after| format!("&after={}", escaped(after)));
            let query = format!("{path}?limit={wanted}{filter}{}", after.unwrap_or_default());
            let page: Page<T> = self.get(&query)?;
            items.extend(page.items);
            // A successor that leads nowhere would have us ask for ever.
            next = page.next.filter(|after| next.as_ref() != Some(after));
            if next.is_none() || items.len() as u64 >= limit {
                return Ok(Page { items, next });
            }
        }
    }

    /// `POST` of a JSON body for a JSON answer.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|err| self.not_understood("a body", &err))?;
        let request = self.agent.post(self.url(path)).content_type("application/json");
        self.answer(request.send(&body))
    }

    /// `POST` without a body for a JSON answer.
    pub(crate) fn post_nothing<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.answer(self.agent.post(self.url(path)).send_empty())
    }

    /// `POST` of signed metadata, which may wait for deltas.
    pub(crate) fn publish<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &[u8],
    ) -> Result<T, ClientError> {
        let request = self.agent.post(self.url(path)).content_type("application/json");
        let request = request.config().timeout_per_read(Some(PUBLICATION_TIMEOUT)).build();
        self.answer(request.send(body))
    }

    /// `PUT` of raw bytes for a JSON answer.
    pub(crate) fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &[u8],
    ) -> Result<T, ClientError> {
        let request = self.agent.put(self.url(path));
        self.answer(request.content_type("application/octet-stream").send(body))
    }

    /// A metadata file of the repository, none where there is no such file.
    pub(crate) fn metadata(&self, file: &str) -> Result<Option<Vec<u8>>, ClientError> {
        let response = self.success(self.get_request(&format!("/v1/repo/metadata/{file}")).call());
        match response {
            Ok(response) => self.read(response, METADATA_BYTES_MAX).map(Some),
            Err(err) if err.is(RefusalCode::NotFound) => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// The bytes of an answer as they come; the reader ends with an error past `limit`.
    pub(crate) fn open(&self, path: &str, limit: u64) -> Result<impl Read, ClientError> {
        let response = self.success(self.get_request(path).call())?;
        Ok(response.into_body().into_with_config().limit(limit).reader())
    }

    fn get_request(&self, path: &str) -> RequestBuilder<ureq::typestate::WithoutBody> {
        self.agent.get(self.url(path))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }

    fn answer<T: DeserializeOwned>(
        &self,
        response: Result<Response<Body>, ureq::Error>,
    ) -> Result<T, ClientError> {
        let bytes = self.read(self.success(response)?, ANSWER_BYTES_MAX)?;
        serde_json::from_slice(&bytes).map_err(|err| self.not_understood("a JSON answer", &err))
    }

    fn success(
        &self,
        response: Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, ClientError> {
        let response = response.map_err(|source| self.unreachable(source))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = self.read(response, REFUSAL_BYTES_MAX)?;
        match serde_json::from_slice::<Refusal>(&bytes) {
            Ok(Refusal { code, detail }) => Err(ClientError::Refused { status, code, detail }),
            Err(_) => Err(self.not_understood("a refusal", &format!("HTTP status {status}"))),
        }
    }

    fn read(&self, mut response: Response<Body>, limit: u64) -> Result<Vec<u8>, ClientError> {
        match response.body_mut().with_config().limit(limit).read_to_vec() {
            Err(err @ ureq::Error::BodyExceedsLimit(_)) => {
                Err(self.not_understood("an answer of bounded size", &err))
            }
            read => read.map_err(|source| self.unreachable(source)),
        }
    }

    fn unreachable(&self, source: ureq::Error) -> ClientError {
        ClientError::Unreachable { server: self.server.clone(), source: Box::new(source) }
    }

    fn not_understood(&self, expected: &'static str, why: &impl ToString) -> ClientError {
        ClientError::NotUnderstood { server: self.server.clone(), expected, why: why.to_string() }
    }
}

/// Escapes a query value (RFC 3986, 2.1): all but the unreserved characters.
pub(crate) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// The bytes of a small file, its size checked first.
pub(crate) fn pem_bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let limit = PEM_BYTES_MAX.saturating_add(1);
        std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().with_context(|| format!("cannot read {}", path.display()))?;
    anyhow::ensure!(
        bytes.len() as u64 <= PEM_BYTES_MAX,
        "expected {} to have at most {PEM_BYTES_MAX} bytes",
        path.display()
    );
    Ok(bytes)
}

/// The certificates in a PEM file, at least one.
pub(crate) fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let bytes = pem_bytes(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .with_context(|| format!("{} is not PEM", path.display()))?;
    anyhow::ensure!(!found.is_empty(), "expected a certificate in {}, got none", path.display());
    Ok(found)
}

fn client_cert(
    certificate: &Path,
    key_file: &Path,
    provider: &CryptoProvider,
) -> anyhow::Result<ClientCert> {
    let chain = certificates(certificate)?;
    let key = private_key(key_file)?;
    check_pair(&chain, &key, provider).with_context(|| {
        let (certificate, key) = (certificate.display(), key_file.display());
        format!("{certificate} and {key} are not a certificate and its key")
    })?;
    let key = PrivateKey::from_pem(&pem_bytes(key_file)?)?;
    Ok(ClientCert::new_with_certs(&owned(&chain), key))
}

/// A service token as it travels. Its header is marked, so that no log of ours shows it.
fn token(file: &Path) -> anyhow::Result<HeaderValue> {
    let text = String::from_utf8(pem_bytes(file)?)
        .with_context(|| format!("{} is no text", file.display()))?;
    let token = text.trim();
    anyhow::ensure!(
        token.starts_with(TOKEN_PREFIX),
        "expected a service token {TOKEN_PREFIX}... in {}",
        file.display()
    );
    let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
        .with_context(|| format!("{} holds no service token", file.display()))?;
    header.set_sensitive(true);
    Ok(header)
}

fn private_key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    let bytes = pem_bytes(path)?;
    let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    anyhow::ensure!(
        !bytes.windows(encrypted.len()).any(|window| window == encrypted),
        "{} is encrypted with a passphrase, which this program does not read",
        path.display()
    );
    PrivateKeyDer::from_pem_slice(&bytes)
        .with_context(|| format!("expected a private key in PEM in {}", path.display()))
}

/// ureq leaves out roots that it cannot parse; we say so instead.
fn check_roots(roots: &[CertificateDer<'static>], path: &Path) -> anyhow::Result<()> {
    let mut store = RootCertStore::empty();
    for root in roots {
        let added = store.add(root.clone());
        added.with_context(|| format!("{} holds no CA certificate", path.display()))?;
    }
    Ok(())
}

/// rustls refuses a certificate with somebody else's key, and ureq does not survive that.
fn check_pair(
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<(), rustls::Error> {
    CertifiedKey::from_der(chain.to_vec(), key.clone_key(), provider).map(drop)
}

fn owned(certificates: &[CertificateDer<'static>]) -> Vec<Certificate<'static>> {
    certificates.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_escaped() {
        assert_eq!(escaped("gw2/1.0~x"), "gw2%2F1.0~x");
        assert_eq!(escaped("a&b=ü"), "a%26b%3D%C3%BC");
    }
}
