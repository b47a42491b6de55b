"""Bringing the database to this version's schema, by Alembic's one line of history."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

_MIGRATIONS = Path(__file__).parent.parent / "migrations"


def upgrade(database_url: str, revision: str = "head") -> None:
    """Run what is missing up to a revision; nothing when the schema is there already."""
    command.upgrade(_settings(database_url), revision)


def is_declared(_thing: object, name: str | None, _kind: str, _reflected: bool, _compare: object) -> bool:
    """Whether autogenerate may speak of it: what full-text search is made of stands by hand in its revision."""
    return not (name or "").startswith("part_words_fts")


def _settings(database_url: str) -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(_MIGRATIONS))
    settings.attributes["url"] = database_url
    return settings


def write_revision(database_url: str, words: str, number: str) -> None:
    """Write a revision that brings the schema to what the tables say; for developers, then read it."""
    command.revision(_settings(database_url), words, autogenerate=True, rev_id=number)
