"""A certificate for all names under .test, and how Chromium is told to accept it."""
import base64, hashlib, ssl, subprocess


class Certificate:
    def __init__(self, folder):
        self.file, self.key = folder / "certificate.pem", folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=browser",
                        "-addext", "basicConstraints=critical,CA:FALSE",
                        "-addext", "subjectAltName=DNS:*.test", "-keyout", self.key,
                        "-out", self.file], check=True, capture_output=True)
        public = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-outform", "DER"],
                                check=True, capture_output=True).stdout
        self.spki = base64.b64encode(hashlib.sha256(public).digest()).decode()

    def trust(self):
        """For clients other than browsers. OpenSSL does not match a name as short as *.test."""
        context = ssl.create_default_context(cafile=self.file)
        context.check_hostname = False
        return context
