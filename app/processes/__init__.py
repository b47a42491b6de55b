"""Processes: commands that run in a workspace, and the sandbox that everything agents run goes through."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("processes", __name__)
