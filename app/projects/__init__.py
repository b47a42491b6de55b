"""Projects: the directories agents may work in, from a path, a clone, or the sample that comes with us."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("projects", __name__)
