"""What is told, whatever carries it."""

from __future__ import annotations

from dataclasses import dataclass

from app import config, ids
from app.notifications.things import TEST, Notice

_WORDS = {
    "approval": "Needs you",
    "question": "Asks you",
    "done": "Done",
    "failed": "Failed",
    TEST: "It works",
}


@dataclass(frozen=True)
class Told:
    """A notice as its reader gets it: a headline, what it is about, the page that shows it; at in unix ms."""

    id: str
    occasion: str
    about: str
    headline: str
    title: str
    session: str
    url: str
    at: int

    @classmethod
    def of(cls, notice: Notice) -> Told:
        """The words of a notice, with the address of exactly what waits."""
        if notice.is_ask:
            path = f"/inbox/{notice.about}"
        elif notice.session:
            path = f"/sessions/{notice.session}"
        else:
            path = "/account/notifications"
        return cls(
            notice.id, notice.occasion, notice.about, _WORDS[notice.occasion], notice.title, notice.session,
            config.current().url + path, ids.now(),
        )  # fmt: skip
