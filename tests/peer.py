"""A real server on the loopback, for tests of what goes out: it counts its visitors and answers as it is told."""

from __future__ import annotations

import datetime as dt
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = Callable[[BaseHTTPRequestHandler], None]


class Peer(ThreadingHTTPServer):
    """A real server on the loopback that counts its visitors; `answer` says what they get."""

    daemon_threads = True

    def __init__(self, answer: Answer | None = None, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.answer = answer or (lambda visit: reply(visit, 200, b"hello"))
        self.hits: list[str] = []
        self.hosts: list[str | None] = []
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A visitor that hangs up is what many tests are about."""

    def stop(self) -> None:
        self.closing.set()
        self.shutdown()
        self.thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Peer

    def do_GET(self) -> None:
        self.server.hits.append(self.path)
        self.server.hosts.append(self.headers["Host"])
        self.server.answer(self)

    do_POST = do_CONNECT = do_GET  # noqa: N815 - the names http.server calls

    def log_message(self, format: str, *args: object) -> None:
        """Tests are quiet."""


def reply(visit: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    visit.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        visit.send_header(name.replace("_", "-"), value)
    visit.end_headers()
    visit.wfile.write(body)


def drip(data: bytes) -> Answer:
    """One byte each 20 ms, as long as the visitor stays."""

    def answer(visit: BaseHTTPRequestHandler) -> None:
        for byte in data:
            visit.wfile.write(bytes([byte]))
            if visit.server.closing.wait(0.02):  # type: ignore[attr-defined]
                return

    return answer


def certificate(directory: Path, *names: str) -> Path:
    """A file with a new key and a certificate for these hosts, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = dt.datetime.now(dt.UTC)
    hosts = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(hosts, critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = directory / "both.pem"
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


def serving(file: Path) -> ssl.SSLContext:
    """A server's context with the certificate and key of a file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
