"""System: health, logs, the API documents, and Home, where everything is seen at once."""

from flask import Blueprint

bp = Blueprint("system", __name__)
