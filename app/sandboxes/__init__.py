"""Sandboxes: workspaces that a client makes for a while, works in, and lets go; each ends by itself at its time."""

from flask import Blueprint

bp = Blueprint("sandboxes", __name__)
