"""Sessions: conversations with their transcripts, the runs that advance them, and their todo lists."""

from flask import Blueprint

bp = Blueprint("sessions", __name__)
