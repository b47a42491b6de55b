"""Checkpoints: what a workspace held before and after each changing step, and the way back."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("checkpoints", __name__)
