"""OIDC: signing in with a provider that vouches for people, and what their claims let them do here."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("oidc", __name__)
