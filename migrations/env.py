"""Alembic's environment: one line of history for SQLite and PostgreSQL."""

from __future__ import annotations

from alembic import context

from app import db, migrate, rooms

rooms.import_models()


def render(kind: str, thing: object, context: object) -> str | bool:
    """Name our own column types instead of spelling them out."""
    named = {id(db.Json): "Json", id(db.BigSerial): "BigSerial"}.get(id(thing))
    if kind != "type" or named is None:
        return False
    context.imports.add(f"from app.db import {named}")  # type: ignore[attr-defined]
    return named


database = db.Database(context.config.attributes["url"])

with database.engine.begin() as connection:
    context.configure(
        connection=connection, target_metadata=db.metadata, render_item=render, include_object=migrate.is_declared
    )
    context.run_migrations()
database.close()
