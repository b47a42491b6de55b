"""The headers that every answer carries: what a browser may do with it and whether it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TRUSTED_TYPES = "signalcabin"
# The hash of an empty style element, which xterm.js makes before its shim fills a constructable sheet.
EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"

_DOWNLOAD_CSP = "sandbox; default-src 'none'"
_API_CSP = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_GUEST_CSP = "sandbox allow-scripts allow-forms"

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_KEEP_NOT = {"Cache-Control": "no-store"}
_KEEP = {"Cache-Control": "public, max-age=3600"}
_KEEP_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
HSTS = {"Strict-Transport-Security": "max-age=31536000"}


def page_policy(*, trusted_types: str = TRUSTED_TYPES, more_styles: str = "") -> str:
    """The strict Content-Security-Policy of a page; nothing inline, nothing from elsewhere."""
    styles = f"'self' {more_styles}".strip()
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src {styles}",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "manifest-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "object-src 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            f"trusted-types {trusted_types}",
        )
    )


def _kinds() -> dict[str, Mapping[str, str]]:
    page = {**_ALWAYS, **_KEEP_NOT, "Content-Security-Policy": page_policy()}
    terminal = page_policy(more_styles=EMPTY_STYLE)
    push = page_policy(trusted_types=f"{TRUSTED_TYPES} push")
    api = {**_ALWAYS, **_KEEP_NOT, "Content-Security-Policy": _API_CSP}
    return {
        "page": page,
        # Its forms are sent before there is a session: with same-origin the browser names its own origin.
        "public_page": {**page, "Referrer-Policy": "same-origin"},
        # Read by whoever has its link, and found by nobody else: not even its address goes out.
        "shared_page": {**page, "X-Robots-Tag": "noindex, nofollow, noarchive"},
        # It may name the one script that the browser keeps, by a policy of its own.
        "push_page": {**page, "Content-Security-Policy": push},
        "terminal_page": {**page, "Content-Security-Policy": terminal},
        "guest_page": {**_ALWAYS, **_KEEP_NOT, "Content-Security-Policy": _GUEST_CSP},
        "api": api,
        "stream": {**api, "Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"},
        "download": {**_ALWAYS, **_KEEP_NOT, "Content-Security-Policy": _DOWNLOAD_CSP},
        "static": {**_ALWAYS, **_KEEP, "Content-Security-Policy": _API_CSP},
        "vendored": {**_ALWAYS, **_KEEP_FOREVER, "Content-Security-Policy": _API_CSP},
    }


_BY_KIND = {kind: MappingProxyType(dict(headers)) for kind, headers in _kinds().items()}
_BY_KIND_HTTPS = {kind: MappingProxyType({**headers, **HSTS}) for kind, headers in _BY_KIND.items()}


def headers_for(kind: str, *, is_https: bool = False) -> Mapping[str, str]:
    """The headers of an answer of this kind; HSTS only where the answer travels by https.

    Kinds: page, public_page (sign-in), shared_page (a shared session), terminal_page, guest_page (a deployed frontend
    on our origin), api, stream, download, static, vendored (its version is in its path). An unknown kind raises
    KeyError.
    """
    return (_BY_KIND_HTTPS if is_https else _BY_KIND)[kind]
