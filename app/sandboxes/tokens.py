"""Access tokens of sandboxes: derived, so that each connection gets the same one, and known to accounts by hash alone.

The secret itself is stored nowhere. It is made again from the master key and the sandbox's salt whenever somebody
connects, and to find which sandbox has signed the address of a file.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets as random

from app import db, ids
from app.accounts import service as accounts
from app.actor import Actor, Signed
from app.sandboxes import rows
from app.sandboxes.models import sandbox as table
from app.sandboxes.rows import Sandbox
from app.secrets import service as secrets

PREFIX, PURPOSE = "sce_", "sandbox access"
SCOPES = ("files:*", "others:files:*", "processes:*", "terminals:*", "projects:read", "system:read")


def new_salt() -> str:
    """Return what a sandbox's secret is derived from."""
    return random.token_hex(16)


def secret_of(sandbox_id: str, salt: str) -> str:
    """Return the secret of a sandbox."""
    return PREFIX + secrets.derive(PURPOSE, f"{sandbox_id}:{salt}")


def lend(actor: Actor, sandbox_id: str, salt: str, project: str) -> str:
    """Have accounts know a sandbox's secret as a token of its owner; return the token's id."""
    secret = secret_of(sandbox_id, salt)
    return accounts.lend_token(actor, f"sandbox {sandbox_id} {salt[:6]}", secret, SCOPES, project, "e2b").id


def renewed(actor: Actor, one: Sandbox) -> Sandbox:
    """Return the sandbox with a secret that works: its own, or a new one when that was revoked or is underivable."""
    if accounts.is_good(one.token, secret_of(one.id, one.salt)):
        return one
    salt = new_salt()
    with db.transaction() as conn:
        accounts.take_back(one.token)
        return rows.update(conn, one, salt=salt, token=lend(actor, one.id, salt, one.project))


def find_signer(signed: Signed) -> str | None:
    """Return the secret that an address was signed with, if it is one of a running sandbox and still good."""
    if not signed.path or (signed.expires is not None and signed.expires * 1000 < ids.now()):
        return None
    with db.read() as conn:
        running = rows.select(conn, table.c.state == "running", table.c.ends > ids.now())
    derived = secrets.derive_all(PURPOSE, [f"{one.id}:{one.salt}" for one in running])
    given = signed.signature.encode("utf-8", "replace")
    found = (PREFIX + secret for secret in derived)
    return next((one for one in found if hmac.compare_digest(signature(signed, one).encode(), given)), None)


def signature(signed: Signed, secret: str) -> str:
    """Return the signature that an address of a file carries, as E2B's clients make it."""
    words = [signed.path, signed.operation, signed.user, secret]
    words += [] if signed.expires is None else [str(signed.expires)]
    digest = hashlib.sha256(":".join(words).encode("utf-8", "surrogateescape")).digest()
    return "v1_" + base64.b64encode(digest).decode().rstrip("=")
