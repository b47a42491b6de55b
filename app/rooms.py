"""The floor plan: every room with its doors, in the order in which they may know each other."""

from __future__ import annotations

import importlib
import importlib.util

from flask import Flask

ROOMS: dict[str, tuple[str, ...]] = {
    "accounts": ("pages", "rootcx"),
    "audit": ("pages", "rootcx"),
    "events": ("pages", "opencode"),
    "secrets": ("pages", "rootcx"),
    "oidc": ("pages", "rootcx"),
    "invites": ("pages", "rootcx"),
    "projects": ("pages", "opencode", "rootcx"),
    "sandboxes": ("e2b",),
    "processes": ("codebuddy", "e2b"),
    "files": ("pages", "opencode", "codebuddy", "e2b"),
    "settings": ("pages", "opencode"),
    "languages": ("pages", "opencode"),
    "terminals": ("pages", "opencode", "codebuddy"),
    "mcp": ("pages", "opencode"),
    "sessions": ("pages", "opencode"),
    "approvals": ("pages", "opencode"),
    "notifications": ("pages",),
    "checkpoints": ("pages", "opencode"),
    "agent": ("pages", "opencode", "roo"),
    "system": ("pages", "opencode", "roo", "codebuddy", "rootcx", "e2b"),
}


def register(app: Flask) -> None:
    """Open every door of every room."""
    for name, doors in ROOMS.items():
        room = importlib.import_module(f"app.{name}")
        for door in doors:
            importlib.import_module(f"app.{name}.{door}")
        app.register_blueprint(room.bp)


def import_models() -> None:
    """Import every room's tables, so that the metadata is whole."""
    for name in ROOMS:
        if importlib.util.find_spec(f"app.{name}.models"):
            importlib.import_module(f"app.{name}.models")
    importlib.import_module("app.record")
