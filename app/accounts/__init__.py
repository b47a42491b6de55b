"""Accounts: who somebody is, how they sign in, and what they may do."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("accounts", __name__)
