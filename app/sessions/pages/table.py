"""The table of sessions: what its address asks for, and the word that there are more by now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app import live, slots
from app.actor import Actor
from app.sessions import events, service
from app.sessions.service import Session

TABS = {
    "all": "",
    "needs": "waiting",
    "running": "queued,running",
    "idle": "idle",
    "failed": "failed",
    "archived": "",
}
LONGEST = 200
_MORE = (events.SessionCreated, events.SessionUpdated, events.SessionShown)


@dataclass(frozen=True)
class Wanted:
    """The tab and the filters of a table, as its address has them; "" for one that is not set."""

    tab: str
    q: str
    owner: str
    project: str
    seen: str

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Wanted:
        """Those of an address."""
        values = {name: given.get(name, "").strip()[:LONGEST] for name in cls.__annotations__}
        return cls(**{**values, "tab": values["tab"] if values["tab"] in TABS else "all"})

    def find(self, actor: Actor, **more: Any) -> list[Session]:
        """The sessions that match and that the actor may read, newest first."""
        return service.find_page(
            actor,
            words=self.q,
            state=TABS[self.tab],
            owner=self.owner,
            project=self.project,
            seen=self.seen,
            archived=self.tab == "archived",
            **more,
        )


@slots.fill("stream")
def fill_stream(actor: Actor, watch: Mapping[str, str]) -> dict[str, Any]:
    """The table that the page shows, if it shows the newest part of one."""
    return {"table": _More(actor, Wanted.of(watch))} if "table" in watch else {}


class _More:
    """Tells an open table of each session that matches by now; the page counts those that it does not show.

    Rows that stand there are drawn in their places. A further one would move the others, and with them the buttons
    that answer, from under somebody's finger.
    """

    def __init__(self, actor: Actor, wanted: Wanted) -> None:
        self._actor = actor
        self._wanted = wanted
        self._told: set[str] = set()

    def keeps(self, fact: Any) -> bool:
        """Whether a session may match that did not before, or the other way round."""
        return isinstance(fact.event, _MORE)

    def draw(self, fact: Any) -> list[str]:
        """The session's mark among the further ones; words are sought in titles alone, for this is asked often."""
        if not self.keeps(fact):
            return []
        session_id = fact.event.session_id
        if not self._wanted.find(self._actor, only=session_id, limit=1):
            self._told.discard(session_id)
            return [live.partial(f"#new-{session_id}", "delete")]
        if session_id in self._told and not isinstance(fact.event, events.SessionShown):
            return []
        self._told.add(session_id)
        return [live.partial("#more-sessions", "upsert", f'<i id="new-{session_id}" data-of="row-{session_id}"></i>')]
