//! How connections of clients are secured: which certificates we present, and which we accept.

use super::explain::{about_list, sentence};
use super::pair::Pair;
use super::pem::roots_in;
use super::ticketer::Ticketer;
use super::x509::Certificate;
use super::{ALPN, Clients, ClientsError, ServerTerms, Tickets, lean};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, UnbufferedServerConnection,
    VerifierBuilderError, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{
    ALL_VERSIONS, CertRevocationListError, CertificateError, DigitallySignedStruct,
    DistinguishedName, Error, ServerConfig, SignatureScheme, version,
};
use std::sync::Arc;
use std::time::Duration;

/// Another protocol that clients may speak over TLS. Some clients offer only this one.
const HTTP_10: &[u8] = b"http/1.0";

/// The server side of connections. Equal only if they share the same settings, not if their
/// settings are equal.
#[derive(Clone, Debug)]
pub struct Server {
    config: Arc<ServerConfig>,
    /// Verifies the certificates of connected clients again, if clients are asked for one.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl PartialEq for Server {
    fn eq(&self, other: &Server) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for Server {}

impl Server {
    /// Prepares to accept connections on these terms.
    ///
    /// # Errors
    /// If the clients' authorities or their revocation lists cannot be used.
    pub fn new(terms: &ServerTerms<'_>) -> Result<Server, ClientsError> {
        let provider = Arc::new(lean::provider());
        let versions = if terms.only_newest { &[&version::TLS13] } else { ALL_VERSIONS };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let Ok(builder) = builder.with_protocol_versions(versions) else {
            unreachable!("the provider has ciphers of both versions");
        };
        let (builder, verifier) = match &terms.clients {
            None => (builder.with_no_client_auth(), None),
            Some(clients) => {
                let Verifiers { at_the_door, of_those_in } = verifiers(clients, provider)?;
                (builder.with_client_cert_verifier(at_the_door), Some(of_those_in))
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(ByName::new(terms.pairs)));
        config.alpn_protocols = [ALPN, HTTP_10].map(<[u8]>::to_vec).to_vec();
        // A ticket contains its session, so none is stored here.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match terms.tickets {
            Tickets::OfProcess if terms.clients.is_none() => {
                let own = rustls::crypto::ring::Ticketer::new();
                config.ticketer =
                    own.map_err(|error| ClientsError::Authorities(sentence(&error)))?;
            }
            Tickets::With(keys) if terms.clients.is_none() => {
                config.ticketer = Arc::new(Ticketer::new(keys));
            }
            Tickets::None | Tickets::OfProcess | Tickets::With(_) => config.send_tls13_tickets = 0,
        }
        Ok(Server { config: Arc::new(config), verifier })
    }

    /// For the simulator.
    #[cfg(feature = "sim")]
    pub fn with(config: ServerConfig, verifier: Option<Arc<dyn ClientCertVerifier>>) -> Server {
        Server { config: Arc::new(config), verifier }
    }

