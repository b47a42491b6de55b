"""What is spoken on a terminal's WebSocket, from behind it: who may type until when, and what waits for whom."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from app import sockets
from app.accounts import service as accounts
from app.actor import Actor
from app.projects.service import Place
from app.terminals import service, talk
from app.terminals.service import Terminal
from app.terminals.talk import Talk
from tests.conftest import member
from tests.terminals.conftest import PATIENCE, shows, text_of
from tests.visitor import until


class Client:
    """The far end of a talk; `is_stuck` takes nothing that is said."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.goodbye: tuple[int, str] | None = None
        self.is_stuck = False
        self.untaken: list[Callable[[], None]] = []
        self.news = threading.Condition()

    def say(self, message: str | bytes, then: sockets.Then = None) -> None:
        raise AssertionError((message, then))

    def say_text(self, message: bytes, then: sockets.Then = None) -> None:
        with self.news:
            self.said.append(json.loads(message))
            self.news.notify_all()
        if then is not None and self.is_stuck:
            self.untaken.append(then)
        elif then is not None:
            then()

    def bye(self, code: int, reason: str = "") -> None:
        with self.news:
            self.goodbye = self.goodbye or (code, reason)
            self.news.notify_all()

    def until(self, enough: Callable[[], Any]) -> None:
        """Wait for what is said."""
        with self.news:
            assert self.news.wait_for(enough, PATIENCE), (self.said[-3:], self.goodbye)

    @property
    def text(self) -> str:
        return "".join(one["data"] for one in self.said if one["type"] == "output")


def begun(actor: Actor, terminal: Terminal, *, is_page: bool = False) -> tuple[Talk, Client]:
    spoken, client = Talk(actor, terminal.id, is_page=is_page), Client()
    spoken.begin(client)
    return spoken, client


def types(spoken: Talk, text: str) -> None:
    spoken.heard(orjson.dumps({"type": "input", "data": text}))


def test_who_is_revoked_hears_and_types_no_more(terminal: Terminal, alice: Actor) -> None:
    mallory = member(alice, "Mallory", "admin")
    spoken, client = begun(mallory, terminal)
    types(spoken, "before\n")
    client.until(lambda: "before" in client.text)
    accounts.revoke_user(alice, mallory.user)
    client.until(lambda: client.goodbye is not None)
    spoken.ended()
    types(spoken, "after\n")
    spoken.heard(b'{"type":"resize","cols":11,"rows":11}')
    service.write(alice, terminal.id, "last\n")
    shows(terminal, "last")
    assert b"after" not in text_of(terminal)
    assert terminal.size.cols == 80
    assert terminal.seats.viewers == []


def test_who_may_only_watch_types_in_vain(terminal: Terminal, alice: Actor, bob: Actor) -> None:
    spoken, client = begun(bob, terminal, is_page=True)
    types(spoken, "mine\n")
    spoken.heard(b'{"type":"take"}')
    service.write(alice, terminal.id, "hers\n")
    client.until(lambda: "hers" in client.text)
    assert b"mine" not in text_of(terminal)
    assert client.said[1]["mayWrite"] is False
    spoken.ended()


def test_what_nobody_reads_waits_and_then_ends_the_connection(
    place: Place, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = service.create(alice, place, command=["/bin/sh", "-c", "stty raw -echo; echo ready; exec sleep 1000"])
    shows(made, "ready")
    monkeypatch.setattr(talk, "TYPE_WAIT", 0.1)
    spoken, client = begun(alice, made)
    for _ in range(8):
        types(spoken, "x" * 100_000)
    client.until(lambda: client.goodbye is not None)
    assert client.goodbye == (sockets.TRY_AGAIN, "What runs here does not read its input")
    spoken.ended()


def test_a_long_paste_comes_whole(place: Place, alice: Actor) -> None:
    script = "stty raw -echo; echo ready; head -c 3000000 | md5sum; echo do''ne"
    made = service.create(alice, place, command=["/bin/sh", "-c", script])
    shows(made, "ready")
    spoken, client = begun(alice, made)
    for _ in range(6):
        types(spoken, "y" * 500_000)
    client.until(lambda: "done" in client.text)
    assert hashlib.md5(b"y" * 3_000_000, usedforsecurity=False).hexdigest() in client.text
    spoken.ended()


def test_a_client_that_takes_nothing_is_given_little(place: Place, alice: Actor) -> None:
    made = service.create(alice, place, command=["/bin/sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' z; exec cat"])
    spoken, client = begun(alice, made)
    client.is_stuck = True
    until(lambda: made.live.ring.start > 1_000_000)
    assert len(client.text) <= talk.WINDOW + 128 * 1024
    client.is_stuck = False
    for then in client.untaken:
        then()
    client.until(lambda: "bytes dropped]" in client.text)
    spoken.ended()
