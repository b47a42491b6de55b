"""Whether the database has the schema that this version speaks of; known without loading Alembic."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from app import db
from app.errors import Unavailable

_REVISIONS = Path(__file__).parent.parent / "migrations" / "versions"
_STANDING = sa.text("SELECT version_num FROM alembic_version")


def head() -> str:
    """The revision that this version's migrations lead to: the files are named after theirs, in their order."""
    return max(path.name.partition("_")[0] for path in _REVISIONS.glob("[0-9]*_*.py"))


def check() -> None:
    """Raise Unavailable, with what to do, where the database in use is not at this version's schema."""
    wanted, found = head(), _standing()
    if found == wanted:
        return
    if found is None:
        raise Unavailable("The database is empty. Make its tables: python -m app migrate")
    if found > wanted:
        raise Unavailable(f"The database has the schema {found} of a newer version; this one knows up to {wanted}.")
    raise Unavailable(f"The database has the schema {found}, this version wants {wanted}: python -m app migrate")


def _standing() -> str | None:
    try:
        with db.read() as connection:
            found = connection.scalar(_STANDING)
    except sa.exc.DBAPIError as error:
        if isinstance(error, (sa.exc.OperationalError, sa.exc.ProgrammingError)) and _says_no_table(error):
            return None
        raise
    return None if found is None else str(found)


def _says_no_table(error: sa.exc.DBAPIError) -> bool:
    return "no such table" in str(error.orig) or getattr(error.orig, "sqlstate", "") == "42P01"
