"""Settings: OpenCode's configuration, of who runs the server, of the server, and of each project."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("settings", __name__)
