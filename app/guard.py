"""The first thing a request meets: is it meant for us, well formed, and of a size we take?

It stands before routing, sign-in and every room, for websockets too, and reads no byte of a body it refuses.
A page of another name that resolves to this machine (DNS rebinding) ends here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import orjson
from markupsafe import escape

from app import body_limits, security_headers
from app.config import Config
from app.errors import Invalid, Misdirected, Problem, TooLarge, UnsupportedMedia
from app.proxies import Proxies, networks

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

BODY_LIMIT = "signalcabin.body_limit"
BY_SOCKET = "signalcabin.by_socket"
MAX_URL = 8 * body_limits.KIB
MAX_HEADERS = 16 * body_limits.KIB
MAX_HEADER_COUNT = 100
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

TOO_LARGE = "The body is too large for this address."

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?)(?::([0-9]{1,5}))?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_OVERRIDES = ("HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_HTTP_METHOD", "HTTP_X_METHOD_OVERRIDE")
_REASONS = {
    400: "400 Bad Request",
    405: "405 Method Not Allowed",
    413: "413 Content Too Large",
    414: "414 URI Too Long",
    415: "415 Unsupported Media Type",
    421: "421 Misdirected Request",
    431: "431 Request Header Fields Too Large",
}


class MethodRefused(Problem):
    """A method that no route of ours has."""

    status, code = 405, "METHOD_NOT_ALLOWED"


class UrlTooLong(Problem):
    """The address is over its limit."""

    status, code = 414, "URL_TOO_LONG"


class HeadersTooLarge(Problem):
    """The headers are too many or too long."""

    status, code = 431, "HEADERS_TOO_LARGE"


class Reading(Protocol):
    """A body as WSGI gives it."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to so many bytes, all of them below zero."""

    def readline(self, size: int = -1, /) -> bytes:
        """Up to so many bytes, to the end of a line."""


class CountedBody:
    """A body of unknown length that raises TooLarge once more than its limit has come."""

    def __init__(self, inner: Reading, limit: int) -> None:
        self.inner = inner
        self._left = limit

    def read(self, size: int = -1, /) -> bytes:
        """Read, at most one byte beyond the limit."""
        return self._count(self.inner.read(self._bounded(size)))

    def readline(self, size: int = -1, /) -> bytes:
        """Read a line, at most one byte beyond the limit."""
        return self._count(self.inner.readline(self._bounded(size)))

    def readlines(self, _hint: int = -1, /) -> list[bytes]:
        """Read all lines."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _bounded(self, size: int) -> int:
        if self._left < 0:
            raise TooLarge(TOO_LARGE)
        return self._left + 1 if size is None or size < 0 else min(size, self._left + 1)

    def _count(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise TooLarge(TOO_LARGE)
        return data


class Guard:
    """WSGI middleware that lets through only requests that are meant for this server and well formed."""

    def __init__(
        self,
        inner: WSGIApplication,
        config: Config,
        limit_for: Callable[[str], int] | None = None,
    ) -> None:
        self._inner = inner
        upload = config.upload_limit * body_limits.MIB
        self._limit_for = limit_for or (lambda path: body_limits.limit_for(path, upload))
        ports = {config.port, *(port.port for port in config.ports)}
        self._ports = frozenset(str(port) for port in ports)
        self._main_port, self._has_socket = str(config.port), config.socket is not None
        self._hosts = frozenset(_known_hosts(config))
        self._proxies = Proxies(networks(config.trusted_proxies))

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Check, then go on; or answer with what was wrong."""
        if self._has_socket and not environ.get("REMOTE_ADDR"):
            self._name_socket(environ)
        self._proxies.see_through(environ)
        try:
            self._check_host(environ)
            _check_method(environ)
            _check_sizes(environ)
            self._check_body(environ)
        except Problem as problem:
            return _refuse(environ, start_response, problem)
        return self._inner(environ, start_response)

    def _name_socket(self, environ: dict[str, Any]) -> None:
        """Say whence and where a request came that came by our Unix socket: from this machine, to the main port.

        gunicorn knows no address of the one, and takes the other from the Host header, where it could name the port of
        a single dialect.
        """
        environ[BY_SOCKET] = True
        environ["REMOTE_ADDR"], environ["SERVER_PORT"] = "127.0.0.1", self._main_port

    def _check_host(self, environ: dict[str, Any]) -> None:
        host = environ.get("HTTP_HOST", "").lower()
        found = _HOST.fullmatch(host)
        if found is None:
            raise Invalid("The Host header is missing or malformed.", code="BAD_HOST")
        name, port = found.groups()
        if host in self._hosts or name in self._hosts:
            return
        listening = port or {"http": "80", "https": "443"}.get(environ.get("wsgi.url_scheme", ""), "")
        is_ours = listening in self._ports or listening == environ.get("SERVER_PORT")
        if name in _LOOPBACK and (is_ours or BY_SOCKET in environ):  # a tunnel to the socket may begin at any port
            return
        raise Misdirected("This server does not go by that name. SIGNALCABIN_ALLOWED_HOSTS adds one.")

    def _check_body(self, environ: dict[str, Any]) -> None:
        encoding = environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower()
        is_packed = encoding == "gzip" and body_limits.may_be_packed(environ.get("PATH_INFO", ""))
        if encoding not in ("", "identity") and not is_packed:
            raise UnsupportedMedia("Bodies are taken as they are, without a Content-Encoding.")
        length, chunked = environ.get("CONTENT_LENGTH") or "", environ.get("HTTP_TRANSFER_ENCODING")
        limit = environ[BODY_LIMIT] = self._limit_for(environ.get("PATH_INFO", ""))
        if length and (chunked or not (length.isascii() and length.isdigit())):
            raise Invalid("The body's length is malformed.", code="BAD_LENGTH")
        if length and (len(length) > 15 or int(length) > limit):
            raise TooLarge(f"The body is too large: at most {limit} bytes here.")
        if not length and environ.get("wsgi.input_terminated"):
            environ["wsgi.input"] = CountedBody(environ["wsgi.input"], limit)


