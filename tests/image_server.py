"""An https server on this machine that serves a file, truly or in every wrong way there is."""

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass
class ImageServer:
    """What it serves, and how. ``cut`` is after how many bytes of an answer it hangs up, ``stall`` after how many it
    falls silent."""

    port: int
    ca_file: Path
    content: bytes = b""
    etag: str = '"one"'
    cut: int | None = None
    cuts: int = 0  # how many answers are cut; 0: all
    stall: int | None = None
    length: int | None = None  # what it says instead of the true one
    ignores_range: bool = False
    ignores_condition: bool = False  # goes on in the middle of whatever it has now
    redirect: str = ""
    status: int = 0
    ranges: list[str] = field(default_factory=list)  # as they were asked for
    let_go: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/image.qcow2"

    def hang_up_after(self) -> int | None:
        """For the answer that begins now."""
        if self.cut is None or (self.cuts and len(self.ranges) > self.cuts):
            return None
        return self.cut


def make_certificate(folder: Path, host: str = "localhost") -> tuple[Path, Path]:
    """A self-signed certificate and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "server.pem", folder / "server.key"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain),
    )
    return cert_file, key_file


@contextmanager
def image_server(folder: Path) -> Iterator[ImageServer]:
    """A server that runs until the end of the block."""
    cert_file, key_file = make_certificate(folder)
    server: ImageServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            server.ranges.append(asked)
            if server.redirect or server.status:
                self.send_response(server.status or 302)
                if server.redirect:
                    self.send_header("Location", server.redirect)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            is_same = server.ignores_condition or self.headers.get("If-Range") == server.etag
            begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            if not asked or server.ignores_range or not is_same:
                begin = 0
            rest = server.content[begin:]
            self.send_response(206 if begin else 200)
            total = server.length or len(server.content)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{total - 1}/{total}")
            self.send_header("Content-Length", str(total - begin))
            self.send_header("ETag", server.etag)
            self.end_headers()
            cut = server.hang_up_after()
            self.wfile.write(rest[: min(x for x in (cut, server.stall, len(rest)) if x is not None)])
            self.wfile.flush()
            if server.stall is not None:
                server.let_go.wait(30)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Clients hang up on purpose here."""

    httpd = Quiet(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    server = ImageServer(httpd.server_address[1], cert_file)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.let_go.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join(5)
