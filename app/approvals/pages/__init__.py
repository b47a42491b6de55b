"""Pages of approvals: the inbox, one ask with its exact call, the answer, and asks inside other pages."""

from app.approvals.pages import before, places, routes, who

__all__ = ["before", "places", "routes", "who"]
