"""The public keys of providers, remembered for ten minutes and fetched anew where a token names one that is unknown.

A token's key id is anybody's word, so it makes us fetch only so often.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from app import ids
from app.errors import Invalid
from app.oidc import discovery

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, RSAKey

KEEP = 10 * 60 * 1000
MOST_FETCHES, WITHIN = 5, 5 * 60 * 1000
MOST_KEYS = 100
LEAST_BITS = 2048
_CURVE = "P-256"
_TYPES = {"RS256": "RSA", "ES256": "EC"}


class KeySet:
    """The keys at one address."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._keys: list[dict[str, Any]] = []
        self._fetches: deque[int] = deque(maxlen=MOST_FETCHES)
        self._got: int | None = None

    def find(self, kid: str | None, algorithm: str) -> RSAKey | ECKey | None:
        """The key a token was signed with by its own word, or None; raises Invalid if the keys can't be had."""
        with self._lock:
            is_fresh = self._refresh() if self._is_old() else False
            found = self._pick(kid, algorithm)
            if found is None and not is_fresh and self._may_fetch():
                self._refresh()
                found = self._pick(kid, algorithm)
        return _imported(found) if found else None

    def _is_old(self) -> bool:
        return self._got is None or ids.now() - self._got >= KEEP

    def _may_fetch(self) -> bool:
        return len(self._fetches) < MOST_FETCHES or ids.now() - self._fetches[0] >= WITHIN

    def _refresh(self) -> bool:
        if not self._may_fetch():
            raise Invalid("The keys were asked for too often.", "jwks_uri")
        self._fetches.append(ids.now())
        said = discovery.fetch_json(self._url, "The set of keys").get("keys")
        keys = said[:MOST_KEYS] if isinstance(said, list) else []
        self._keys, self._got = [key for key in keys if isinstance(key, dict)], ids.now()
        return True

    def _pick(self, kid: str | None, algorithm: str) -> dict[str, Any] | None:
        fit = [key for key in self._keys if _fits(key, algorithm)]
        if kid is None:  # without a name only one key can be meant
            return fit[0] if len(fit) == 1 else None
        return next((key for key in fit if key.get("kid") == kid), None)


_sets: dict[str, KeySet] = {}
_lock = threading.Lock()


def of(url: str) -> KeySet:
    """The keys at an address, shared by all who ask."""
    with _lock:
        return _sets.setdefault(url, KeySet(url))


def forget(url: str) -> None:
    """What was remembered of an address."""
    with _lock:
        _sets.pop(url, None)


def _fits(key: dict[str, Any], algorithm: str) -> bool:
    """Whether a key is one to check such a signature with, and strong enough for it."""
    if key.get("kty") != _TYPES[algorithm] or key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
        return False
    return algorithm != "ES256" or key.get("crv") == _CURVE


def _imported(key: dict[str, Any]) -> RSAKey | ECKey | None:
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, RSAKey

    public = {name: key[name] for name in ("kty", "n", "e", "crv", "x", "y") if isinstance(key.get(name), str)}
    try:
        if key["kty"] == "EC":
            return ECKey.import_key(public)
        rsa = RSAKey.import_key(public)
        return rsa if rsa.public_key.key_size >= LEAST_BITS else None
    except (JoseError, ValueError, TypeError):
        return None