    /// True if a client with these certificates, its own and those of its issuers, would be
    /// accepted. Their expiry was checked when the client connected, so it is enough if they are
    /// accepted at the last valid second of any of them. A revoked certificate is refused at all of
    /// these times, even if the revocation list has expired.
    pub(super) fn accepts(&self, certificates: &[CertificateDer<'_>], unix_ms: u64) -> bool {
        let Some(verifier) = &self.verifier else { return true };
        let Some((own, issuers)) = certificates.split_first() else { return false };
        let now = unix_ms / 1000;
        let last = |der| Certificate::read(der).map_or(now, |read| read.valid[1].min(now));
        certificates.iter().map(|der| last(der)).any(|seconds| {
            let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            verifier.verify_client_cert(own, issuers, at).is_ok()
        })
    }

    /// A new connection.
    pub(super) fn begin(&self) -> Result<UnbufferedServerConnection, Error> {
        UnbufferedServerConnection::new(Arc::clone(&self.config))
    }
}

/// The verifiers of client certificates.
struct Verifiers {
    /// For clients that connect.
    at_the_door: Arc<dyn ClientCertVerifier>,
    /// For clients that are connected: a list that has expired since does not end their streams.
    of_those_in: Arc<dyn ClientCertVerifier>,
}

/// Creates the verifiers of client certificates. If there are revocation lists, each certificate of
/// a chain must be covered by one that has not expired, as with OpenSSL's `CRL_CHECK_ALL`, which
/// nginx, HAProxy and Envoy set.
fn verifiers(
    clients: &Clients<'_>,
    provider: Arc<CryptoProvider>,
) -> Result<Verifiers, ClientsError> {
    let Clients { authorities, revoked, optional } = *clients;
    let roots = Arc::new(roots_in(authorities).map_err(ClientsError::Authorities)?);
    let build = |is_strict: bool, lists: Vec<CertificateRevocationListDer<'static>>| {
        let (roots, provider) = (Arc::clone(&roots), Arc::clone(&provider));
        let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
        let builder = builder.with_crls(lists);
        let builder = if optional { builder.allow_unauthenticated() } else { builder };
        let builder = if is_strict { builder.enforce_revocation_expiration() } else { builder };
        builder.build().map_err(|error| match error {
            VerifierBuilderError::InvalidCrl(error) => ClientsError::Revoked(about_list(&error)),
            other @ (VerifierBuilderError::NoRootAnchors | _) => {
                ClientsError::Authorities(other.to_string())
            }
        })
    };
    let Some(revoked) = revoked else {
        let of_those_in = build(false, Vec::new())?;
        return Ok(Verifiers { at_the_door: Arc::clone(&of_those_in), of_those_in });
    };
    let of_each_key = |is_strict: bool| {
        let built = revoked.sets().map(|lists| build(is_strict, lists));
        built.collect::<Result<Vec<_>, _>>().map(OfEachKey::of)
    };
    Ok(Verifiers { at_the_door: of_each_key(true)?, of_those_in: of_each_key(false)? })
}

/// Verifiers with different revocation lists: of an issuer that has several keys each has the lists
/// of one key. A list is accepted only if the key that has signed the certificate has signed it as
/// well, so a certificate is accepted if one verifier accepts it. But a key may have two
/// identifiers, with an older list for one of them, so what one verifier finds revoked is refused.
#[derive(Debug)]
struct OfEachKey {
    first: Arc<dyn ClientCertVerifier>,
    others: Vec<Arc<dyn ClientCertVerifier>>,
}

impl OfEachKey {
    /// Combines verifiers, of which there is at least one.
    fn of(mut verifiers: Vec<Arc<dyn ClientCertVerifier>>) -> Arc<dyn ClientCertVerifier> {
        let first = verifiers.swap_remove(0);
        if verifiers.is_empty() {
            return first;
        }
        Arc::new(OfEachKey { first, others: verifiers })
    }
}

impl ClientCertVerifier for OfEachKey {
    fn client_auth_mandatory(&self) -> bool {
        self.first.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.first.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let is_revoked = |judged: &Result<ClientCertVerified, Error>| {
            matches!(judged, Err(Error::InvalidCertificate(CertificateError::Revoked)))
        };
        let is_of_other_key = |judged: &Result<ClientCertVerified, Error>| {
            let wrong = CertRevocationListError::BadSignature;
            judged.as_ref().is_err_and(|why| *why == Error::InvalidCertRevocationList(wrong))
        };
        let mut judged = self.first.verify_client_cert(own, issuers, now);
        for other in &self.others {
            if is_revoked(&judged) {
                break;
            }
            let next = other.verify_client_cert(own, issuers, now);
            let is_better = judged.is_err() && (next.is_ok() || is_of_other_key(&judged));
            if is_better || is_revoked(&next) {
                judged = next;
            }
        }
        judged
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.first.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.first.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.first.supported_verify_schemes()
    }
}

/// Certificates by the names that they are valid for.
#[derive(Debug)]
struct ByName {
    pairs: Vec<Arc<CertifiedKey>>,
    /// Each name once, with the index of its certificate. Sorted.
    names: Vec<(String, usize)>,
}

impl ByName {
    /// If several certificates are valid for a name, the first one is presented.
    fn new(pairs: &[Pair]) -> ByName {
        let mut names: Vec<(String, usize)> = Vec::new();
        for (place, pair) in pairs.iter().enumerate() {
            for name in pair.names() {
                if let Err(at) = names.binary_search_by(|(known, _)| known.cmp(name)) {
                    names.insert(at, (name.clone(), place));
                }
            }
        }
        ByName { pairs: pairs.iter().map(Pair::key).collect(), names }
    }

    /// The index of the certificate for a name in lower case. An exact match takes precedence over
    /// a `*`, which stands for one label.
    fn place_of(&self, name: &str) -> Option<usize> {
        let find = |name: &str| {
            let at = self.names.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
            Some(self.names[at].1)
        };
        find(name).or_else(|| {
            let (_, rest) = name.split_once('.')?;
            find(&format!("*.{rest}"))
        })
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let place = hello.server_name().and_then(|name| self.place_of(name)).unwrap_or(0);
        self.pairs.get(place).map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RevocationLists, TicketKeys};
    use super::*;
    use rcgen::{
        BasicConstraints, Certificate as Certified, CertificateParams,
        CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
        RevokedCertParams, SerialNumber, date_time_ymd,
    };

    fn pair(names: &[&str]) -> Pair {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        Pair::new([own.pem().as_bytes(), key.serialize_pem().as_bytes()]).unwrap()
    }

