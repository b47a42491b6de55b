"""MCP: servers of tools that a project's agents may call, each behind approvals, local ones in the sandbox."""

from flask import Blueprint

bp = Blueprint("mcp", __name__)
