"""A WebSocket ends with the rights that it was opened by (THREATS 2.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from app import db, ids, sockets
from app.accounts import models
from app.accounts import service as accounts
from app.actor import Actor, Credentials
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.terminals import service as terminals
from app.terminals import talk
from app.terminals.talk import Talk
from tests import repository
from tests.accounts.test_streams_end import Window
from tests.running import Running
from tests.terminals.conftest import Line, socket_of
from tests.terminals.test_talk import Client
from tests.test_server_access import mint
from tests.visitor import Browser, until

PASSWORD = "tractor-lamp-9"
AUTH = "/api/v1/auth"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a terminal of its owner."""
    base = tmp_path_factory.mktemp("rights").resolve()
    with Running(base / "data", repository.make(base / "shop", files=3)) as started:
        yield started


@pytest.fixture
def terminal(running: Running) -> Iterator[str]:
    """A terminal of the owner's, which goes on."""
    _, made = running.call("POST", "/api/v1/pty", {})
    yield made["data"]["sessionId"]
    running.call("DELETE", f"/api/v1/pty/{made['data']['sessionId']}")


def join(running: Running) -> tuple[str, dict[str, str]]:
    """Somebody new of the team: their id and their bearer."""
    email = f"{ids.random('bob')}@example.com"
    body = {"email": email, "password": PASSWORD}
    status, made = running.call("POST", f"{AUTH}/register", body)
    assert status == 201, made
    held = {"userId": made["user"]["id"], "role": "member"}
    assert running.call("POST", "/api/v1/roles/assign", held)[0] == 200
    given = running.call("POST", f"{AUTH}/login", body, Authorization="")[1]
    return made["user"]["id"], {"Authorization": f"Bearer {given['accessToken']}"}


def remove(running: Running, user: str) -> None:
    assert running.call("DELETE", f"/api/v1/users/{user}")[0] == 200


def take_role(running: Running, user: str) -> None:
    assert running.call("POST", "/api/v1/roles/revoke", {"userId": user, "role": "member"})[0] == 200


@pytest.mark.parametrize("end", [remove, take_role])
def test_whoever_is_removed_or_loses_the_role_watches_no_longer(
    running: Running, terminal: str, end: Callable[[Running, str], None]
) -> None:
    user, bearer = join(running)
    with Line(running, socket_of(terminal), bearer) as line, Line(running, socket_of(terminal)) as own:
        line.until("$")
        own.until("$")
        end(running, user)
        line.closed()
        own.type("echo go''es on\n")
        own.until("goes on")
        assert "goes on" not in line.text


def test_a_revoked_token_watches_no_longer(running: Running, terminal: str) -> None:
    name = ids.random("laptop")
    secret = mint(running, name, "terminals:*", "projects:read", "sessions:read", "tokens:*")
    with Line(running, socket_of(terminal), {"Authorization": f"Bearer {secret}"}) as line:
        line.until("$")
        owner = Window.__new__(Window)
        owner.running = running
        status, headers = owner._send("/signin", {"code": running.sign_in_code()}, {})
        assert status == 303
        owner._keep(headers)
        listed = owner.devices()
        row = next(row for row in listed.split("<li") if name in row)
        path = row.split('action="', 1)[1].split('"', 1)[0]
        assert owner.post(path) == 303
        line.closed()


class TestWhatNobodyTellsOf:
    """A token and a sign-in come to their end by the clock alone; it is looked for twice a minute."""

    @pytest.fixture
    def spoken(self, app: Cabin, alice: Actor, bob: Actor) -> Iterator[Callable[[Actor], tuple[Talk, Client]]]:
        """Somebody at a terminal of Alice's."""
        terminal = terminals.create(alice, projects.resolve(alice, None), command=("cat",))

        def sit_down(actor: Actor) -> tuple[Talk, Client]:
            begun, client = Talk(actor, terminal.id), Client()
            begun.begin(client)
            return begun, client

        yield sit_down
        terminals.end(alice, terminal.id)

    @staticmethod
    def half_a_minute(begun: Talk) -> None:
        for _ in range(talk.LOOK_EVERY):
            begun.tick()

    @staticmethod
    def judged(begun: Talk) -> None:
        """Return once it has been looked at, twice in the same pool, in order."""
        before = begun.actor
        TestWhatNobodyTellsOf.half_a_minute(begun)
        until(lambda: begun.actor is not before)

    def test_a_token_that_runs_out_ends_its_connection(
        self, app: Cabin, bob: Actor, spoken: Callable[[Actor], tuple[Talk, Client]]
    ) -> None:
        token, secret = accounts.mint_token(bob, "laptop")
        actor = accounts.authenticate(Credentials(bearer=secret))
        assert actor is not None
        begun, client = spoken(actor)
        self.judged(begun)
        assert client.goodbye is None
        with db.transaction() as conn:
            conn.execute(models.token.update().where(models.token.c.id == token.id).values(expires=ids.now() - 1))
        self.half_a_minute(begun)
        client.until(lambda: client.goodbye)
        assert client.goodbye == (sockets.POLICY, "Sign in again")

    def test_a_sign_in_that_runs_out_ends_its_connection(
        self, app: Cabin, bob: Actor, spoken: Callable[[Actor], tuple[Talk, Client]]
    ) -> None:
        cookie = Browser(app, bob).client.get_cookie("sid")
        assert cookie is not None
        actor = accounts.authenticate(Credentials(cookie=cookie.value))
        assert actor is not None
        begun, client = spoken(actor)
        self.judged(begun)
        assert client.goodbye is None
        with db.transaction() as conn:
            conn.execute(models.browser_session.update().values(expires=ids.now() - 1))
        self.half_a_minute(begun)
        client.until(lambda: client.goodbye)

    def test_rights_that_were_taken_without_a_word_are_missed_as_well(
        self, app: Cabin, bob: Actor, spoken: Callable[[Actor], tuple[Talk, Client]]
    ) -> None:
        cookie = Browser(app, bob).client.get_cookie("sid")
        assert cookie is not None
        actor = accounts.authenticate(Credentials(cookie=cookie.value))
        assert actor is not None
        begun, client = spoken(actor)
        with db.transaction() as conn:
            conn.exec_driver_sql("DELETE FROM role_assignment WHERE user_id = ?", (bob.id,))
        self.half_a_minute(begun)
        client.until(lambda: client.goodbye)