    #[test]
    fn a_certificate_is_chosen_by_name() {
        let pairs = [
            pair(&["a.example", "*.A.example"]),
            pair(&["x.a.example", "*.b.example", "a.example"]),
            pair(&[]),
        ];
        let by_name = ByName::new(&pairs);
        for (name, place) in [
            ("a.example", Some(0)),
            ("y.a.example", Some(0)),
            ("x.a.example", Some(1)),
            ("b.example", None),
            ("z.b.example", Some(1)),
            ("z.z.b.example", None),
            ("example", None),
            ("", None),
        ] {
            assert_eq!(by_name.place_of(name), place, "{name}");
        }
    }

    /// A certificate that was valid when it was presented stays accepted, whichever of the two has
    /// expired since.
    #[test]
    fn who_is_in_stays_in_when_a_certificate_expires() {
        let now = date_time_ymd(2026, 1, 1).unix_timestamp();
        let made = |until: i32, is_ca: bool, by: Option<&Issuer<'_, KeyPair>>| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca =
                if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
            let name = format!("{until} {is_ca}");
            params.distinguished_name.push(DnType::CommonName, name);
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(until, 1, 1);
            let own = match by {
                Some(by) => params.signed_by(&key, by).unwrap(),
                None => params.self_signed(&key).unwrap(),
            };
            (own, Issuer::new(params, key))
        };
        let (root, by_root) = made(2040, true, None);
        let (other, _) = made(2041, true, None);
        let pairs = [pair(&["a.example"])];
        let trusting = |root: &Certified| {
            let pem = root.pem();
            let clients = Clients { authorities: pem.as_bytes(), revoked: None, optional: false };
            let terms = ServerTerms {
                pairs: &pairs,
                only_newest: false,
                clients: Some(clients),
                tickets: Tickets::None,
            };
            Server::new(&terms).unwrap()
        };
        let (trusting, not) = (trusting(&root), trusting(&other));
        for [of_issuer, of_own] in
            [[2030, 2030], [2025, 2030], [2030, 2025], [2024, 2025], [2025, 2024]]
        {
            let (issuer, by_issuer) = made(of_issuer, true, Some(&by_root));
            let (own, _) = made(of_own, false, Some(&by_issuer));
            let shown = [own.der().clone(), issuer.der().clone()];
            let unix_ms = u64::try_from(now).unwrap() * 1000;
            assert!(trusting.accepts(&shown, unix_ms), "{of_issuer} {of_own}");
            assert!(!not.accepts(&shown, unix_ms), "{of_issuer} {of_own}");
        }
    }

    /// A certificate with the number 7, of an authority or issued by one.
    fn made(
        is_ca: bool,
        by: Option<&Issuer<'_, KeyPair>>,
        name: &str,
    ) -> (Certified, Issuer<'static, KeyPair>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(7));
        let own = match by {
            Some(by) => params.signed_by(&key, by).unwrap(),
            None => params.self_signed(&key).unwrap(),
        };
        (own, Issuer::new(params, key))
    }

    /// A list that revokes the certificate with this number.
    fn list(by: &Issuer<'_, KeyPair>, revokes: u64, until: i32) -> String {
        named_list(by, revokes, [2020, until], KeyIdMethod::Sha256)
    }

    /// The same, with the key that has signed it identified in this way.
    fn named_list(
        by: &Issuer<'_, KeyPair>,
        revokes: u64,
        years: [i32; 2],
        key_identifier_method: KeyIdMethod,
    ) -> String {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(revokes),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let [this_update, next_update] = years.map(|year| date_time_ymd(year, 1, 1));
        let list = CertificateRevocationListParams {
            this_update,
            next_update,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method,
        };
        list.signed_by(by).unwrap().pem().unwrap()
    }

    /// True if a client with this certificate, and none of an issuer, is accepted.
    fn lets_in(roots: &[&Certified], lists: &[String], own: &Certified) -> bool {
        let pem: String = roots.iter().map(|root| root.pem()).collect();
        let lists = RevocationLists::read(lists.concat().as_bytes()).unwrap();
        let (authorities, revoked) = (pem.as_bytes(), Some(&lists));
        let clients = Clients { authorities, revoked, optional: false };
        let Ok(both) = verifiers(&clients, Arc::new(lean::provider())) else { panic!() };
        let now = u64::try_from(date_time_ymd(2026, 1, 1).unix_timestamp()).unwrap();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let judged = [both.at_the_door, both.of_those_in]
            .map(|verifier| verifier.verify_client_cert(own.der(), &[], at).is_ok());
        assert_eq!(judged[0], judged[1], "no list has expired");
        judged[0]
    }

