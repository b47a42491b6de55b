"""Languages: servers that know a language tell what is wrong in a file and where a name is defined."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("languages", __name__)
