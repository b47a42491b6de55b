"""Listening to more than this machine: only once somebody who rules the server has a way in of their own.

Until then the server would belong to whoever comes first, so it does not start: its port is never opened.
"""

from __future__ import annotations

import multiprocessing
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from app import config
from app.config import Config

if TYPE_CHECKING:
    from app.db import Database

# What sysexits.h calls a configuration error.
EX_CONFIG = 78

NO_WAY_IN = (
    "Error: HOST={host} lets other machines in, and nobody who could govern this server has a password or a provider "
    "to sign in with. Set one first: python -m app user owner EMAIL"
)


def check(settings: Config) -> None:
    """Exit 78 with a line that says what to do, if the server would listen beyond this machine and is nobody's.

    The database is asked in a process of its own: the arbiter stays small, and forks with nothing open.
    """
    if settings.is_loopback or len(settings.admin_token or "") >= config.LONG_ENOUGH:
        return
    asking = multiprocessing.get_context("fork").Process(target=_exit_with, args=(settings,))
    asking.start()
    asking.join()
    if asking.exitcode == EX_CONFIG:
        sys.stderr.write(NO_WAY_IN.format(host=settings.host) + "\n")
    if asking.exitcode:
        raise SystemExit(asking.exitcode)


def _exit_with(settings: Config) -> None:
    """In the process that asks: end with 78 unless there is a way in."""
    try:
        code = 0 if _has_a_way_in(settings) else EX_CONFIG
    except Exception:  # noqa: BLE001 - told, and the server does not start
        traceback.print_exc()
        code = 1
    raise SystemExit(code)


def _has_a_way_in(settings: Config) -> bool:
    from app import db, rooms
    from app.accounts import service as accounts
    from app.oidc import service as oidc

    rooms.import_models()
    config.use(settings)
    opened = db.Database(settings.database_url, settings.durability)
    db.use(opened)
    try:
        if not _is_begun(opened):
            return False
        governing = accounts.who_governs()
        return accounts.have_a_password(governing) or oidc.vouches_for(governing)
    finally:
        opened.close()


def _is_begun(opened: Database) -> bool:
    """Whether there is a database with people in it; looking makes none."""
    import sqlalchemy as sa

    if opened.is_sqlite and not Path(opened.engine.url.database or "").exists():
        return False
    return sa.inspect(opened.engine).has_table("user")
