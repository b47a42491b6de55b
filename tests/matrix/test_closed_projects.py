"""A project that only its people see, before everybody else: nothing in it is there, by whatever door they ask.

Who is asked for as `member` made all of the things and was taken out of the project since; `other` never was in it, and
`admin` holds every key over what is others', but for `*`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from app import dispatch
from app.actor import Actor
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.sessions import service as sessions
from app.terminals import service as terminals
from tests import repository
from tests.matrix.asking import Route, request_of, routes
from tests.matrix.world import World
from tests.patience import PATIENCE

OUTSIDE = ("member", "other", "admin")
# What a path can name that lies in a project.
THINGS = re.compile(
    r"<(?:\w+:)?(session_id|task_id|message_id|part_id|permission_id|question_id|ask_id|checkpoint_id|worktree_id|"
    r"terminal_id|project_id|key)>"
)
NAME = "quarry"
WORDS = ("quarry", "granite vein", "dynamite plan", "limestone.txt")
# What names things of closed projects all the same, and why.
TOLD = {
    "pages /audit": "the record has everything, for who may read it",
    "pages /audit/export": "the same",
    "rootcx /api/v1/audit": "the same",
    "pages /s/<slug>": "shared by who says who sees the project",
    "pages /s/<slug>/stream": "the same",
}
DIALECTS = ("pages", "opencode", "roo", "codebuddy", "rootcx", "e2b")


class Closed(World):
    """People and what is in a project that they are not in."""

    def wake(self, work: str, *given: str) -> None:
        """As in the matrix, but what begins by itself when somebody leaves the project does not begin here."""
        if not work.startswith("sessions.stop"):
            super().wake(work, *given)

    def session(self) -> sessions.Session:
        """A session that whoever sees the project reads."""
        made = sessions.create(self.mia, self.place, title="granite vein", provider="demo", model="demo")
        sessions.send(self.mia, made.id, [{"type": "text", "text": "dynamite plan"}], no_reply=True)
        return made

    def things(self, path: str, dialect: str) -> dict[str, str]:
        """Things for a path: Mia is in the project while she makes them, and is not any more when they are asked for."""
        with self.as_it_was():
            return super().things(path, dialect)

    def _let_in(self, path: str, found: Mapping[str, str]) -> None:
        """Who asks is not let in."""

    @contextlib.contextmanager
    def as_it_was(self) -> Iterator[None]:
        """Mia is in the project meanwhile."""
        projects.put_member(self.alice, self.project(), self.mia.id)
        yield
        projects.remove_member(self.alice, self.project(), self.mia.id)

    @property
    def _makers(self) -> dict[str, Callable[[], str]]:
        return {**super()._makers, "slug": lambda: sessions.share(self.alice, self.session().id).share_slug or ""}

    def server(self) -> str:
        """An MCP server of the project."""
        return self._makers["mcp_id"]()

    def project(self) -> str:
        """The project itself."""
        return self.place.project.id

    def terminal(self) -> str:
        """A terminal in it."""
        for one in terminals.list_all(self.alice):
            terminals.end(self.alice, one.id)
        return terminals.create(self.mia, self.place, command=("cat",), title="granite vein").id


@pytest.fixture
def world(app: Cabin, alice: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Closed:
    made = Closed(app, alice, tmp_path)
    root = repository.make(tmp_path / NAME, files=3)
    (root / "limestone.txt").write_text("limestone.txt\n")
    found = projects.add(alice, str(root))
    projects.set_visibility(alice, found.id, "members")
    made.place = projects.resolve(alice, str(root))
    monkeypatch.setattr(dispatch, "wake", made.wake)
    with made.as_it_was():
        (
            made.session(),
            made.ask("permission"),
            made.ask("question"),
            made.checkpoint(),
            made.worktree(),
            made.terminal(),
        )
        made.secret(granted=True)
        made.secret(f"project:{found.id}")
        made.server()
        made.process()
    return made


def of(app: Cabin, dialect: str) -> list[Route]:
    return [route for route in routes(app) if route.dialect == dialect]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_in_it_is_answered_like_what_never_was(dialect: str, world: Closed) -> None:
    wrong, asked = [], 0
    for route in of(world.app, dialect):
        if not THINGS.search(route.path) or "/secrets/<key>" in route.path:
            continue
        names = world.things(route.path, route.dialect)
        unknown = {name: _unlike(name, value) for name, value in names.items()}
        for principal in OUTSIDE:
            closed, never = (_ask(world, route, principal, given) for given in (names, unknown))
            asked += 1
            if closed != never:
                wrong.append((principal, route.method, route.path, *_difference(closed, never)))
    assert "\n".join(map(str, wrong)) == ""
    assert asked or dialect == "e2b"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_list_count_or_page_has_a_word_of_it(dialect: str, world: Closed) -> None:
    told = []
    for route in of(world.app, dialect):
        if route.method != "GET" or f"{dialect} {route.path}" in TOLD:
            continue
        names = world.things(route.path, route.dialect)
        for principal in OUTSIDE:
            for query in ({}, {"q": "granite"}, {"directory": world.place.project.root}):
                status, said = _ask(world, route, principal, names, query)
                said = said.replace(str(query.get("directory")), "")
                found = [word for word in (*WORDS, *_ids(world)) if word in said]
                if found:
                    told.append((principal, route.path, query, status, found))
    assert "\n".join(map(str, told)) == ""


def test_who_is_in_it_is_told_of_all_that(world: Closed) -> None:
    """The same words are there for its people: the tests above look for what there is."""
    projects.put_member(world.alice, world.place.project.id, world.mia.id)
    said = ""
    for dialect, path in (
        ("pages", "/sessions"),
        ("pages", "/projects"),
        ("pages", "/inbox"),
        ("opencode", "/session"),
    ):
        route = next(one for one in of(world.app, dialect) if one.path == path and one.method == "GET")
        said += _ask(world, route, "member", {}, {"directory": world.place.project.root})[1]
    assert [word for word in WORDS[:2] if word not in said] == []


def _difference(one: tuple[int, str], other: tuple[int, str]) -> tuple[str, str]:
    """The first line in which two answers differ, of both."""
    lines = [f"{status}\n{said}".splitlines() for status, said in (one, other)]
    return next((a, b) for a, b in itertools.zip_longest(*lines, fillvalue="") if a != b)


def _ids(world: Closed) -> Iterator[str]:
    yield world.place.project.id
    yield from (one.id for one in sessions.find_page(world.alice, project=world.place.project.id, limit=500))
    yield from (one.id for one in terminals.list_all(world.alice))


def _unlike(name: str, value: str) -> str:
    """An id of the same form that nobody has; what is no id of a thing in the project stays."""
    return value[:-6] + "zzzzzz" if THINGS.search(f"<{name}>") else value


def _ask(
    world: Closed, route: Route, principal: str, names: Mapping[str, str], query: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """The status and the body, in which every given name stands for itself; streams say their status alone."""
    path = route.path
    for name, value in names.items():
        path = re.sub(rf"<(?:\w+:)?{name}>", value, path)
    client, headers = world.caller(principal, anew=route.endpoint == "accounts.signout")
    if route.dialect == "pages":
        headers["Accept"] = "text/html"
    given = request_of(world, route, names)
    if query:
        given["query_string"] = {**given.get("query_string", {}), **query}
    headers = {"Host": "localhost", **headers, **given.pop("headers", {})}
    prefix = "" if route.dialect == "pages" else f"/{route.dialect}"
    found: list[tuple[int, str]] = []

    def request() -> None:
        answer = client.open(prefix + path, method=route.method, headers=headers, buffered=False, **given)
        is_stream = "event-stream" in answer.content_type or "connect+json" in answer.content_type
        found.append((answer.status_code, "" if is_stream else answer.text))
        answer.close()

    world.is_asked = True
    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    thread.join(PATIENCE if route.endpoint != "system.opencode.control_next" else 0.1)
    world.is_asked = False
    if not found:
        return 0, ""
    status, said = found[0]
    for name, value in names.items():
        said = said.replace(value, f"<{name}>")
    return status, _steady(said)


def _steady(said: str) -> str:
    """Without what differs from answer to answer."""
    said = re.sub(r'nonce="[^"]*"|name="csrf_token" value="[^"]*"|content="[^"]*" name="csrf[^>]*', "", said)
    with contextlib.suppress(ValueError):
        found: Any = json.loads(said)
        if isinstance(found, dict):
            return json.dumps(
                {key: value for key, value in found.items() if key not in ("ref", "requestId", "timestamp")}
            )
    return said
