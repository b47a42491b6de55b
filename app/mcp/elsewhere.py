"""What another process changed: a server that was removed, replaced or disabled there ends in this one too."""

from __future__ import annotations

from app import db
from app.events import service as events
from app.mcp import rows
from app.mcp.events import ServerChanged
from app.mcp.links import Links
from app.mcp.models import server as table


class Hearing:
    """Hears of changes, of which this process's own are old news."""

    def __init__(self, links: Links) -> None:
        self._links = links

    def start(self) -> None:
        """Hear from now on."""
        events.listen(ServerChanged, self.heard)

    def heard(self, fact: ServerChanged) -> None:
        """End the connections to servers of this name that are not there any more, or not to be connected."""
        connected = self._links.ids(fact.server)
        if not connected:
            return
        with db.read() as conn:
            alive = {one.id for one in rows.select(conn, table.c.id.in_(connected), table.c.enabled)}
        for server_id in connected:
            if server_id not in alive:
                self._links.end(server_id)
