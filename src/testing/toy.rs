//! Ciphers that hide nothing, for TLS in simulations.
//!
//! The handshakes, records and ends are the library's own. Only expensive or random parts are
//! replaced, so that a simulation is as fast as without TLS and a seed repeats it. A tag is a
//! checksum over the keys, the record's number and its bytes, so records that are truncated,
//! repeated or out of order are detected as with real ciphers. Certificates are not really
//! verified.

use crate::net::tls::{Client, Server};
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, MessageDecrypter, MessageEncrypter,
    Nonce, OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload, Tls13AeadAlgorithm,
    UnsupportedOperationError,
};
use rustls::crypto::hash::{self, Hash, HashAlgorithm};
use rustls::crypto::tls13::HkdfUsingHmac;
use rustls::crypto::{
    ActiveKeyExchange, CipherSuiteCommon, CryptoProvider, GetRandomFailed, KeyProvider,
    SecureRandom, SharedSecret, SupportedKxGroup, WebPkiSupportedAlgorithms, hmac,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, CipherSuite, ClientConfig, ConnectionTrafficSecrets, ContentType,
    DigitallySignedStruct, DistinguishedName, Error, NamedGroup, ProtocolVersion, ServerConfig,
    SignatureAlgorithm, SignatureScheme, SupportedCipherSuite, Tls13CipherSuite,
};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

const TAG: usize = 16;
const SCHEME: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;

thread_local! {
    /// The next "random" number: no two are the same, and nothing else matters.
    static NEXT: Cell<u64> = const { Cell::new(0) };
    /// True if records are encrypted without their payload.
    static IS_EMPTY: Cell<bool> = const { Cell::new(false) };
}

/// Encrypts records without payload, which the library does not send by itself.
pub(super) fn without_payload(seal: impl FnOnce()) {
    IS_EMPTY.set(true);
    seal();
    IS_EMPTY.set(false);
}

/// Begins another simulation, with the same "random" numbers again.
pub fn begin() {
    NEXT.set(0);
}

/// The proxy as a client in simulations.
///
/// # Panics
/// Never: the provider has ciphers of TLS 1.3.
pub fn client() -> Client {
    Client::with(client_config(None))
}

/// The proxy as a server in simulations. It may ask clients for certificates.
///
/// # Panics
/// Never: the provider has ciphers of TLS 1.3.
pub fn server(asks: Option<Asks>) -> Server {
    let mut config = server_config(Shows::Good, asks);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let verifier = asks.map(|asks| Arc::new(asks) as Arc<dyn ClientCertVerifier>);
    Server::with(config, verifier)
}

/// How clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asks {
    /// True if a client without one is accepted.
    pub optional: bool,
    /// The certificate that is accepted: a good one, or one of another issuer.
    pub accepts: Shows,
    /// The certificate that was revoked, if one was.
    pub revokes: Option<Shows>,
}

/// Peers that are clients in simulations, and the certificate that they present if they are asked
/// for one.
pub(super) fn client_config(shows: Option<Shows>) -> ClientConfig {
    let builder = ClientConfig::builder_with_details(Arc::new(provider()), Arc::new(Clock));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]);
    let Ok(builder) = builder else { unreachable!("there is a cipher of TLS 1.3") };
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Toy));
    match shows {
        Some(shows) => builder.with_client_cert_resolver(Arc::new(shows)),
        None => builder.with_no_client_auth(),
    }
}

/// The certificate that a peer presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// A valid one.
    Good,
    /// One that has expired.
    Expired,
    /// One from an issuer that is not trusted.
    Foreign,
    /// One for another name.
    Misnamed,
    /// One that was revoked.
    Revoked,
    /// One that no revocation list covers.
    Unlisted,
    /// One that cannot be used at all.
    Odd,
    /// One that is valid until a minute after the start of a simulation. Its discriminant is its
    /// first byte.
    Brief = BRIEF[0] as isize,
}

/// A certificate that contains only its validity period.
const BRIEF: &[u8] = b"\x30\x2d\x30\x2b\x02\x01\x01\x30\x00\x30\x00\
    \x30\x1e\x17\x0d260101000000Z\x17\x0d261118110740Z\x30\x00\x30\x00";

