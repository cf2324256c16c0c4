//! Valid and invalid certificates, and upstreams that use them.

use super::PATIENCE;
use super::line::Line;
use super::program::Scratch;
use super::secured::Secured;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A certificate authority.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key, both as PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
    serial: SerialNumber,
}

impl Authority {
    pub(super) fn new() -> Authority {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Each has a different name, because two with the same name would be confused, and
        // signatures would not verify.
        let name = format!("authority {}", NEXT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// A file with its own certificate.
    pub(super) fn file(&self) -> Scratch {
        file(&self.pem)
    }

    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a name, valid now.
    pub(super) fn issue(&self, name: &str) -> Pair {
        self.issue_from_to(name, 2000, 2999)
    }

    /// A certificate for a name, valid from the beginning of one year to that of another.
    pub(super) fn issue_from_to(&self, name: &str, from: i32, to: i32) -> Pair {
        self.issue_with(name, from, to, &KeyPair::generate().unwrap())
    }

    /// A certificate for a name and this key, valid now.
    pub(super) fn issue_for(&self, name: &str, key: &KeyPair) -> Pair {
        self.issue_with(name, 2000, 2999, key)
    }

    /// Its revocation list with these certificates, as PEM. The list expires at the beginning of
    /// this year.
    pub(super) fn revokes(&self, revoked: &[&Pair], until: i32) -> String {
        let revoked_certs = revoked.iter().map(|pair| RevokedCertParams {
            serial_number: pair.serial.clone(),
            revocation_time: date_time_ymd(2001, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2000, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn issue_with(&self, name: &str, from: i32, to: i32, key: &KeyPair) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) =
            (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let serial = SerialNumber::from(NEXT.fetch_add(1, Ordering::Relaxed));
        params.serial_number = Some(serial.clone());
        let certificate = params.signed_by(key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem(), serial }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        Arc::new(roots)
    }
}

impl Pair {
    /// The same, with the certificate of its issuer after its own.
    pub(super) fn with_issuer(mut self, issuer: &Authority) -> Pair {
        self.certificate.push_str(&issuer.pem);
        self
    }
}

/// A file with this text.
pub(super) fn file(text: &str) -> Scratch {
    let file = Scratch::path("pem");
    std::fs::write(file.as_str(), text).unwrap();
    if text.contains("PRIVATE KEY") {
        std::fs::set_permissions(file.as_str(), PermissionsExt::from_mode(0o600)).unwrap();
    }
    file
}

/// Replaces a file atomically, as renewals should.
pub(super) fn replace(old: &Scratch, text: &str) {
    std::fs::rename(file(text).as_str(), old.as_str()).unwrap();
}

/// The TLS configuration of an upstream.
pub(super) struct Server(pub(super) Arc<ServerConfig>);

impl Server {
    /// Uses this certificate.
    pub(super) fn with(pair: &Pair) -> Server {
        Server::of(pair, None, rustls::ALL_VERSIONS)
    }

    /// Supports only TLS 1.2.
    pub(super) fn old(pair: &Pair) -> Server {
        Server::of(pair, None, &[&rustls::version::TLS12])
    }

    /// Requires a client certificate of this authority.
    pub(super) fn asking(pair: &Pair, whose: &Authority) -> Server {
        Server::of(pair, Some(whose), rustls::ALL_VERSIONS)
    }

    fn of(
        pair: &Pair,
        whose: Option<&Authority>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Server {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(versions).unwrap();
        let builder = match whose {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(authority.roots(), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Server(Arc::new(config))
    }

    /// Does the handshake on an accepted connection.
    ///
    /// # Errors
    /// If the handshake fails.
    pub(super) fn greet(&self, stream: TcpStream) -> io::Result<Line<Secured<ServerConnection>>> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let server = ServerConnection::new(Arc::clone(&self.0)).unwrap();
        let mut stream = StreamOwned::new(server, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Line::over(Secured(stream)))
    }
}