    /// An authority that changes its key keeps its name, and has lists for both keys for a while.
    #[test]
    fn each_key_of_an_authority_has_lists() {
        let [(old, by_old), (new, by_new)] = [(); 2].map(|()| made(true, None, "root"));
        let [of_old, of_new] = [&by_old, &by_new].map(|by| made(false, Some(by), "own").0);
        let roots = [&old, &new];
        for (revokes, want) in
            [([1, 1], [true, true]), ([7, 1], [false, true]), ([1, 7], [true, false])]
        {
            let mut lists = [list(&by_old, revokes[0], 2030), list(&by_new, revokes[1], 2031)];
            for _ in 0..2 {
                assert_eq!([&of_old, &of_new].map(|own| lets_in(&roots, &lists, own)), want);
                lists.reverse();
            }
        }
        let lists = [list(&by_new, 1, 2030)];
        let got = [&of_old, &of_new].map(|own| lets_in(&roots, &lists, own));
        assert_eq!(got, [false, true], "no list is of the old key");
    }

    /// An older list does not admit what a newer one revokes, even if it identifies the key
    /// differently.
    #[test]
    fn a_key_may_have_two_identifiers() {
        let (root, by_root) = made(true, None, "root");
        let (own, _) = made(false, Some(&by_root), "own");
        let methods = [KeyIdMethod::Sha256, KeyIdMethod::Sha512];
        for [older, newer] in [[0, 1], [1, 0]].map(|places| places.map(|at: usize| &methods[at])) {
            let lists = [
                named_list(&by_root, 1, [2020, 2030], older.clone()),
                named_list(&by_root, 7, [2021, 2031], newer.clone()),
            ];
            assert!(!lets_in(&[&root], &lists, &own));
        }
    }

    /// An expired list admits no new client, but ends no connection. A revocation does both.
    #[test]
    fn what_is_revoked_is_out() {
        let (root, by_root) = made(true, None, "root");
        let (issuer, by_issuer) = made(true, Some(&by_root), "issuer");
        let (own, _) = made(false, Some(&by_issuer), "own");
        let (own, issuer) = (own.der().clone(), [issuer.der().clone()]);
        let now = u64::try_from(date_time_ymd(2026, 1, 1).unix_timestamp()).unwrap();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let (shown, pairs) = ([own.clone(), issuer[0].clone()], [pair(&["a.example"])]);
        for (lists, lets_in, keeps) in [
            ([list(&by_root, 1, 2030), list(&by_issuer, 1, 2030)], true, true),
            ([list(&by_root, 1, 2030), list(&by_issuer, 7, 2030)], false, false),
            ([list(&by_root, 7, 2030), list(&by_issuer, 1, 2030)], false, false),
            ([list(&by_root, 1, 2025), list(&by_issuer, 1, 2030)], false, true),
            ([list(&by_root, 1, 2030), list(&by_issuer, 7, 2025)], false, false),
            ([list(&by_root, 1, 2030), String::new()], false, false),
        ] {
            let (pem, lists) = (root.pem(), RevocationLists::read(lists.concat().as_bytes()));
            let revoked = Some(lists.as_ref().unwrap());
            let clients = Clients { authorities: pem.as_bytes(), revoked, optional: false };
            let provider = Arc::new(lean::provider());
            let Ok(Verifiers { at_the_door, .. }) = verifiers(&clients, provider) else { panic!() };
            let judged = at_the_door.verify_client_cert(&own, &issuer, at);
            let terms = ServerTerms {
                pairs: &pairs,
                only_newest: false,
                clients: Some(clients),
                tickets: Tickets::None,
            };
            let stays = Server::new(&terms).unwrap().accepts(&shown, now * 1000);
            assert_eq!((judged.is_ok(), stays), (lets_in, keeps), "{lists:?}");
        }
    }

    #[test]
    fn terms_are_met() {
        let pairs = [pair(&["a.example"])];
        let terms =
            ServerTerms { pairs: &pairs, only_newest: true, clients: None, tickets: Tickets::None };
        let Server { config, verifier } = Server::new(&terms).unwrap();
        assert!(verifier.is_none());
        assert_eq!(config.alpn_protocols, [b"http/1.1", b"http/1.0"]);
        assert_eq!((config.send_tls13_tickets, config.ticketer.enabled()), (0, false));
        let Server { config, .. } =
            Server::new(&ServerTerms { tickets: Tickets::OfProcess, ..terms }).unwrap();
        assert!(config.ticketer.enabled() && !config.session_storage.can_cache());
        let keys = TicketKeys::read("QUJD".repeat(16).as_bytes()).unwrap();
        let shared = ServerTerms { tickets: Tickets::With(&keys), ..terms };
        assert!(Server::new(&shared).unwrap().config.ticketer.enabled());
        let clients = |authorities| Some(Clients { authorities, revoked: None, optional: true });
        let wrong = Server::new(&ServerTerms { clients: clients(b""), ..terms }).unwrap_err();
        let what = "no certificate in it; it has to be a PEM file".to_owned();
        assert_eq!(wrong, ClientsError::Authorities(what));
    }
}
