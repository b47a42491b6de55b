"""The room's things as other rooms see them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

# What somebody may be told of, and in which words the page says it.
OCCASIONS = {
    "approval": "an approval waits",
    "question": "an agent has a question",
    "done": "a session is done",
    "failed": "a session failed",
}
TEST = "test"
# What was held in quiet hours, told together.
SUMMARY = "summary"


@dataclass(frozen=True)
class Channel:
    """One way to reach its owner. `address` is what may be shown of where it leads; `ended` why it is over, or ""."""

    id: str
    owner: str
    kind: str
    name: str
    address: str
    occasions: list[str]
    created: int
    ended: str

    @property
    def host(self) -> str:
        """Where it leads, without what may be secret of it: a host, or the address of mail."""
        return self.address if self.kind == "mail" else urlsplit(self.address).netloc.rpartition("@")[2]


@dataclass(frozen=True)
class Rules:
    """When somebody is told: only while no page of theirs is in sight; also of others' sessions whose asks they may
    answer; after so many seconds, for the case that it is settled by then.

    With `quiet` nothing is told between two times (minutes after midnight, by the clock of `zone`) that begin on these
    days ("1" Monday to "7" Sunday), but what waits for them where `quiet_lets` it pass.
    """

    away_only: bool = True
    others: bool = False
    delay: int = 15
    quiet: bool = False
    quiet_from: int = 20 * 60
    quiet_to: int = 7 * 60 + 30
    quiet_days: str = "1234567"
    quiet_lets: bool = True
    zone: str = "UTC"


@dataclass(frozen=True)
class Notice:
    """One thing told over one channel, or to be; times in unix ms.

    state: queued, held (until quiet hours end), sending, sent, joined (told in the summary `joined`), failed, dropped;
    `why` says why it failed, was put off or dropped.
    """

    id: str
    owner: str
    channel: str
    occasion: str
    about: str
    session: str
    title: str
    state: str
    tries: int
    due: int
    why: str
    created: int
    settled: int | None
    joined: str = ""

    @property
    def is_ask(self) -> bool:
        """Whether it says that somebody is waited for."""
        return self.occasion in ("approval", "question")
