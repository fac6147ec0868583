//! Messages to a collector of syslog: over UDP (RFC 5426), TCP with counted octets (RFC 6587,
//! 3.4.1) and TLS (RFC 5425).

use std::io::{Read as _, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use url::Url;

use super::{Courier, OutgoingError};

/// Longest wait for the connection, and for each write and read.
const STEP_MAX: Duration = Duration::from_secs(5);

/// Largest datagram: what one of IPv4 can carry. A larger message is cut.
const DATAGRAM_BYTES_MAX: usize = 65_000;

/// How messages get there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// One datagram each.
    Udp,
    /// A connection.
    Tcp,
    /// A connection under TLS.
    Tls,
}

impl Transport {
    /// By the scheme of an address, with the usual port.
    pub(super) fn of(scheme: &str) -> Option<(Self, u16)> {
        match scheme {
            "syslog" | "syslog+udp" => Some((Self::Udp, 514)),
            "syslog+tcp" => Some((Self::Tcp, 601)),
            "syslog+tls" => Some((Self::Tls, 6514)),
            _ => None,
        }
    }

    /// Whether everybody on the way can read it.
    pub(super) const fn is_in_clear(self) -> bool {
        !matches!(self, Self::Tls)
    }
}

impl Courier {
    /// Sends messages, in order. It blocks. Syslog has no answer: over UDP nobody knows whether one
    /// came, over a connection it is known that the collector took the end of it.
    ///
    /// # Errors
    /// The address may not be called, or the connection failed.
    pub(crate) fn syslog(&self, address: &str, messages: &[String]) -> Result<(), OutgoingError> {
        self.check(address)?;
        let unreachable = |why: String| OutgoingError::Unreachable { why };
        let failed = |err: std::io::Error| OutgoingError::Unreachable { why: err.to_string() };
        let url = Url::parse(address).map_err(|err| unreachable(err.to_string()))?;
        let Some((transport, port)) = Transport::of(url.scheme()) else {
            return Err(unreachable("no address of syslog".to_owned()));
        };
        let host = url.host_str().unwrap_or_default();
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port().unwrap_or(port);
        let found: Vec<SocketAddr> =
            (name.as_str(), port).to_socket_addrs().map_err(failed)?.collect();
        let may = |at: &SocketAddr| match transport.is_in_clear() {
            true => self.is_allowed(at.ip()),
            false => self.permits(at.ip()),
        };
        if let Some(at) = found.iter().find(|at| !may(at)) {
            return Err(unreachable(format!("{} may not be called so", at.ip())));
        }
        let first = found.first().ok_or_else(|| unreachable(format!("{name} has no address")))?;
        match transport {
            Transport::Udp => datagrams(first, messages).map_err(failed),
            Transport::Tcp => {
                let stream = connected(first).map_err(failed)?;
                let mut end = stream.try_clone().map_err(failed)?;
                counted(stream, messages).map_err(failed)?;
                let _ = end.shutdown(std::net::Shutdown::Write);
                taken(&mut end).map_err(failed)
            }
            Transport::Tls => {
                let server = ServerName::try_from(name.clone())
                    .map_err(|err| unreachable(err.to_string()))?;
                let config = Arc::new(self.tls_client()?);
                let tls = ClientConnection::new(config, server)
                    .map_err(|err| unreachable(err.to_string()))?;
                let mut stream = StreamOwned::new(tls, connected(first).map_err(failed)?);
                counted(&mut stream, messages).map_err(failed)?;
                stream.conn.send_close_notify();
                stream.flush().map_err(failed)?;
                taken(&mut stream.sock).map_err(failed)
            }
        }
    }

    fn tls_client(&self) -> Result<ClientConfig, OutgoingError> {
        let unreadable = |source| OutgoingError::Roots { path: self.roots.clone(), source };
        let mut roots = RootCertStore::empty();
        let found = CertificateDer::pem_file_iter(&self.roots).map_err(unreadable)?;
        roots.add_parsable_certificates(found.filter_map(Result::ok));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|err| OutgoingError::Unreachable { why: err.to_string() })?;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

fn connected(to: &SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(to, STEP_MAX)?;
    stream.set_read_timeout(Some(STEP_MAX))?;
    stream.set_write_timeout(Some(STEP_MAX))?;
    Ok(stream)
}

fn datagrams(to: &SocketAddr, messages: &[String]) -> std::io::Result<()> {
    let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(from)?;
    socket.connect(to)?;
    for message in messages {
        let end = message.floor_char_boundary(DATAGRAM_BYTES_MAX);
        socket.send(message.get(..end).unwrap_or(message).as_bytes())?;
    }
    Ok(())
}

fn counted(mut stream: impl Write, messages: &[String]) -> std::io::Result<()> {
    for message in messages {
        write!(stream, "{} ", message.len())?;
        stream.write_all(message.as_bytes())?;
    }
    stream.flush()
}

/// Waits for the collector's end of the connection: a reset says that it did not take everything.
/// One that keeps its end open has taken it as far as anybody can tell.
fn taken(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut byte = [0; 64];
    loop {
        match stream.read(&mut byte) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(err)
                if matches!(
                    err.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                return Ok(());
            }
            Err(err) => return Err(err),
        }
    }
}
