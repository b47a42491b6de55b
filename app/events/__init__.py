"""Events: the log that everything is appended to, the hub that fans it out, and the streams of every dialect."""

from flask import Blueprint

bp = Blueprint("events", __name__)