impl Shows {
    const ALL: [Shows; 8] = [
        Shows::Good,
        Shows::Expired,
        Shows::Foreign,
        Shows::Misnamed,
        Shows::Revoked,
        Shows::Unlisted,
        Shows::Odd,
        Shows::Brief,
    ];

    /// The one with this name, in lower case.
    pub fn named(name: &str) -> Option<Shows> {
        Shows::ALL.into_iter().find(|shows| format!("{shows:?}").eq_ignore_ascii_case(name))
    }
}

/// Peers that are servers in simulations.
pub(super) fn server_config(shows: Shows, asks: Option<Asks>) -> ServerConfig {
    let builder = ServerConfig::builder_with_details(Arc::new(provider()), Arc::new(Clock));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]);
    let Ok(builder) = builder else { unreachable!("there is a cipher of TLS 1.3") };
    let builder = match asks {
        Some(asks) => builder.with_client_cert_verifier(Arc::new(asks)),
        None => builder.with_no_client_auth(),
    };
    builder.with_cert_resolver(Arc::new(shows))
}

fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![SupportedCipherSuite::Tls13(&SUITE)],
        kx_groups: vec![&Toy],
        signature_verification_algorithms: WebPkiSupportedAlgorithms { all: &[], mapping: &[] },
        secure_random: &Toy,
        key_provider: &Toy,
    }
}

static SUITE: Tls13CipherSuite = Tls13CipherSuite {
    common: CipherSuiteCommon {
        suite: CipherSuite::TLS13_AES_128_GCM_SHA256,
        hash_provider: &Toy,
        confidentiality_limit: u64::MAX,
    },
    hkdf_provider: &HkdfUsingHmac(&Toy),
    aead_alg: &Toy,
    quic: None,
};

/// All parts without state.
#[derive(Debug)]
struct Toy;

/// A clock that always shows the same time.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(1_795_000_000)))
    }
}

/// A checksum of bytes that depends on their order.
#[derive(Clone)]
struct Sum([u64; 4]);

impl Sum {
    const NEW: Sum = Sum([1, 2, 3, 4]);

    fn add(&mut self, bytes: &[u8]) {
        for (at, byte) in bytes.iter().enumerate() {
            let lane = &mut self.0[at % 4];
            *lane = (*lane ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        // Often enough that each byte affects each lane.
        for _ in 0..3 {
            let [a, b, c, d] = self.0;
            self.0 = [a ^ b.rotate_left(7), b ^ c.rotate_left(11), c ^ d.rotate_left(17), d ^ a];
        }
    }

    fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (place, lane) in bytes.chunks_mut(8).zip(self.0) {
            place.copy_from_slice(&lane.to_be_bytes());
        }
        bytes
    }
}

impl Hash for Toy {
    fn start(&self) -> Box<dyn hash::Context> {
        Box::new(Transcript(Vec::new()))
    }

    fn hash(&self, data: &[u8]) -> hash::Output {
        let mut sum = Sum::NEW;
        sum.add(data);
        hash::Output::new(&sum.bytes())
    }

    fn output_len(&self) -> usize {
        32
    }

    fn algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }
}

/// The bytes so far. The pieces in which they arrived must not matter.
#[derive(Clone)]
struct Transcript(Vec<u8>);

impl hash::Context for Transcript {
    fn fork_finish(&self) -> hash::Output {
        Toy.hash(&self.0)
    }

    fn fork(&self) -> Box<dyn hash::Context> {
        Box::new(self.clone())
    }

    fn finish(self: Box<Self>) -> hash::Output {
        Toy.hash(&self.0)
    }

    fn update(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
    }
}

impl hmac::Hmac for Toy {
    fn with_key(&self, key: &[u8]) -> Box<dyn hmac::Key> {
        Box::new(MacKey(key.to_vec()))
    }

    fn hash_output_len(&self) -> usize {
        32
    }
}

struct MacKey(Vec<u8>);

impl hmac::Key for MacKey {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> hmac::Tag {
        let mut sum = Sum::NEW;
        sum.add(&self.0);
        sum.add(&[&[first], middle, &[last]].concat().concat());
        hmac::Tag::new(&sum.bytes())
    }

    fn tag_len(&self) -> usize {
        32
    }
}

