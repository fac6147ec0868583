//! Calls that the server makes to others, which are deliveries to webhooks and to collectors of
//! syslog, and nothing else. An operator says where to, so the server must not become their hand
//! inside the network that it stands in: a name is resolved once, and what it resolves to must be
//! public, or allowed in the settings. Nothing here knows what is delivered.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use url::{Host, Url};

mod address;
mod syslog;

pub(crate) use address::Network;
use address::is_public;

/// Longest time for a whole delivery, name and handshake included: below the lease of one.
const DELIVERY_MAX: Duration = Duration::from_secs(15);

/// Largest address of a receiver, in bytes.
const URL_BYTES_MAX: usize = 2048;

/// Whom may be called.
#[derive(Debug, Clone)]
pub(crate) struct Courier {
    /// Networks that may be called although they are not public, without TLS too.
    allowed: Vec<Network>,
    /// PEM file with the CAs that receivers' certificates chain to.
    roots: PathBuf,
}

/// A receiver that is not called, or that did not take what was delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum OutgoingError {
    /// No address that may be called.
    #[error("expected {expected}, got {got:?}")]
    Address {
        /// What may be.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// The CAs cannot be read.
    #[error("CA certificates in {path} cannot be read")]
    Roots {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// No answer, or a refused address.
    #[error("no delivery: {why}")]
    Unreachable {
        /// What the connection said.
        why: String,
    },
    /// An answer that is no success.
    #[error("the receiver answered {status}")]
    Status {
        /// The status.
        status: u16,
    },
}

impl Courier {
    /// A courier that trusts the CAs in `roots`, and may call these networks besides public ones.
    pub(crate) fn new(allowed: Vec<Network>, roots: &Path) -> Self {
        Self { allowed, roots: roots.into() }
    }

    /// Checks an address as far as it can be without asking for its name.
    ///
    /// # Errors
    /// Not `https` (or `http` to an allowed network), with a user, or of a network that is not
    /// public.
    pub(crate) fn check(&self, address: &str) -> Result<(), OutgoingError> {
        let refused = |expected| {
            let got = address.chars().take(200).collect();
            Err(OutgoingError::Address { expected, got })
        };
        if address.len() > URL_BYTES_MAX {
            return refused("an address of at most 2048 bytes");
        }
        let Ok(url) = Url::parse(address) else {
            return refused("an address such as https://example.org/events");
        };
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return refused("an address without a user and without a fragment");
        }
        let ip = match url.host() {
            None => return refused("an address with a host"),
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            // Of schemes that it does not know, the parser takes every host for a name.
            Some(Host::Domain(name)) => name.parse().ok(),
        };
        if ip.is_some_and(|ip| !self.permits(ip)) {
            return refused("an address of a public network, or one that webhooks.allow lists");
        }
        let in_clear = ip.is_some_and(|ip| self.is_allowed(ip));
        if let Some((transport, _)) = syslog::Transport::of(url.scheme()) {
            // A name is looked at when it is resolved.
            let clear = transport.is_in_clear() && ip.is_some_and(|ip| !self.is_allowed(ip));
            return match clear || !matches!(url.path(), "" | "/") || url.query().is_some() {
                true => refused(
                    "syslog+tls://HOST, or syslog:// and syslog+tcp:// to a network that \
                     webhooks.allow lists",
                ),
                false => Ok(()),
            };
        }
        match url.scheme() {
            "https" => Ok(()),
            "http" if in_clear => Ok(()),
            _ => refused("https (http only to an address in a network that webhooks.allow lists)"),
        }
    }

    fn is_allowed(&self, ip: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(ip))
    }

    fn permits(&self, ip: IpAddr) -> bool {
        is_public(ip) || self.is_allowed(ip)
    }

    /// Posts JSON, and waits for the receiver's word. It blocks.
    ///
    /// # Errors
    /// The address may not be called, nobody answers in time, or the answer is no success;
    /// redirections are not followed.
    pub(crate) fn post(
        &self,
        address: &str,
        headers: &[(&str, String)],
        body: &[u8],
    ) -> Result<(), OutgoingError> {
        self.check(address)?;
        let resolver = CheckedResolver { courier: self.clone(), inner: DefaultResolver::default() };
        let config = ureq::Agent::config_builder()
            .tls_config(self.tls(address)?)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A proxy would resolve the name itself, and past every check of ours.
            .proxy(None)
            .timeout_global(Some(DELIVERY_MAX))
            .max_idle_connections(0)
            .user_agent(concat!("lazaret-server/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), resolver);
        let mut request = agent.post(address).content_type("application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let unreachable = |err: ureq::Error| OutgoingError::Unreachable { why: err.to_string() };
        let status = request.send(body).map_err(unreachable)?.status();
        match status.is_success() {
            true => Ok(()),
            false => Err(OutgoingError::Status { status: status.as_u16() }),
        }
    }

    fn tls(&self, address: &str) -> Result<TlsConfig, OutgoingError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
        if address.starts_with("http:") {
            return Ok(tls.build());
        }
        let unreadable = |source| OutgoingError::Roots { path: self.roots.clone(), source };
        let roots: Vec<Certificate<'static>> = CertificateDer::pem_file_iter(&self.roots)
            .map_err(unreadable)?
            .filter_map(Result::ok)
            .map(|der| Certificate::from_der(&der).to_owned())
            .collect();
        Ok(tls.root_certs(RootCerts::new_with_certs(&roots)).build())
    }
}

/// Resolves a name, and gives out its addresses only where all of them may be called. The
/// connection goes to one of exactly these: a name that says something else a moment later is not
/// asked again.
#[derive(Debug)]
struct CheckedResolver {
    courier: Courier,
    inner: DefaultResolver,
}

impl Resolver for CheckedResolver {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        match found.iter().find(|address| !self.courier.permits(address.ip())) {
            None => Ok(found),
            Some(address) => {
                let why = format!("{} is of no public network", address.ip());
                Err(ureq::Error::Io(io::Error::new(io::ErrorKind::PermissionDenied, why)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn courier(allowed: &[&str]) -> Courier {
        let allowed = allowed.iter().map(|text| text.parse().unwrap()).collect();
        Courier::new(allowed, Path::new("/etc/ssl/certs/ca-certificates.crt"))
    }

    #[test]
    fn addresses_inside_the_servers_own_network_are_refused() {
        for bad in [
            "http://example.org/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest/meta-data/",
            "https://[::ffff:169.254.169.254]/",
            "https://[fd00:ec2::254]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://user:secret@example.org/",
            "https://example.org/#part",
            "file:///etc/passwd",
            "ftp://example.org/",
            "gopher://example.org/",
            "syslog://93.184.216.34",
            "syslog+tcp://[fd00::1]:601",
            "syslog+tls://10.0.0.1",
            "syslog+tls://169.254.169.254:6514",
            "syslog+tls://user@example.org",
            "syslog+tls://example.org/path",
            "syslog+tls://",
            "https:///",
            "example.org",
            "",
        ] {
            assert!(courier(&[]).check(bad).is_err(), "{bad} was accepted");
        }
        assert!(courier(&[]).check("https://example.org/events?x=1").is_ok());
        assert!(courier(&[]).check("https://93.184.216.34/").is_ok());
    }

    #[test]
    fn what_the_settings_allow_may_be_called_and_without_tls_too() {
        let courier = courier(&["127.0.0.0/8"]);
        assert!(courier.check("http://127.0.0.1:8080/").is_ok());
        assert!(courier.check("http://10.0.0.1/").is_err());
        assert!(courier.check("http://localhost/").is_err(), "a name says nothing of its address");
    }

    #[test]
    fn a_name_that_leads_inside_is_refused_when_it_is_resolved() {
        for odd in
            ["syslog+tls://localhost:9", "syslog+tls://2130706433:9", "syslog+tcp://localhost"]
        {
            let refused = courier(&[]).syslog(odd, &[]).unwrap_err();
            assert!(refused.to_string().contains("may not be called"), "{odd}: {refused}");
        }
        let refused = courier(&[]).post("https://localhost:9/", &[], b"{}").unwrap_err();
        let OutgoingError::Unreachable { why } = refused else { panic!("{refused}") };
        assert!(why.contains("no public network"), "{why}");
    }
}
