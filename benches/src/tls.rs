//! TLS for the load and the origin: version 1.3, on a nonblocking socket.
//!
//! The load accepts every certificate, and resumes no session unless that is measured. So each of
//! its handshakes is a full one for the peer, at the lowest cost for the load: verifying takes a
//! client longer than signing takes a server. The origin issues tickets, and counts resumed
//! handshakes.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, Error, HandshakeKind,
    ServerConfig, ServerConnection, SignatureScheme,
};

use crate::sys::Outcome;

/// The name in the certificate, which is in the peers' configurations, too.
const NAME: &str = "localhost";

/// Writes a self-signed certificate for [`NAME`], with a P-256 key, and this key to one file, which
/// can also be used as the trusted authority.
pub fn write_certificate(file: &Path) -> Outcome<()> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]);
    let made = made.map_err(|error| format!("cannot make a certificate: {error}"))?;
    let pem = made.cert.pem() + &made.signing_key.serialize_pem();
    fs::write(file, pem).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

/// The configuration of the load.
pub fn client() -> Outcome<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believer(provider)))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The configuration of a client that keeps its tickets.
pub fn keeping_tickets(config: &ClientConfig) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.resumption = Resumption::in_memory_sessions(1);
    Arc::new(config)
}

/// The configuration of the origin, with the file from [`write_certificate`].
pub fn server(file: &Path) -> Outcome<Arc<ServerConfig>> {
    let unfit = |error: String| format!("{}: {error}", file.display());
    let certificate = CertificateDer::from_pem_file(file).map_err(|e| unfit(e.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(file).map_err(|e| unfit(e.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(|error| unfit(error.to_string()))?;
    config.ticketer = ring::Ticketer::new().map_err(|error| error.to_string())?;
    Ok(Arc::new(config))
}

/// A connection, with or without TLS.
pub struct Socket {
    tcp: TcpStream,
    tls: Option<Box<Connection>>,
}

impl Socket {
    /// A connection without TLS.
    pub fn plain(tcp: TcpStream) -> Self {
        Self { tcp, tls: None }
    }

    /// The client's end of a connection, with TLS if there is a configuration. Its handshake begins
    /// with the first write, which need not wait for its completion.
    pub fn client(tcp: TcpStream, config: Option<&Arc<ClientConfig>>) -> Outcome<Self> {
        let Some(config) = config else {
            return Ok(Self::plain(tcp));
        };
        let name = ServerName::try_from(NAME).map_err(|error| error.to_string())?;
        let tls = ClientConnection::new(Arc::clone(config), name);
        Self::with(tcp, tls.map(Connection::Client))
    }

    /// The server's end of a connection with TLS.
    pub fn server(tcp: TcpStream, config: &Arc<ServerConfig>) -> Outcome<Self> {
        let tls = ServerConnection::new(Arc::clone(config));
        Self::with(tcp, tls.map(Connection::Server))
    }

    fn with(tcp: TcpStream, tls: Result<Connection, Error>) -> Outcome<Self> {
        let tls = tls.map_err(|error| error.to_string())?;
        let tls = Some(Box::new(tls));
        Ok(Self { tcp, tls })
    }

    /// True if bytes wait here, which [`Write::flush`] writes once the socket has room.
    pub fn is_full(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Whether the session was resumed, once the handshake is complete.
    pub fn resumed(&self) -> Option<bool> {
        let kind = self.tls.as_ref()?.handshake_kind()?;
        Some(kind == HandshakeKind::Resumed)
    }

    /// Closes both directions, whatever is still to come.
    pub fn shutdown(&self) -> io::Result<()> {
        self.tcp.shutdown(Shutdown::Both)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}

impl Read for Socket {
    /// Reads what is available. After a read that does not fill the buffer, all remaining bytes are
    /// in the kernel.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.tcp.read(buffer);
        };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            tls.read_tls(&mut self.tcp)?;
            let processed = tls.process_new_packets();
            // Responses to what was read, or an alert.
            write_records(tls, &mut self.tcp)?;
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }
}

impl Write for Socket {
    /// Accepts nothing while bytes wait here.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.tcp.write(bytes);
        };
        write_records(tls, &mut self.tcp)?;
        if tls.wants_write() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let taken = tls.writer().write(bytes)?;
        write_records(tls, &mut self.tcp)?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => write_records(tls, &mut self.tcp),
            None => Ok(()),
        }
    }
}

/// Writes what the socket accepts.
fn write_records(tls: &mut Connection, tcp: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(tcp) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Verifies nothing.
#[derive(Debug)]
struct Believer(Arc<CryptoProvider>);

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys;
    use std::net::SocketAddr;

    /// Both ends of a connection.
    fn pair() -> (Socket, Socket) {
        let file = std::env::temp_dir().join(format!("bench-{}.pem", std::process::id()));
        write_certificate(&file).unwrap();
        let config = server(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let listener = sys::listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let connected = sys::connect(listener.local_addr().unwrap(), None).unwrap();
        let accepted = std::iter::repeat_with(|| sys::accept(&listener)).flatten();
        let accepted = accepted.take(1).next().unwrap();
        let client = Socket::client(connected, Some(&client().unwrap())).unwrap();
        (client, Socket::server(accepted, &config).unwrap())
    }

    /// Moves bytes until this many have arrived, with a buffer of 20,000.
    fn receive(from: &mut Socket, to: &mut Socket, wanted: usize) -> Vec<u8> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 20_000]);
        while bytes.len() < wanted {
            from.flush().unwrap();
            let none = from.read(&mut [0]);
            assert_eq!(none.unwrap_err().kind(), ErrorKind::WouldBlock);
            match to.read(&mut buffer) {
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        bytes
    }

    #[test]
    fn bytes_arrive_and_one_that_reads_nothing_takes_little() {
        let (mut client, mut server) = pair();
        assert_eq!(client.write(b"a request").unwrap(), 9);
        assert_eq!(receive(&mut client, &mut server, 9), b"a request");
        assert_eq!(server.resumed(), Some(false));
        let block: Vec<u8> = (0..60_000u32).map(|number| number as u8).collect();
        let mut sent = 0;
        while let Ok(taken) = server.write(&block[sent % block.len()..]) {
            sent += taken;
            assert!(sent < 100_000_000, "the sockets never fill");
        }
        assert!(server.is_full());
        let bytes = receive(&mut server, &mut client, sent);
        assert!(!server.is_full());
        let whole = bytes.chunks(block.len());
        assert!(whole.into_iter().all(|part| block.starts_with(part)));
        assert_eq!(bytes.len(), sent);
    }
}