impl SupportedKxGroup for Toy {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(Exchange([7; 32])))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Exchange([u8; 32]);

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let both: Vec<u8> = self.0.iter().zip(peer).map(|(a, b)| a ^ b).collect();
        Ok(SharedSecret::from(&both[..]))
    }

    fn pub_key(&self) -> &[u8] {
        &self.0
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

impl SecureRandom for Toy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        let number = NEXT.replace(NEXT.get() + 1).to_le_bytes();
        bytes.iter_mut().zip(number.iter().cycle()).for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

impl KeyProvider for Toy {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Ok(Arc::new(Toy))
    }
}

impl SigningKey for Toy {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(Toy))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for Toy {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(b"signed".to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SCHEME
    }
}

impl Shows {
    fn certified(self) -> Arc<CertifiedKey> {
        let certificate = if self == Shows::Brief { BRIEF } else { &[self as u8; 900] };
        let certificate = CertificateDer::from(certificate.to_vec());
        Arc::new(CertifiedKey::new(vec![certificate], Arc::new(Toy)))
    }

    fn judge(certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let shows = Shows::ALL.into_iter().find(|shows| *shows as u8 == certificate[0]);
        Err(match shows {
            Some(Shows::Good | Shows::Brief) => return Ok(()),
            Some(Shows::Expired) => CertificateError::Expired.into(),
            Some(Shows::Foreign) => CertificateError::UnknownIssuer.into(),
            Some(Shows::Misnamed) => CertificateError::NotValidForName.into(),
            Some(Shows::Revoked) => CertificateError::Revoked.into(),
            Some(Shows::Unlisted) => CertificateError::UnknownRevocationStatus.into(),
            Some(Shows::Odd) | None => Error::General("it is odd".to_owned()),
        })
    }
}

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certified())
    }
}

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.certified())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Asks {
    fn client_auth_mandatory(&self) -> bool {
        !self.optional
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let judged = if self.revokes.is_some_and(|shows| certificate[0] == shows as u8) {
            Err(CertificateError::Revoked.into())
        } else if self.accepts == Shows::Good {
            Shows::judge(certificate)
        } else if certificate[0] == self.accepts as u8 {
            Ok(())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        };
        judged.map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(&Toy, message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(&Toy, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SCHEME]
    }
}

impl ServerCertVerifier for Toy {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Shows::judge(certificate).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("no TLS 1.2".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        assert_eq!(signed.signature(), b"signed");
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SCHEME]
    }
}

impl Tls13AeadAlgorithm for Toy {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Keys { key, iv })
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Keys { key, iv })
    }

    fn key_len(&self) -> usize {
        16
    }

    fn extract_keys(
        &self,
        _: AeadKey,
        _: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

struct Keys {
    key: AeadKey,
    iv: Iv,
}

impl Keys {
    fn tag(&self, number: u64, bytes: &[u8]) -> [u8; TAG] {
        let mut sum = Sum::NEW;
        sum.add(self.key.as_ref());
        sum.add(&Nonce::new(&self.iv, number).0);
        sum.add(bytes);
        let mut tag = [0; TAG];
        tag.copy_from_slice(&sum.bytes()[..TAG]);
        tag
    }
}

impl MessageEncrypter for Keys {
    fn encrypt(
        &mut self,
        message: OutboundPlainMessage<'_>,
        number: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let mut plain = if IS_EMPTY.get() { Vec::new() } else { message.payload.to_vec() };
        plain.extend_from_slice(&message.typ.to_array());
        let mut payload = PrefixedPayload::with_capacity(plain.len() + TAG);
        payload.extend_from_slice(&plain);
        payload.extend_from_slice(&self.tag(number, &plain));
        let (typ, version) = (ContentType::ApplicationData, ProtocolVersion::TLSv1_2);
        Ok(OutboundOpaqueMessage::new(typ, version, payload))
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        payload_len + 1 + TAG
    }
}

impl MessageDecrypter for Keys {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        number: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let payload = &mut message.payload;
        let len = payload.len().checked_sub(TAG).ok_or(Error::DecryptError)?;
        if payload[len..] != self.tag(number, &payload[..len]) {
            return Err(Error::DecryptError);
        }
        payload.truncate(len);
        message.into_tls13_unpadded_message()
    }
}
