"""What is told, whatever carries it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app import config, ids
from app.notifications.things import SUMMARY, TEST, Notice

_WORDS = {
    "approval": "Needs you",
    "question": "Asks you",
    "done": "Done",
    "failed": "Failed",
    SUMMARY: "While it was quiet",
    TEST: "It works",
}


@dataclass(frozen=True)
class Told:
    """A notice as its reader gets it: a headline, what it is about, the page that shows it; at in unix ms.

    `items` are what a summary is of.
    """

    id: str
    occasion: str
    about: str
    headline: str
    title: str
    session: str
    url: str
    at: int
    items: tuple[Told, ...] = ()

    @classmethod
    def of(cls, notice: Notice, joined: Sequence[Notice] = ()) -> Told:
        """The words of a notice, with the address of exactly what waits; of a summary also those that it is of."""
        if notice.occasion == SUMMARY:
            path = f"/{notice.about.partition(':')[0]}"
        elif notice.is_ask:
            path = f"/inbox/{notice.about}"
        elif notice.session:
            path = f"/sessions/{notice.session}"
        else:
            path = "/account/notifications"
        return cls(
            notice.id, notice.occasion, notice.about, _WORDS[notice.occasion], notice.title, notice.session,
            config.current().url + path, ids.now(), tuple(cls.of(one) for one in joined),
        )  # fmt: skip