def _known_hosts(config: Config) -> Iterable[str]:
    """Names that are taken with any port, and `name:port` taken just so."""
    yield from (host.lower() for host in config.allowed_hosts)
    if config.public_url:
        yield urlsplit(config.public_url).netloc.rpartition("@")[2].lower()


def _check_method(environ: dict[str, Any]) -> None:
    if environ.get("REQUEST_METHOD") not in METHODS:
        raise MethodRefused("No address here takes that method.")
    if any(name in environ for name in _OVERRIDES):
        raise Invalid("The method cannot be overridden by a header.", code="METHOD_OVERRIDE")


def _check_sizes(environ: dict[str, Any]) -> None:
    path, query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI") or path
    if max(len(target), len(path) + len(query)) > MAX_URL:
        raise UrlTooLong(f"The address is longer than {MAX_URL} bytes.")
    if not target.startswith("/") or not path.startswith("/") or _CONTROL.search(path):
        raise Invalid("The address is malformed.", code="BAD_TARGET")
    headers = [(name, value) for name, value in environ.items() if name.startswith("HTTP_")]
    # Name, colon, space and line end, as they went over the wire.
    size = sum(len(name) - 5 + len(str(value)) + 4 for name, value in headers)
    if len(headers) > MAX_HEADER_COUNT or size > MAX_HEADERS:
        raise HeadersTooLarge(f"Headers may be {MAX_HEADER_COUNT} and {MAX_HEADERS} bytes in all.")


def _refuse(environ: dict[str, Any], start_response: StartResponse, problem: Problem) -> Iterable[bytes]:
    if "text/html" in environ.get("HTTP_ACCEPT", ""):
        content_type = "text/html; charset=utf-8"
        body = f"<!doctype html><title>Refused</title><p>{escape(problem.message)}</p>".encode()
    else:
        content_type = "application/json"
        # Nobody knows the dialect yet: `error` is for most clients, `name` and `data` for OpenCode's.
        told = {"error": problem.message, "code": problem.code, "name": problem.code}
        body = orjson.dumps({**told, "data": {"message": problem.message}})
    headers = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        # The rest of a refused body must not be read as a request.
        ("Connection", "close"),
        *security_headers.headers_for("api", is_https=environ.get("wsgi.url_scheme") == "https").items(),
    ]
    if problem.status == 405:
        headers.append(("Allow", ", ".join(METHODS)))
    start_response(_REASONS[problem.status], headers)
    return [b"" if environ.get("REQUEST_METHOD") == "HEAD" else body]
