"""The file that who runs the server names for its first start: taken over once, and never again."""

from __future__ import annotations

from pathlib import Path

import orjson
import sqlalchemy as sa

from app import db, ids, redact
from app.accounts import service as accounts
from app.agent.importing import document, taking
from app.agent.importing.taking import Done
from app.errors import NotFound, Problem
from app.projects import service as projects
from app.secrets import service as secrets

SCOPE, NAME, BEGUN = "import:first-start", "done", "begun"


def at_first_start(path: Path | None) -> str:
    """Take the file over for the owner and the usual workspace, unless that was done before.

    A line that tells what came of it, "" where there is nothing to tell; a file that cannot be read stops nobody.
    """
    if path is None or _is_done():
        return ""
    try:
        with path.open("rb") as file:
            data = file.read(document.LARGEST + 1)
        done = _taken(path, data)
    except OSError as wrong:
        return f"Roo's settings in {path} were not taken over: {wrong.strerror}."
    except Problem as wrong:
        return redact.text(f"Roo's settings in {path} were not taken over: {' '.join(wrong.message.split())}")
    if done is None:
        return ""
    return f"Roo's settings in {path}: {len(done.items)} taken over, {done.plan.count('skipped')} left out."


def _taken(path: Path, data: bytes) -> Done | None:
    """What was done; None where another process that starts now does it."""
    owner = accounts.local_owner()
    place = projects.resolve(owner, None)
    found = taking.plan(owner, place, data)
    try:
        with db.transaction():
            # Who writes to the vault first lets the others wait here, and look when it is done.
            secrets.hold(SCOPE, BEGUN, str(path))
            if _is_done():
                return None
            secrets.hold(SCOPE, NAME, orjson.dumps({"at": ids.now(), "file": str(path)}).decode())
            return taking.carry_out(owner, place, found, found.usual)
    except sa.exc.IntegrityError:
        return None


def _is_done() -> bool:
    try:
        secrets.held(SCOPE, NAME)
    except NotFound:
        return False
    return True
