//! Clients that use TLS, with real ciphers and certificates.

use super::certificates::{Authority, Pair, file, replace};
use super::line::{End, Line, Origin};
use super::program::{Program, Scratch};
use super::{GET, PATIENCE, STREAM, event};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, HandshakeKind, RootCertStore, SideData,
    StreamOwned, SupportedProtocolVersion, version,
};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::DerefMut;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// A program with a TLS listener, its authority, and the files that it needs at the start.
pub(super) struct Served {
    pub(super) program: Program,
    pub(super) origin: Origin,
    pub(super) authority: Authority,
    pub(super) address: SocketAddr,
    /// The files with its certificate and key.
    pub(super) files: [Scratch; 2],
    _config: Scratch,
}

impl Served {
    pub(super) fn new(tls: &str) -> Served {
        Served::with("", tls, "")
    }

    /// Clients need a certificate.
    pub(super) fn to_the_certified(tls: &str) -> Served {
        Served::with("", tls, "[api.auth]\nclient_certificate = true\n")
    }

    /// Connections begin with a PROXY header.
    pub(super) fn behind_a_header() -> Served {
        let server = "trusted_proxies = ['127.0.0.1']\nproxy_protocol = ['127.0.0.1:0']";
        Served::with(server, "", "")
    }

    fn with(server: &str, tls: &str, api: &str) -> Served {
        let (authority, origin) = (Authority::new(), Origin::listen());
        let pair = authority.issue("a.example");
        let files = [file(&pair.certificate), file(&pair.key)];
        let config = Scratch::file(&format!(
            "[server]\nlisten = ['127.0.0.1:0']\nlisten_tls = ['127.0.0.1:0']\n{server}\n\
             [tls]\n{tls}\n\
             [[tls.certificate]]\ncertificate = '{}'\nkey = '{}'\n\
             [[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://{}'\n{api}",
            files[0].as_str(),
            files[1].as_str(),
            origin.address()
        ));
        let mut program = Program::start(&[config.as_str()]);
        let address = program.says("listening with TLS on ").parse().unwrap();
        Served { program, origin, authority, address, files, _config: config }
    }

    pub(super) fn client(&self) -> Client {
        Client::new(&self.authority, &[&version::TLS13], None)
    }

    /// Starts a stream.
    pub(super) fn stream(&self, client: &Client) -> (Line<Secured<ClientConnection>>, Line) {
        let mut client = client.connect(self.address).unwrap();
        client.send(GET);
        let mut upstream = self.origin.accept();
        let request = upstream.request();
        assert_eq!(request.get("x-forwarded-proto"), Some("https"));
        upstream.send(STREAM);
        assert_eq!(client.response().first_line, "HTTP/1.1 200 OK");
        (client, upstream)
    }
}

/// The TLS configuration of a client.
pub(super) struct Client(Arc<ClientConfig>);

impl Client {
    pub(super) fn new(
        trusts: &Authority,
        versions: &[&'static SupportedProtocolVersion],
        shows: Option<&Pair>,
    ) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusts.pem().as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match shows {
            None => builder.with_no_client_auth(),
            Some(Pair { certificate, key, .. }) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Client(Arc::new(config))
    }

    /// The same client, but it offers only HTTP/2.
    fn of_h2_only(&self) -> Client {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = vec![b"h2".to_vec()];
        Client(Arc::new(config))
    }

    /// Connects and does the handshake.
    ///
    /// # Errors
    /// If the handshake fails.
    pub(super) fn connect(
        &self,
        address: SocketAddr,
    ) -> io::Result<Line<Secured<ClientConnection>>> {
        self.connect_behind(b"", address)
    }

    /// Connects, sends `preface`, and does the handshake.
    pub(super) fn connect_behind(
        &self,
        preface: &[u8],
        address: SocketAddr,
    ) -> io::Result<Line<Secured<ClientConnection>>> {
        let name = ServerName::try_from("a.example").unwrap();
        let conn = ClientConnection::new(Arc::clone(&self.0), name).unwrap();
        let mut stream = StreamOwned::new(conn, TcpStream::connect_timeout(&address, PATIENCE)?);
        stream.sock.set_read_timeout(Some(PATIENCE))?;
        stream.sock.write_all(preface)?;
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Line::over(Secured(stream)))
    }
}

/// One end of a TLS connection.
pub(super) struct Secured<C>(pub(super) StreamOwned<C, TcpStream>);

impl<C, S> Secured<C>
where
    C: DerefMut<Target = ConnectionCommon<S>>,
    S: SideData,
{
    /// Sends close_notify and closes.
    pub(super) fn finish(&mut self) {
        self.0.conn.send_close_notify();
        self.0.flush().unwrap();
        self.truncate();
    }

    /// Closes without close_notify.
    pub(super) fn truncate(&mut self) {
        self.0.sock.shutdown(Shutdown::Write).unwrap();
    }
}

