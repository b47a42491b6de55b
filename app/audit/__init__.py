"""Audit: the record of who did what, chained so that a later change to it shows."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("audit", __name__)
