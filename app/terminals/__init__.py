"""Terminals: shells in a project or worktree that live on without a browser, with one who writes and many who watch."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("terminals", __name__)
