"""Secrets: the vault that keeps provider keys and the values that are granted to runs."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("secrets", __name__)
