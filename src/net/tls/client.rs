//! How connections to servers are secured: which certificates we trust, and which one we present.

use super::pem::roots_in;
use super::tickets::Tickets;
use super::{ALPN, Terms, Trust, lean};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    WantsVerifier,
};
use std::fmt::Write;
use std::sync::Arc;

/// The client side of connections to any server. See the module docs.
#[derive(Clone, Debug)]
pub struct Client(Arc<ClientConfig>);

/// Equal only if they share the same settings, not if their settings are equal.
impl PartialEq for Client {
    fn eq(&self, other: &Client) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Client {}

/// The client side of connections to one server.
#[derive(Clone, Debug)]
pub struct ClientOf {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// Equal only if they share the same settings, not if their settings are equal.
impl PartialEq for ClientOf {
    fn eq(&self, other: &ClientOf) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

impl Eq for ClientOf {}

impl Client {
    /// Prepares connections on these terms. Reads the system's certificates if these are to be
    /// trusted.
    ///
    /// # Errors
    /// If there are no certificates to trust.
    pub fn new(terms: Terms<'_>) -> Result<Client, String> {
        let provider = Arc::new(lean::provider());
        let verifier = || Everybody(provider.signature_verification_algorithms);
        let builder = builder(&provider);
        let builder = match terms.trust {
            Trust::System => builder.with_root_certificates(system_roots()?),
            Trust::These(pem) => builder.with_root_certificates(roots_in(pem)?),
            Trust::Everybody => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier()))
            }
        };
        let mut config = match terms.identity {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair.key())))
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::store(Arc::new(Tickets::default()));
        Ok(Client(Arc::new(config)))
    }

    /// For the simulator.
    #[cfg(feature = "sim")]
    pub fn with(config: ClientConfig) -> Client {
        Client(Arc::new(config))
    }

    /// The client side of connections to a host: a name, or an IP address without brackets. A name
    /// is sent as SNI. The certificate must be valid for the host.
    ///
    /// # Errors
    /// If no certificate can be valid for such a host.
    pub fn of(&self, host: &str) -> Result<ClientOf, String> {
        let name = ServerName::try_from(host.strip_suffix('.').unwrap_or(host))
            .map_err(|_| format!("no certificate can be for {host}"))?;
        Ok(ClientOf { config: Arc::clone(&self.0), name: name.to_owned() })
    }
}

impl ClientOf {
    /// A new connection.
    pub(super) fn begin(&self) -> Result<UnbufferedClientConnection, Error> {
        UnbufferedClientConnection::new(Arc::clone(&self.config), self.name.clone())
    }
}

/// A configuration for TLS 1.2 and 1.3, without authorities or certificates.
fn builder(provider: &Arc<CryptoProvider>) -> ConfigBuilder<ClientConfig, WantsVerifier> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider));
    let Ok(builder) = builder.with_safe_default_protocol_versions() else {
        unreachable!("the provider has ciphers of both versions");
    };
    builder
}

fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let mut what = "the system has no certificates of authorities: install them (the package is \
        often ca-certificates), or name a file of them"
        .to_owned();
    if let Some(error) = found.errors.first() {
        // Writing to a string cannot fail.
        let _ = write!(what, "; {error}");
    }
    Err(what)
}

/// Accepts every certificate, as long as the peer has its key.
#[derive(Debug)]
struct Everybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Everybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
