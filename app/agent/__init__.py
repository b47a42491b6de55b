"""The agent room: the engine that queries a model and runs its tools, the providers and the tools."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("agent", __name__)
