"""Notifications: telling people who are elsewhere what waits for them or has ended, by push, mail or webhook."""

from flask import Blueprint

bp = Blueprint("notifications", __name__)