impl<C, S> Read for Secured<C>
where
    C: DerefMut<Target = ConnectionCommon<S>>,
    S: SideData,
{
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<C, S> Write for Secured<C>
where
    C: DerefMut<Target = ConnectionCommon<S>>,
    S: SideData,
{
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<C> AsFd for Secured<C> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.sock.as_fd()
    }
}

#[test]
fn a_client_gets_events_by_https() {
    let served = Served::new("");
    for versions in [&[&version::TLS13], &[&version::TLS12]] {
        let client = Client::new(&served.authority, versions, None);
        let (mut client, mut upstream) = served.stream(&client);
        assert_eq!(client.stream().0.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        for text in ["one", "two"] {
            let (wire, event) = event(text);
            upstream.send(wire);
            client.expect(&event);
        }
        upstream.send("0\r\n\r\n");
        assert_eq!(client.rest(), "");
    }
}

/// A close_notify is enough: the upstream is closed without waiting for the end of the connection.
#[test]
fn a_client_that_says_that_it_leaves_has_left() {
    let served = Served::new("");
    let (mut client, mut upstream) = served.stream(&served.client());
    client.stream().0.conn.send_close_notify();
    client.stream().flush().unwrap();
    assert_eq!(upstream.end(), End::Closed);
    assert_eq!(client.end(), End::Closed);
}

/// A body that is ended by the end of its connection: a complete one is followed by close_notify, a
/// truncated one is not.
#[test]
fn an_end_is_announced_and_a_cut_is_not() {
    let served = Served::new("");
    for whole in [true, false] {
        let mut client = served.client().connect(served.address).unwrap();
        client.send("GET /x HTTP/1.0\r\n\r\n");
        let mut upstream = served.origin.accept();
        upstream.request();
        upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        client.response();
        client.expect("hello");
        if whole {
            upstream.send("0\r\n\r\n");
            assert_eq!(client.rest(), "");
        } else {
            drop(upstream);
            assert_eq!(client.end(), End::Reset);
        }
    }
}

#[test]
fn the_next_handshake_is_a_short_one() {
    for tickets in [true, false] {
        let served = Served::new(&format!("session_tickets = {tickets}"));
        for versions in [&[&version::TLS13], &[&version::TLS12]] {
            let client = Client::new(&served.authority, versions, None);
            for nth in 0..3 {
                let (mut client, mut upstream) = served.stream(&client);
                let (wire, event) = event("one");
                upstream.send(wire);
                client.expect(&event);
                let kind = client.stream().0.conn.handshake_kind();
                let resumed = kind == Some(HandshakeKind::Resumed);
                assert_eq!(resumed, tickets && nth > 0, "{kind:?}");
            }
        }
    }
}

#[test]
fn who_speaks_something_else_is_told() {
    let mut served = Served::new("");
    let mut plain = Line::to(served.address);
    plain.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(plain.response().first_line, "HTTP/1.1 400 Bad Request");
    let told = "This port expects HTTPS, but the request was plain HTTP; use https://.\n";
    assert_eq!((plain.rest().as_str(), plain.end()), (told, End::Closed));
    let refused = served.client().of_h2_only().connect(served.address);
    let alert = refused.err().unwrap().to_string();
    assert!(alert.contains("NoApplicationProtocol"), "{alert}");
    served.program.logs("it offers no HTTP/1 (ALPN) (tls)");
    let misled = served.client().connect(served.program.address());
    assert!(misled.is_err());
    served.program.logs("TLS where plain HTTP is spoken (tls_on_plain_port)");
}

#[test]
fn a_client_may_have_to_show_a_certificate() {
    let clients = Authority::new();
    let ca = clients.file();
    let asks = format!("client_ca = '{}'\nverify_client = 'require'", ca.as_str());
    let mut served = Served::new(&asks);
    let shows = |pair: &Pair| Client::new(&served.authority, &[&version::TLS13], Some(pair));
    drop(served.stream(&shows(&clients.issue("client"))));
    for (client, why) in [
        (served.client(), "it presented no certificate (certificate)"),
        (shows(&Authority::new().issue("client")), "not trusted (certificate_issuer)"),
        (shows(&clients.issue_from_to("client", 2000, 2001)), "(certificate_expired)"),
    ] {
        // With TLS 1.3 the handshake is complete for the client, which gets the alert afterwards.
        let mut client = client.connect(served.address).unwrap();
        let alert = client.stream().read(&mut [0]).unwrap_err().to_string();
        assert!(alert.contains("received fatal alert"), "{alert}");
        served.program.logs(why);
    }
}

#[test]
fn the_access_log_says_who_has_shown_a_certificate() {
    let clients = Authority::new();
    let ca = clients.file();
    let asks = format!("client_ca = '{}'\nverify_client = 'optional'", ca.as_str());
    let served = Served::with("", &asks, "[log]\naccess = 'text'\n");
    let client = Client::new(&served.authority, &[&version::TLS13], Some(&clients.issue("client")));
    drop(served.stream(&client));
    served.program.signal("TERM");
    let told = served.program.ended().stdout;
    let subject = " tls=TLSv1.3 subject=\"CN=rcgen self signed cert\"";
    assert!(told.contains(subject), "{told}");
}

/// The client has shown a certificate of an authority that is no longer trusted. Its next request
/// needs another connection.
#[test]
fn a_client_may_have_to_show_another_certificate() {
    for (looks, told) in [("false", "configuration reloaded"), ("'5ms'", "tls.client_ca: ")] {
        let (former, clients) = (Authority::new(), Authority::new());
        let ca = former.file();
        let mut served = Served::new(&format!(
            "certificates_on_change = {looks}\nclient_ca = '{}'\nverify_client = 'require'",
            ca.as_str()
        ));
        let shows = |whose: &Authority| {
            Client::new(&served.authority, &[&version::TLS13], Some(&whose.issue("client")))
        };
        let (old, new) = (shows(&former), shows(&clients));
        let (mut line, mut upstream) = served.stream(&old);
        let mut idle = old.connect(served.address).unwrap();
        idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut other = served.origin.accept();
        other.request();
        other.send("HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(idle.response().first_line, "HTTP/1.1 204 No Content");
        replace(&ca, clients.pem());
        if looks == "false" {
            served.program.signal("HUP");
        }
        served.program.logs(told);
        assert_eq!(idle.end(), End::Closed);
        let (wire, event) = event("one");
        upstream.send(wire);
        line.expect(&event);
        let mut refused = old.connect(served.address).unwrap();
        assert!(refused.stream().read(&mut [0]).is_err());
        drop(served.stream(&new));
    }
}

/// An api may require a certificate in place of a key. Clients without one are refused, its subject
/// is the name in the log, and its streams end when its authority is no longer trusted.
#[test]
fn a_certificate_is_as_good_as_a_key() {
    for looks in ["false", "'5ms'"] {
        let (leaving, staying) = (Authority::new(), Authority::new());
        let ca = leaving.file();
        replace(&ca, &format!("{}{}", leaving.pem(), staying.pem()));
        let mut served = Served::to_the_certified(&format!(
            "certificates_on_change = {looks}\nclient_ca = '{}'\nverify_client = 'optional'",
            ca.as_str()
        ));
        let shows = |whose: &Authority| {
            Client::new(&served.authority, &[&version::TLS13], Some(&whose.issue("client")))
        };
        let clients = [shows(&leaving), shows(&staying)];
        let mut uncertified = served.client().connect(served.address).unwrap();
        uncertified.send(GET);
        assert_eq!(uncertified.response().first_line, "HTTP/1.1 403 Forbidden");
        uncertified.rest();
        assert_eq!(uncertified.end(), End::Closed);
        let told = served.program.says("time=");
        assert!(told.contains(" key=- ") && told.contains(" reason=no_certificate "), "{told}");
        let [(mut leaves, mut left), (mut stays, mut upstream)] =
            clients.map(|client| served.stream(&client));
        let told = served.program.says("time=");
        assert!(told.contains(" key=\"CN=rcgen self signed cert\" "), "{told}");
        replace(&ca, staying.pem());
        if looks == "false" {
            served.program.signal("HUP");
        }
        let rest = leaves.rest();
        assert!(rest.starts_with("retry: "), "{rest}");
        left.end();
        let (wire, event) = event("one");
        upstream.send(wire);
        stays.expect(&event);
    }
}

/// With a ticket a client could connect after its certificate has expired, and get a new ticket
/// each time.
#[test]
fn a_client_that_is_asked_for_a_certificate_shows_it_each_time() {
    let clients = Authority::new();
    let ca = clients.file();
    let asks = format!("client_ca = '{}'\nverify_client = 'optional'", ca.as_str());
    let served = Served::new(&asks);
    let pair = clients.issue("client");
    for shown in [Some(&pair), None] {
        for versions in [&[&version::TLS13], &[&version::TLS12]] {
            let client = Client::new(&served.authority, versions, shown);
            for _ in 0..2 {
                let (mut client, mut upstream) = served.stream(&client);
                let (wire, event) = event("one");
                upstream.send(wire);
                client.expect(&event);
                let kind = client.stream().0.conn.handshake_kind();
                assert_ne!(kind, Some(HandshakeKind::Resumed), "{versions:?}");
            }
        }
    }
}
