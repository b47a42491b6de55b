"""Against changes in somebody's name: what a browser must bring along with the rights it sends by itself.

A bearer is never sent by itself, so it needs nothing. A cookie needs all three: the same site, a known
origin, and the token of its session. Basic, a port that acts as a token, and the open door have no session to
hang a token on: a foreign page is told by its Origin and Sec-Fetch-Site.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any, Protocol

from app.errors import Denied

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FIELD = "csrf_token"
HEADER = "X-CSRF-Token"

_OWN_SITE = ("same-origin", "none")


class Fields(Protocol):
    """Headers or form fields by name, as a dict or as Werkzeug's."""

    def get(self, key: str, /) -> Any:
        """The first value of this name, or None."""


def csrf_token(sid: str) -> str:
    """The token that forms and scripts of the browser session with this secret send with a change."""
    key = sid.encode("utf-8", "backslashreplace")
    return hmac.new(key, b"signalcabin csrf", hashlib.sha256).hexdigest()


def check(
    method: str,
    headers: Fields,
    form: Fields,
    *,
    proof: str,
    sid: str | None,
    own_origins: Iterable[str],
    guest_origins: Iterable[str] = (),
) -> None:
    """Raise Denied for a change that a foreign page could have sent.

    `proof` is how the actor was proved (`accounts.identify`); guest origins (CORS) may speak by Basic or
    through a port, never by cookie.
    """
    if method in SAFE_METHODS or proof == "bearer":
        return
    own = frozenset(own_origins)
    if proof == "cookie":
        _same_site(headers, own, needs_origin=False)
        _check_token(headers, form, sid)
    elif (headers.get("Origin") or "") not in frozenset(guest_origins):
        _same_site(headers, own)


def check_sign_in(method: str, headers: Fields, own_origins: Iterable[str]) -> None:
    """Raise Denied for a sign-in form that another site sent: nobody is signed in yet, so no token."""
    if method not in SAFE_METHODS:
        _same_site(headers, frozenset(own_origins))


def _same_site(headers: Fields, own: frozenset[str], *, needs_origin: bool = True) -> None:
    site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    is_foreign = site is not None and site not in _OWN_SITE
    # Under Referrer-Policy no-referrer a browser's own forms say "null"; so does a sandboxed foreign frame,
    # but never together with same-origin.
    if origin == "null":
        is_foreign = is_foreign or (needs_origin and site != "same-origin")
    elif origin is not None:
        is_foreign = is_foreign or origin not in own
    if is_foreign:
        raise Denied("This came from another site, so nothing was changed.", code="CROSS_SITE")


def _check_token(headers: Fields, form: Fields, sid: str | None) -> None:
    brought = headers.get(HEADER) or form.get(FIELD) or ""
    if not sid or not hmac.compare_digest(brought.encode(), csrf_token(sid).encode()):
        raise Denied("This page is out of date. Load it again and repeat what you did.", code="CSRF")
