"""The proxy under test: started with some settings, and ended at the end."""
import contextlib, os, signal, subprocess, tempfile
from pathlib import Path

from waiting import within

ROOT = Path(__file__).resolve().parent.parent.parent
BINARY = Path(os.environ.get("MILLSTREAM", ROOT / "target/release/millstream"))


# Its certificate, if it is to use TLS.
certificate = None


class Refused(Exception):
    """It did not start. Its argument is what it printed."""


class Millstream:
    def __init__(self, process, port, log):
        self.process, self.port, self.log = process, port, log

    def origin(self, host):
        """Its origin under this host name."""
        return f"{'https' if certificate else 'http'}://{host}:{self.port}"

    def drain(self):
        self.process.send_signal(signal.SIGTERM)

    def ended(self):
        return self.process.poll() is not None


def configuration(apis, listen, server, drain):
    key = "listen_tls" if certificate else "listen"
    lines = ["[server]", f'{key} = ["127.0.0.1:{listen}"]', *server]
    if certificate:
        lines += ["[[tls.certificate]]", f'certificate = "{certificate.file}"',
                  f'key = "{certificate.key}"']
    if drain:
        lines += ["[drain]", *drain]
    for number, (path, target, *settings) in enumerate(apis):
        lines += ["[[api]]", f'name = "api{number}"', f'listen_path = "{path}"',
                  f'target_url = "{target}"', "preserve_host_header = true", *settings]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def millstream(*apis, listen=0, server=(), drain=()):
    """Each api is (listen_path, target_url, setting, ...)."""
    with tempfile.TemporaryDirectory(prefix="browser-") as folder:
        file, log = Path(folder) / "millstream.toml", Path(folder) / "log"
        file.write_text(configuration(apis, listen, server, drain))
        with log.open("w") as errors:
            process = subprocess.Popen([BINARY, file], stdout=subprocess.PIPE, stderr=errors,
                                       text=True)
        try:
            said = process.stdout.readline().split()
            if not said:
                process.wait(10)
                raise Refused(log.read_text().strip().split("; the keys here are")[0])
            yield Millstream(process, int(said[-1].rsplit(":")[-1]), log)
        finally:
            process.terminate()
            if not within(1, lambda: process.poll() is not None):
                process.terminate()  # a second signal ends it at once
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
