"""Streams and sockets last no longer than what they were opened with (THREATS 1.8 and 2.4)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from app import carrier, sockets
from app.accounts import clients, lasting, people, service
from app.actor import Actor, Credentials
from app.db import transaction
from tests.accounts.conftest import Clock
from tests.patience import PATIENCE
from tests.visitor import until

HERE = "127.0.0.1"
FAR: list[socket.socket] = []  # the clients' ends


@pytest.fixture
def carried(alice: Actor) -> Iterator[carrier.Carrier]:
    """The thread that owns open connections."""
    carrier.start()
    running = carrier.running()
    assert running is not None
    yield running
    carrier.stop()
    while FAR:
        FAR.pop().close()


class Held:
    """A stream that somebody holds open, as its client sees it."""

    def __init__(self, carried: carrier.Carrier, holder: Actor | None) -> None:
        self._far, near = socket.socketpair()
        self._far.settimeout(PATIENCE)
        FAR.append(self._far)
        self.outlet = carried.adopt(near, lambda: None, holder=holder)
        self.outlet.send(b"first")
        assert self._far.recv(100) == b"first"
        until(lambda: self.outlet in carried.outlets())

    def is_open(self) -> bool:
        """Whether it goes on: what is said now arrives."""
        self.outlet.send(b"more")
        return self._far.recv(100) == b"more"


def known(**credentials: str) -> Actor:
    found = service.authenticate(Credentials(**credentials), address=HERE)
    assert found is not None
    return found


def logged_in(actor: Actor) -> clients.Tokens:
    with transaction() as conn:
        return clients.open_client(conn, people.get(conn, actor.user), HERE)


def signed_in(actor: Actor) -> str:
    return service.redeem(service.sign_in_code(actor, actor.user), HERE)[1]


def test_a_stream_ends_with_its_access_token_and_the_client_comes_back_with_a_fresh_one(
    carried: carrier.Carrier, alice: Actor, clock: Clock
) -> None:
    tokens = logged_in(alice)
    held = Held(carried, known(bearer=tokens.access))
    clock.pass_by(minutes=14)
    fresh = service.refresh(tokens.refresh, HERE)
    lasting.let_go()
    assert held.is_open()
    clock.pass_by(minutes=1)
    newer = Held(carried, known(bearer=fresh.access))
    lasting.let_go()
    assert not held.is_open()
    assert newer.is_open()


def test_it_ends_with_an_api_token_of_a_date(carried: carrier.Carrier, bob: Actor, clock: Clock) -> None:
    short, long = (
        known(bearer=service.mint_token(bob, name, ("*",), clock() + minutes * 60_000)[1])
        for name, minutes in [("short", 5), ("long", 50)]
    )
    first, second = Held(carried, short), Held(carried, long)
    clock.pass_by(minutes=5)
    lasting.let_go()
    assert (first.is_open(), second.is_open()) == (False, True)


def test_it_ends_with_a_browser_that_nobody_was_at(
    carried: carrier.Carrier, alice: Actor, bob: Actor, clock: Clock
) -> None:
    sid = signed_in(alice)
    held = Held(carried, known(cookie=sid))
    clock.pass_by(hours=11)
    lasting.let_go()
    assert held.is_open()
    known(cookie=sid)
    until(lambda: service.list_devices(alice)[0].seen == clock())
    clock.pass_by(hours=11)
    lasting.let_go()
    assert held.is_open()
    clock.pass_by(hours=1)
    lasting.let_go()
    assert not held.is_open()


@pytest.mark.parametrize("how", ["user", "token", "device"])
def test_what_was_ended_elsewhere_is_found_here_though_nobody_told(
    carried: carrier.Carrier, alice: Actor, bob: Actor, how: str
) -> None:
    secret = service.mint_token(bob, "laptop")[1]
    sid = signed_in(alice)
    holder = known(cookie=sid) if how == "device" else known(bearer=secret)
    held = Held(carried, holder)
    lasting.let_go()
    assert held.is_open()
    if how == "user":
        service.revoke_user(alice, bob.id)
    elif how == "token":
        service.revoke_token(bob, holder.token or "")
    else:
        service.sign_out(alice, sid)
    lasting.let_go()
    assert not held.is_open()


def test_a_websocket_is_told_why(carried: carrier.Carrier, alice: Actor, clock: Clock) -> None:
    class Quiet:
        def begin(self, speaker: sockets.Speaker) -> None:
            speaker.say("hello")

        def heard(self, message: str | bytes) -> None:
            raise AssertionError(message)

        def tick(self) -> None:
            """Nothing."""

        def ended(self) -> None:
            """Nothing."""

    far, near = socket.socketpair()
    far.settimeout(PATIENCE)
    made = sockets.begin(carried, near, Quiet(), holder=known(bearer=logged_in(alice).access))
    assert far.recv(100).endswith(b"hello")
    until(lambda: made in carried.outlets())
    clock.pass_by(minutes=15)
    lasting.let_go()
    frame = far.recv(100)
    assert struct.unpack("!H", frame[2:4]) == (sockets.POLICY,)
    assert frame[4:] == b"Signed in no more"
    far.close()


def test_strangers_and_visitors_hold_what_they_hold(carried: carrier.Carrier, clock: Clock) -> None:
    visitor = Actor("visitor", "visitor", "", "", (), session="ses_1")
    held = [Held(carried, None), Held(carried, visitor)]
    clock.pass_by(hours=10_000)
    lasting.let_go()
    assert all(one.is_open() for one in held)


def test_the_owners_fixed_token_has_no_row_and_lasts(alice: Actor) -> None:
    fixed = Actor("admin_token", "token", alice.id, "ADMIN_TOKEN", ("*",), token="admin_token")
    assert service.ended([fixed]) == set()
