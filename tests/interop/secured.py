"""millstream with TLS: a certificate, clients that trust it, and trials with OpenSSL."""
import contextlib, os, re, socket, ssl, subprocess

NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


class Certificate:
    """A self-signed certificate for this host."""

    def __init__(self, folder):
        self.certificate, self.key = folder / "certificate.pem", folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "basicConstraints=critical,CA:FALSE", "-addext", NAMES, "-keyout", self.key, "-out", self.certificate],
                       check=True, capture_output=True)

    def settings(self, *tls):
        """The settings before the apis."""
        return ['listen_tls = ["127.0.0.1:0"]', "[tls]", *tls, "[[tls.certificate]]",
                f'certificate = "{self.certificate}"', f'key = "{self.key}"']

    def asking(self):
        """Settings that require it of clients."""
        return [f'client_ca = "{self.certificate}"', 'verify_client = "require"']

    def showing(self):
        """Settings that use it for connections to targets, and require it of them."""
        return ["[api.upstream_tls]", f'ca_file = "{self.certificate}"',
                f'certificate = "{self.certificate}"', f'key = "{self.key}"']

    def trusted(self):
        """The environment of clients that trust it: curl, requests, OpenSSL and Go, Node."""
        names = ["CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"]
        return {**os.environ, **dict.fromkeys(names, str(self.certificate))}


def s_client(port, certificate, *words, said=b"GET /hello HTTP/1.0\r\n\r\n"):
    """The output of openssl, including what the server sends."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile",
               certificate.certificate, "-verify_return_error", "-ign_eof", *words]
    if "-noservername" not in words:
        command += ["-servername", "localhost"]
    done = subprocess.run([str(word) for word in command], input=said, capture_output=True,
                          timeout=60)
    return (done.stdout + done.stderr).decode("latin-1")


def serves(*words):
    """The handshake succeeds, and a request is answered."""
    def trial(port, certificate, _):
        text = s_client(port, certificate, *words)
        return None if "HTTP/1.1 200 OK" in text else text[-1500:]
    return trial


def resumes(*words):
    """A second connection resumes the session of the first."""
    def trial(port, certificate, folder):
        ticket = folder / "ticket.pem"
        s_client(port, certificate, *words, "-sess_out", ticket)
        text = s_client(port, certificate, *words, "-sess_in", ticket)
        return None if "Reused, TLSv1" in text and "HTTP/1.1 200 OK" in text else text[-1500:]
    return trial


def refuses(*words, alert):
    """The handshake fails with this alert."""
    def trial(port, certificate, _):
        text = s_client(port, certificate, *words)
        return None if re.search(alert, text) else text[-1500:]
    return trial


def commanded(letter, shown, *words, goes_on):
    """Gives a command to openssl between the handshake and the request."""
    def trial(port, certificate, _):
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername",
                   "localhost", "-CAfile", str(certificate.certificate), *words]
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, bufsize=0)
        try:
            client.stdin.write(letter + b"\n")
            said = b""
            while shown not in said and (more := os.read(client.stdout.fileno(), 65536)):
                said += more
            with contextlib.suppress(BrokenPipeError):
                client.stdin.write(b"GET /hello HTTP/1.0\r\n\r\n")
            # The input stays open, because openssl would not wait for the response otherwise.
            said += client.stdout.read()
            is_right = shown in said and (b"HTTP/1.1 200 OK" in said) == goes_on
            return None if is_right else said[-1500:].decode("latin-1")
        finally:
            client.kill()
            client.wait()
    return trial


def connected(port, certificate, **settings):
    context = ssl.create_default_context(cafile=certificate.certificate)
    for name, value in settings.items():
        setattr(context, name, value)
    plain = socket.create_connection(("127.0.0.1", port), 20)
    return context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)


def ends_properly(port, certificate, _):
    """A body that ends with its connection is followed by close_notify."""
    with connected(port, certificate) as client:
        client.sendall(b"GET /chunks/20 HTTP/1.0\r\n\r\n")
        while client.recv(65536):
            pass


def large_records(port, certificate, _):
    """Uploads in the largest records, and byte by byte."""
    body = bytes(range(256)) * 800
    for piece in len(body), 1:
        sent = body if piece > 1 else body[:300]
        with connected(port, certificate) as client:
            client.sendall(b"POST /echo HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(sent))
            for at in range(0, len(sent), piece):
                client.sendall(sent[at:at + piece])
            got = b""
            while more := client.recv(65536):
                got += more
        if not got.endswith(b"\r\n\r\n" + sent):
            return f"{len(got)} bytes came back of {len(sent)}"
    return None


def plain_http(port, _, __):
    """A client that sends plain HTTP gets a response that says so."""
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        got = b""
        while more := client.recv(65536):
            got += more
    told = got.startswith(b"HTTP/1.1 400 ") and b"use https://" in got
    return None if told else repr(got)


TRIALS = {
    "TLS 1.3": serves("-tls1_3"),
    "TLS 1.2": serves("-tls1_2"),
    "AES-256": serves("-ciphersuites", "TLS_AES_256_GCM_SHA384"),
    "ChaCha20": serves("-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"),
    "P-256": serves("-groups", "P-256"),
    "a second hello": serves("-groups", "P-521:P-256"),
    "small records": serves("-max_send_frag", "512", "-split_send_frag", "512"),
    "no name": serves("-noservername"),
    "ALPN": serves("-alpn", "h2,http/1.1"),
    "ALPN, HTTP/1.0": serves("-alpn", "http/1.0"),
    "resumption, TLS 1.3": resumes("-tls1_3"),
    "resumption, TLS 1.2": resumes("-tls1_2"),
    "new keys": commanded(b"K", b"KEYUPDATE", "-tls1_3", goes_on=True),
    "renegotiation": commanded(b"R", b"RENEGOTIATING", "-tls1_2", goes_on=False),
    "HTTP/2 only": refuses("-alpn", "h2", alert="no application protocol"),
    "TLS 1.1": refuses("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0", alert="protocol version|handshake failure"),
    "an announced end": ends_properly,
    "records of all sizes": large_records,
    "plain HTTP": plain_http,
}
