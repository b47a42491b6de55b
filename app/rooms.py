"""The floor plan: every room with its doors, in the order in which they may know each other."""

from __future__ import annotations

import importlib
import importlib.util

from flask import Flask

from app import web

ROOMS: dict[str, tuple[str, ...]] = {
    "accounts": ("pages",),
    "audit": (),
    "events": ("opencode",),
    "secrets": (),
    "projects": ("opencode",),
    "processes": (),
    "files": ("opencode",),
    "sessions": ("opencode",),
    "approvals": ("opencode",),
    "checkpoints": ("opencode",),
    "agent": ("opencode",),
    "system": ("opencode",),
}


def register(app: Flask) -> None:
    """Open every door of every room."""
    for name, doors in ROOMS.items():
        room = importlib.import_module(f"app.{name}")
        for door in doors:
            importlib.import_module(f"app.{name}.{door}")
        if not getattr(room.bp, "_guarded", False):
            room.bp.before_request(web.guard_pages)
            room.bp._guarded = True
        app.register_blueprint(room.bp)


def import_models() -> None:
    """Import every room's tables, so that the metadata is whole."""
    for name in ROOMS:
        if importlib.util.find_spec(f"app.{name}.models"):
            importlib.import_module(f"app.{name}.models")
    importlib.import_module("app.record")
