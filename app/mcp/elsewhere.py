"""What others changed: a server that another process removed, replaced, disabled or signed out of ends in this one too,
and those of a project that was taken off the list end wherever they are.
"""

from __future__ import annotations

from app import db
from app.events import service as events
from app.mcp import rows
from app.mcp.events import ServerChanged
from app.mcp.keys import Keys
from app.mcp.links import Links
from app.mcp.models import server as table
from app.mcp.things import Server
from app.projects.events import ProjectRemoved


class Hearing:
    """Hears of changes, of which this process's own are old news."""

    def __init__(self, links: Links) -> None:
        self._links = links

    def start(self) -> None:
        """Hear from now on."""
        events.listen(ServerChanged, self.heard)
        events.listen(ProjectRemoved, self.left)

    def heard(self, fact: ServerChanged) -> None:
        """End the connections to servers of this name that are not there any more, or not to be connected so."""
        connected = self._links.ids(fact.server)
        if not connected:
            return
        with db.read() as conn:
            alive = {one.id: one for one in rows.select(conn, table.c.id.in_(connected), table.c.enabled)}
        for server_id in connected:
            if server_id not in alive or self._is_signed_out(alive[server_id]):
                self._links.end(server_id)

    def left(self, fact: ProjectRemoved) -> None:
        """End the connections of a project that nobody works in any more; whoever adds it again finds its servers."""
        for server_id in self._links.of_project(fact.project_id):
            self._links.end(server_id)

    def _is_signed_out(self, server: Server) -> bool:
        link = self._links.find(server.id)
        return link is not None and link.is_signed and not Keys.of(server).has_tokens()
