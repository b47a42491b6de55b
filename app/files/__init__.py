"""Files: reading, writing, finding and watching what lies in a workspace."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("files", __name__)
