"""Re-enacts recordings of the real servers against ours and tells in what ours differs.

A recording is lines of requests with their answers, and of frames of the stream, by time. Requests are sent again, with
the ids and directories of ours, once the frames that came before them have come here too. Frames must come in the same
order: the first of each message and part, and what moves the session on. What else is said of one thing must come in the
order of that thing. Answers and frames must have every field that the recorded ones have, with the same type.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.dialects.opencode import tokens
from tests.dialects.opencode.tokens import Token
from tests.running import Running
from tests.sse import Follower

HERE = Path(__file__).parent / "recordings"
PROJECT, ASKING = "/workspace/proj", "/workspace/ask"
ID = re.compile(r"\b(?:ses|msg|prt|per|que|pty)_[A-Za-z0-9]+\b")
PATIENCE = 15.0
LATE = 3.0  # what is not waited for during a recording has come by its end
ROUNDED = 0.002
ASKED = {"permission.updated", "permission.asked", "question.asked"}
MODELS = {'"fake"': '"openai"', '"fake-1"': '"scripted"'}
Line = dict[str, Any]


@cache
def names(generation: str) -> list[str]:
    """The recordings of a generation, in the order in which they were made."""
    found = [path.stem for path in (HERE / generation).glob("*.jsonl")]
    return sorted(found, key=lambda name: float(lines(generation, name)[0]["at"]))


@cache
def lines(generation: str, name: str) -> list[Line]:
    """The lines of a recording."""
    return [json.loads(line) for line in (HERE / generation / f"{name}.jsonl").read_text().splitlines()]


def missing(recorded: Any, ours: Any, path: str = "") -> Iterator[str]:
    """The paths of what ours lacks, or has with another type; lists are compared by their first things."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        for name, value in recorded.items():
            if name in ours:
                yield from missing(value, ours[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}"
    elif isinstance(recorded, list) and isinstance(ours, list):
        if recorded and ours:
            yield from missing(recorded[0], ours[0], f"{path}[]")
        elif recorded:
            yield f"{path}[]"
    elif _kind(recorded) != _kind(ours):
        yield f"{path} is {_kind(ours)}, not {_kind(recorded)}"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    kinds = {dict: "object", list: "array", str: "string", int: "number", float: "number", type(None): "null"}
    return kinds[type(value)]


def route(path: str) -> str:
    """A path without what it names."""
    bare = path.split("?", maxsplit=1)[0]
    return re.sub(r"/(?:ses|msg|prt|per|que|pty)_\w+", "/{id}", bare)


@dataclass(frozen=True)
class Sent:
    """A request on its way; `answered` is [status, answer] once it came."""

    line: Line
    thread: threading.Thread
    answered: list[Any]


@dataclass
class Play:
    """One recording while it is re-enacted; `at` is the place in our stream, `start` where it began."""

    name: str
    recorded: list[Line]
    start: int
    at: int
    differences: list[str] = field(default_factory=list)
    is_deaf: bool = False
    is_off: bool = False
    is_begun: bool = False
    is_over: bool = False
    sent: list[Sent] = field(default_factory=list)
    seen: set[Any] = field(default_factory=set)
    before: frozenset[str] = frozenset()
    lanes: dict[str, list[Token]] = field(default_factory=dict)


class Stage:
    """A running server with what follows its stream; plays the recordings of one generation in order, each once.

    `acts` are done in the project before the n-th line of a recording: what its recorder did by hand. What is `known` to
    differ (by recording and difference) is not waited for.
    """

    def __init__(
        self,
        generation: str,
        running: Running,
        workspace: Path,
        acts: dict[tuple[str, int], Callable[[Path], None]],
        known: Callable[[str, str], bool],
    ) -> None:
        self.generation = generation
        self._running = running
        self._workspace = workspace
        self._acts = acts
        self._known = known
        self._follower = Follower(running, "/opencode/event" if generation == "old" else "/opencode/global/event")
        self._ids: dict[str, str] = {}
        self._taken: dict[str, str] = {}
        self._outcomes: dict[str, list[str]] = {}

    def close(self) -> None:
        """Hang up."""
        self._follower.close()

    def differences(self, name: str) -> list[str]:
        """In what ours differs from a recording; the ones before it are played first."""
        for earlier in names(self.generation):
            if earlier not in self._outcomes:
                self._outcomes[earlier] = self._play(earlier)
            if earlier == name:
                break
        return self._outcomes[name]

    def _play(self, name: str) -> list[str]:
        recorded = lines(self.generation, name)
        here = len(self._follower.frames)
        play = Play(name, recorded, here, here, before=frozenset(self._ids))
        for session_id in _unmade(recorded):
            if session_id not in self._ids:
                self._begin(session_id, recorded)
        for place, line in enumerate(recorded):
            self._take_in(play, line["at"])
            if act := self._acts.get((name, place)):
                act(self._workspace / "proj")
            if "frame" in line:
                self._expect(play, line["frame"])
            else:
                if line["path"].partition("?")[0].endswith("/abort"):
                    self._await_all(play)
                play.sent.append(self._send(line))
                play.is_begun = True
        self._take_in(play, float("inf"))
        self._check_lanes(play)
        return sorted(set(play.differences))

    def _begin(self, session_id: str, recorded: list[Line]) -> None:
        """Make a session as the recorder did: in the directory where calls are asked about, or free to do anything."""
        asks = any(f"directory={ASKING}" in line.get("path", "") for line in recorded)
        rules = [] if asks else [{"permission": "*", "pattern": "*", "action": "allow"}]
        where = {"x-opencode-directory": self._ours(ASKING if asks else PROJECT)}
        status, made = self._running.call("POST", "/opencode/session", {"permission": rules}, **where)
        assert status == 200, made
        self._bind(session_id, made["id"])

    def _send(self, line: Line) -> Sent:
        path = self._ours(line["path"])
        body = json.loads(self._ours(json.dumps(line["body"]))) if "body" in line else None
        where = {} if "directory=" in path else {"x-opencode-directory": self._ours(PROJECT)}
        answered: list[Any] = []

        def call() -> None:
            answered.extend(self._running.call(line["method"], f"/opencode{path}", body, **where))

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        return Sent(line, thread, answered)

    def _ours(self, text: str) -> str:
        """A text of the recording with the ids, directories and models of ours."""
        text = ID.sub(lambda found: self._ids.get(found[0], found[0]), text)
        for name, model in MODELS.items():
            text = text.replace(name, model)
        return text.replace("/workspace/", f"{self._workspace}/")

    def _bind(self, recorded: str, ours: str) -> None:
        self._ids[recorded] = ours
        self._taken[ours] = recorded

    def _take_in(self, play: Play, now: float) -> None:
        """Check the answers that had come by this time of the recording."""
        for one in [one for one in play.sent if one.line["end"] <= now + ROUNDED]:
            silent = f"{_where(one.line)}: no answer for {one.line['status']}"
            one.thread.join(LATE if self._known(play.name, silent) else PATIENCE)
            play.sent.remove(one)
            self._check_answer(play, one)

    def _check_answer(self, play: Play, sent: Sent) -> None:
        line = sent.line
        where = _where(line)
        status, answer = sent.answered or ("no answer", None)
        if status != line["status"]:
            play.differences.append(f"{where}: {status} for {line['status']}")
            play.is_off = play.is_off or line["status"] < 300
            play.is_deaf = play.is_deaf or play.is_off
        elif line["type"] == "application/json":
            play.differences += [f"{where}: {path}" for path in self._missing(line["answer"], answer)]
            if (
                isinstance(line["answer"], dict)
                and isinstance(answer, dict)
                and ID.fullmatch(str(line["answer"].get("id")))
                and "id" in answer
            ):
                self._bind(line["answer"]["id"], answer["id"])

    def _expect(self, play: Play, frame: dict[str, Any]) -> None:
        """A recorded frame: wait for it here if its place counts, and remember it for the thing it is about."""
        token = tokens.token(frame)
        if token is None or play.is_deaf or token.key in play.seen:
            return
        if token.lane in play.before or (frame["type"].startswith("message.") and not play.is_begun):
            return  # the recording before still echoes
        is_first = token.lane in token.ids and token.lane not in play.lanes
        is_awaited = not play.is_over and not self._known(play.name, f"{token.name}: did not come")
        is_placed = (token.is_placed or is_first) and is_awaited
        play.seen.add(token.key)
        play.lanes.setdefault(token.lane, []).append(token)
        # What was stopped or failed ends in another order here: its parts end before the session says so.
        play.is_over = play.is_over or token.said[0] == "session.error"
        found = True
        if is_placed:
            found = (place := self._find(token, play.at, play)) is not None
            play.at = place if place is not None else play.at
        elif token.said[0] in ASKED and is_awaited:
            found = self._find(token, play.start, play) is not None
        if not found:
            play.lanes[token.lane].pop()
            play.is_deaf = True
            if not any(_is_off(one) for one in play.sent):
                play.differences.append(f"{token.name}: did not come")

    def _await_all(self, play: Play) -> None:
        """Wait until all that was said before is said here too: what comes next would stop it."""
        for token in [] if play.is_deaf else [one for lane in play.lanes.values() for one in lane]:
            if not self._known(play.name, f"{token.name}: did not come"):
                self._find(token, play.start, play)

    def _find(self, token: Token, place: int, play: Play | None = None, patience: float = LATE) -> int | None:
        """Behind which place in our stream the same is said; None if it does not come.

        In a play it may take its time, but not once a request was answered in another way than recorded.
        """
        deadline = time.monotonic() + (PATIENCE if play else patience)
        while True:
            frames = self._follower.frames
            while place < len(frames):
                mine = tokens.token(_payload(frames[place].data))
                place += 1
                if mine is not None and self._is_same(token, mine):
                    return place
            if time.monotonic() > deadline or (play and any(_is_off(one) for one in play.sent)):
                return None
            with contextlib.suppress(AssertionError):
                self._follower.until(lambda found, seen=place: len(found) > seen, 0.25)

    def _is_same(self, theirs: Token, mine: Token) -> bool:
        """Whether two frames say the same of the same things; new things are the same from now on."""
        if theirs.said != mine.said or len(theirs.ids) != len(mine.ids):
            return False
        if any(mine.values.get(name) != value for name, value in theirs.values.items()):
            return False
        pairs = list(zip(theirs.ids, mine.ids, strict=True))
        if any(self._ids.get(one, other) != other or self._taken.get(other, one) != one for one, other in pairs):
            return False
        for one, other in pairs:
            self._bind(one, other)
        return True

    def _check_lanes(self, play: Play) -> None:
        """What is said of each thing must come in its order, whole."""
        for expected in play.lanes.values():
            place = play.start
            for token in expected:
                absent = f"{token.name}: did not come"
                is_known = self._known(play.name, absent)
                # What a request would have brought that was refused is no difference of its own.
                found = self._find(token, place, patience=0 if is_known or play.is_off else LATE)
                if found is None:
                    play.differences += [absent] if is_known or not play.is_off else []
                    continue
                place = self._check_frame(play, token, found)

    def _check_frame(self, play: Play, token: Token, place: int) -> int:
        """Compare a frame with ours before this place, or with the first later one that says all of it; its place.

        What is known to differ is not looked for: what came before may still echo here, and must not stand for it.
        """
        lacks = self._lacks(token, place)
        later: int | None = place
        while self._unknown(play, token, lacks) and later is not None:
            later = self._find(token, later, patience=0)
            if later is not None and not self._unknown(play, token, others := self._lacks(token, later)):
                place, lacks = later, others
        play.differences += [f"{token.name}: {path}" for path in lacks]
        if token.said[0] == "a part grows":
            theirs = [tokens.piece(line["frame"], token.ids[-1]) for line in play.recorded if "frame" in line]
            ours = [tokens.piece(_payload(one.data), self._ids[token.ids[-1]]) for one in self._follower.frames]
            if not _agree("".join(theirs), "".join(ours)):
                play.differences.append(f"{token.name}: into something else")
        return place

    def _unknown(self, play: Play, token: Token, lacks: list[str]) -> list[str]:
        return [path for path in lacks if not self._known(play.name, f"{token.name}: {path}")]

    def _lacks(self, token: Token, place: int) -> list[str]:
        mine = _payload(self._follower.frames[place - 1].data)
        return list(self._missing(token.frame["properties"], mine["properties"]))

    def _missing(self, recorded: Any, ours: Any) -> Iterator[str]:
        return missing(json.loads(self._ours(json.dumps(recorded))), ours)


def _where(line: Line) -> str:
    return f"{line['method']} {route(line['path'])}"


def _is_off(sent: Sent) -> bool:
    """Whether a request that went well when recorded did not."""
    return sent.line["status"] < 300 and bool(sent.answered) and sent.answered[0] != sent.line["status"]


def _agree(theirs: str, ours: str) -> bool:
    """Whether two texts are the same, as far as both go: one of them may have been stopped."""
    return bool(ours) and (theirs.startswith(ours) or ours.startswith(theirs))


def _payload(data: dict[str, Any]) -> dict[str, Any]:
    payload: dict[str, Any] = data.get("payload", data)
    return payload


def _unmade(recorded: list[Line]) -> list[str]:
    """The sessions that a recording leans on and that none of its requests begins."""
    made = {line["answer"]["id"] for line in recorded if _begins(line)}
    named = [found for line in recorded for found in re.findall(r"/session/(ses_\w+)", line.get("path", ""))]
    return [one for one in dict.fromkeys(named) if one not in made and "doesnotexist" not in one]


def _begins(line: Line) -> bool:
    if line.get("method") != "POST" or line["status"] != 200:
        return False
    return line["path"] == "/session" or line["path"].endswith("/fork")
