"""Which dialect answers a request: the port it came in by, else its prefix, else the owner of its path.

What no path owns is a page's for a browser, and OpenCode's for a program.

Only the environ's `signalcabin.dialect` is set ("" for pages); a prefix moves to SCRIPT_NAME, nothing else is
rewritten, and the Host header never has a say. For the few paths that two dialects share at the root, what the request
brings decides: an email in its body, or a bearer of RootCX's form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import orjson
from flask import Flask
from flask.wrappers import Request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, MapAdapter

from app.config import DialectPort
from app.dialects import peek
from app.dialects.rules import LateRule
from app.web import KEY, PORT_TOKEN
from app.web_templates import Templates

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

# A program that asks at the root for what nobody has is told so in the words of the dialect whose paths stand there:
# CodeBuddy's begin with a word of their own.
AT_ROOT = "opencode"
CODEBUDDYS = "/api/v1/"
SHARED = "/api/"
OTHERS = ("/static/",)
# CodeBuddy and RootCX both have these.
LOGIN, CHANNELS = "/api/v1/auth/login", "/api/v1/channels"
# What RootCX's clients sign in with: access tokens, and tokens that were minted for them.
ROOTCX_BEARERS = ("sca_", "sc_rootcx_")
# What a dialect has at its port and prefix only: at the root these paths are others'.
NOT_AT_ROOT = {"e2b": ("/health", "/metrics", "/envs", "/init", "/openapi.json")}


class Owners:
    """Which dialect has a path; worked out once all rooms are registered."""

    def __init__(self, url_map: Map, dialects: Iterable[str]) -> None:
        self.prefixes = frozenset(dialects)
        self._first: dict[str, set[str]] = {}
        rules: list[LateRule] = []
        for rule in url_map.iter_rules():
            owner = rule.subdomain or ""
            if rule.rule in NOT_AT_ROOT.get(owner, ()):
                continue
            self._first.setdefault(rule.rule.split("/")[1], set()).add(owner)
            rules.append(LateRule(rule.rule, endpoint=owner))
        rules.sort(key=lambda rule: "<" in rule.rule)
        self._map = Map(rules, strict_slashes=False, merge_slashes=False)
        self._plain = {rule.rule for rule in rules if "<" not in rule.rule}
        self._known: dict[str, str] = {}  # owners of plain paths that were asked for

    def find(self, environ: dict[str, Any]) -> str:
        """The owner of a request's path, or who says that nobody has it."""
        path = environ["PATH_INFO"]
        if path.rstrip("/") in (LOGIN, CHANNELS):
            return _who_shares(environ, path.rstrip("/"))
        owners = self._first.get(path.split("/", 2)[1] if "/" in path else "", set())
        if len(owners) == 1 and not path.startswith(SHARED):
            return next(iter(owners))
        if path in self._known:
            return self._known[path]
        try:
            endpoint, _ = self._map.bind("").match(path)
        except HTTPException:
            if path.startswith(CODEBUDDYS):
                return "rootcx" if _has_rootcx_bearer(environ) else "codebuddy"
            if path.startswith(SHARED):
                return "roo"
            return "" if _is_page(environ) or path.startswith(OTHERS) else AT_ROOT
        if path in self._plain:
            self._known[path] = str(endpoint)
        return str(endpoint)


class Cabin(Flask):
    """A Flask whose URL adapter is bound to the request's dialect instead of the host's subdomain."""

    url_rule_class = LateRule
    jinja_environment = Templates
    owners: Owners

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Bind by the dialect that the mount has found."""
        if request is None:
            return super().create_url_adapter(request)
        environ = request.environ
        return self.url_map.bind(
            request.host or "localhost",
            script_name=request.root_path,
            subdomain=environ.get(KEY, ""),
            url_scheme=request.scheme,
            default_method=request.method,
            path_info=request.path,
            query_args=request.query_string.decode("latin-1"),
        )

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Views are plain functions here; Flask would look again at each call whether one is a coroutine's."""
        return func

    def answer(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Flask's own application, behind all that is put in front of it."""
        return super().wsgi_app(environ, start_response)


class Mount:
    """WSGI middleware that names the dialect."""

    def __init__(self, inner: WSGIApplication, owners: Owners, ports: tuple[DialectPort, ...]) -> None:
        self._inner = inner
        self._owners = owners
        self._ports = {str(port.port): port for port in ports}

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Name the dialect and go on."""
        port = self._ports.get(environ.get("SERVER_PORT", ""))
        if port is not None:
            environ[KEY] = port.dialect
            environ[PORT_TOKEN] = port.token
        else:
            environ[KEY] = self._by_prefix(environ) or self._owners.find(environ)
        return self._inner(environ, start_response)

    def _by_prefix(self, environ: dict[str, Any]) -> str:
        _, first, *rest = (environ["PATH_INFO"] or "/").split("/", 2)
        if first not in self._owners.prefixes:
            return ""
        environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + "/" + first
        environ["PATH_INFO"] = "/" + (rest[0] if rest else "")
        return first


def _who_shares(environ: dict[str, Any], path: str) -> str:
    """Whose a request for a shared path is."""
    if path == CHANNELS:
        return "rootcx" if _has_rootcx_bearer(environ) else "codebuddy"
    return "rootcx" if environ["REQUEST_METHOD"] != "POST" or _has_email(environ) else "codebuddy"


def _has_rootcx_bearer(environ: dict[str, Any]) -> bool:
    given: str = environ.get("HTTP_AUTHORIZATION", "")
    scheme, _, bearer = given.partition(" ")
    return scheme.lower() == "bearer" and bearer.strip().startswith(ROOTCX_BEARERS)


def _has_email(environ: dict[str, Any]) -> bool:
    """Whether the body is an object with an `email`; of one too long to be a sign-in, whether it begins like that."""
    begun = peek.beginning(environ)
    try:
        body = orjson.loads(begun)
    except orjson.JSONDecodeError:
        return len(begun) == peek.MOST and b'"email"' in begun
    return isinstance(body, dict) and "email" in body


def _is_page(environ: dict[str, Any]) -> bool:
    """Whether a browser asks, for a page or a fragment of one."""
    return "text/html" in environ.get("HTTP_ACCEPT", "") or "HTTP_HX_REQUEST" in environ
