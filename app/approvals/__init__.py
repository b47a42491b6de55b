"""Approvals: which tool calls may run, who was asked about the others, and what was answered."""

from flask import Blueprint

bp = Blueprint("approvals", __name__)
