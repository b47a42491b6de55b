"""Pages of approvals: the inbox, one ask with its exact call, the answer, and asks inside other pages."""

from app.approvals.pages import before, groups, others, places, routes, told, who

__all__ = ["before", "groups", "others", "places", "routes", "told", "who"]
