"""One session that grows turn by turn; the figures about turns share it."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass, field

from bench.figure import Deadline, Failed
from bench.targets import Target

FIRST_TURN = 60.0
PROMPT = "[[say This is a short answer of a dozen words, said at once.]]"


@dataclass
class Conversation:
    """A session of a target: its id once begun, and how many turns it has."""

    target: Target
    session_id: str = ""
    turns: int = 0
    kept: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.kept = self.target.connect(FIRST_TURN)

    def take(self, count: int, deadline: Deadline) -> list[float]:
        """Take so many turns, fewer when time is up; gives the seconds from POST to the answer of each."""
        self.kept.close()  # a server may have hung up on an idle one; the next request opens it anew
        if not self.session_id:
            self.session_id = str(self.target.call(self.kept, "POST", "/session", {})["id"])
        seconds: list[float] = []
        while len(seconds) < count and not deadline.passed:
            seconds.append(self._turn())
        return seconds

    def fill(self, count: int, deadline: Deadline) -> int:
        """Add prompts that ask for no answer until there are so many messages; gives how many there are."""
        self.kept.close()
        there = len(self.target.call(self.kept, "GET", f"/session/{self.session_id}/message"))
        while there < count and not deadline.passed:
            self.target.call(self.kept, "POST", f"/session/{self.session_id}/message", self._prompt(noReply=True))
            there += 1
        return there

    def _turn(self) -> float:
        began = time.perf_counter()
        answer = self.target.call(self.kept, "POST", f"/session/{self.session_id}/message", self._prompt())
        spent = time.perf_counter() - began
        info = (answer or {}).get("info", {})
        if info.get("role") != "assistant" or info.get("error"):
            raise Failed(f"a turn went wrong: {str(info.get('error') or answer)[:200]}")
        self.turns += 1
        return spent

    def _prompt(self, **more: object) -> dict[str, object]:
        body: dict[str, object] = {"parts": [{"type": "text", "text": PROMPT}], **more}
        if self.target.model:
            body["model"] = {"providerID": self.target.model[0], "modelID": self.target.model[1]}
        return body
