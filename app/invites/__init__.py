"""Invites and sign-in links: a link that lets one person in, once, with the roles that who made it could give."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("invites", __name__)
