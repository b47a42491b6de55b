"""The authorization matrix: what every route answers to everybody, compared with the table beside this file.

The things in the paths are real, and a member's own: private where things of their kind can be. Each request is one
that comes to its deed if it is let through. `make matrix` writes the table anew; read what it changed before you commit
it: the rules below keep it honest, and the table shows what they do not say.
"""

from __future__ import annotations

import os
import re
from io import BytesIO
from pathlib import Path

import pytest

from app import dispatch
from app.actor import Actor
from app.dialects.mount import Cabin, Owners
from tests.matrix.asking import BROKEN, NO_ANSWER, Route, ask, routes
from tests.matrix.world import PRINCIPALS, World
from tests.test_routes import public_routes

TABLE = Path(__file__).with_name("matrix.tsv")
DIALECTS = ("pages", "opencode", "roo", "codebuddy", "rootcx", "e2b")
Row = dict[str, str]
Key = tuple[str, str, str]

# Changes by their method that change nothing of anybody's, and so are open to who only reads.
OPEN_TO_VIEWERS = {
    "codebuddy POST /api/v1/fs/list": "reads, by a body",
    "codebuddy POST /api/v1/fs/stat": "reads, by a body",
    "codebuddy POST /api/v1/fs/watch": "reads, by a body",
    "codebuddy POST /api/v1/fs/watcher/create": "reads: a watcher of one's own",
    "codebuddy POST /api/v1/fs/watcher/events": "reads one's own watcher, and has nothing for an unknown one",
    "opencode POST /log": "a client's words for the server's log",
    "opencode POST /pty/<terminal_id>/connect-token": "watches, as one may by other ways",
    "pages POST /account/devices/revoke-others": "ends one's own sessions",
    "pages POST /account/look": "how pages look to oneself",
    "pages POST /account/visibility": "who sees one's own new sessions",
    "pages POST /look": "how pages look in this browser",
    "pages POST /settings/auto-approve/preview": "shows what rules would do, and keeps nothing",
    "pages POST /signout": "ends one's own session",
}
# What only its owner has, by the parameter that names it.
PRIVATE = re.compile(r"<(session|task|message|permission|question|ask|checkpoint|sandbox|profile)_id>")
# How agents are told what they may do, and who else may: their own tokens reach none of it.
CONTROL = re.compile(
    r"/(config|global/config|auth|mcp|mcps|mcp-servers|permission|permissions|question|inbox|auto-approve|instructions|"
    r"modes|profiles|providers|configuration|languages|models|roles|users|share|unshare|visibility|pty|terminals|process|"
    r"projects|dispose|secrets|tokens|invites|members|account|approvers|submit-prompt)(/|$)"
)
# Of those, what an agent's token may do all the same.
OPEN_TO_AGENTS = {
    "opencode POST /pty/<terminal_id>/connect-token": "watches, as one may by other ways",
    "pages POST /settings/auto-approve/preview": "shows what rules would do, and keeps nothing",
    "pages POST /projects/<project_id>/worktrees/<worktree_id>/remove": "clears up after a session",
}


def read() -> dict[Key, Row]:
    """The table: what each principal is answered, by dialect, method and path."""
    lines = TABLE.read_text(encoding="utf-8").splitlines() if TABLE.exists() else []
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return {(row[0], row[1], row[2]): dict(zip(PRINCIPALS, row[3:], strict=True)) for row in rows}


def write(dialect: str, found: dict[Key, Row]) -> None:
    """Store the rows of one dialect."""
    rows = {key: row for key, row in read().items() if key[0] != dialect} | found
    head = [f"# {name}: {words}" for name, words in PRINCIPALS.items()]
    head.append("\t".join(("# dialect", "method", "path", *PRINCIPALS)))
    lines = ["\t".join((*key, *row.values())) for key, row in sorted(rows.items())]
    TABLE.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


@pytest.fixture
def world(app: Cabin, alice: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """People and what makes things; in place of the engine, every run is over once it has begun."""
    made = World(app, alice, tmp_path)
    monkeypatch.setattr(dispatch, "wake", made.wake)
    return made


def of(app: Cabin, dialect: str) -> list[Route]:
    return [route for route in routes(app) if route.dialect == dialect]


def prefixed(dialect: str) -> str:
    return "" if dialect == "pages" else f"/{dialect}"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_everybody_is_answered_as_the_table_says(dialect: str, world: World) -> None:
    found = {route.key: ask(world, route, PRINCIPALS, prefixed(dialect)) for route in of(world.app, dialect)}
    bad = {key: row for key, row in found.items() if {BROKEN, NO_ANSWER} & set(row.values())}
    assert not bad, "Give them in tests/matrix/asking.py a request to which they answer."
    if os.environ.get("MATRIX") == "write":
        write(dialect, found)
    expected = {key: row for key, row in read().items() if key[0] == dialect}
    new = [" ".join(key) for key in found if key not in expected]
    assert not new, "These have no row in tests/matrix/matrix.tsv: run `make matrix`, and read what it wrote."
    gone = [" ".join(key) for key in expected if key not in found]
    assert not gone, "These rows are of no route any more: run `make matrix`."
    assert found == expected


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name != "pages"])
def test_at_the_root_a_dialect_answers_as_below_its_prefix(dialect: str, world: World) -> None:
    owners = Owners(world.app.url_map, DIALECTS)
    expected, asked = read(), 0
    for route in of(world.app, dialect):
        path = re.sub(r"<[^>]*>", "x", route.path)
        environ = {"PATH_INFO": path, "REQUEST_METHOD": route.method, "CONTENT_LENGTH": "0", "wsgi.input": BytesIO()}
        if owners.find(environ) != dialect:
            continue
        answers = ask(world, route, ("stranger", "viewer"), "")
        assert answers == {name: expected[route.key][name] for name in answers}, route
        asked += 1
    assert asked


def rows() -> list[tuple[str, str, str, Row]]:
    """Each row with its words, its method and its path."""
    return [(" ".join(key), key[1], key[2], row) for key, row in read().items()]


def lets(row: Row, principal: str) -> bool:
    return row[principal] in ("2xx", "3xx")


def test_the_table_lets_a_stranger_nowhere_but_to_the_public_routes() -> None:
    public = public_routes()
    assert [words for words, _method, _path, row in rows() if row["stranger"] != "401" and words not in public] == []


def test_the_table_lets_a_viewer_change_nothing() -> None:
    changed = {words for words, method, _path, row in rows() if method != "GET" and lets(row, "viewer")}
    assert changed == set(OPEN_TO_VIEWERS)


def test_the_table_lets_nobody_but_their_owner_to_private_things() -> None:
    """Not even an admin: only the owner of the installation. To all others they do not exist."""
    private = [(words, row) for words, _method, path, row in rows() if PRIVATE.search(path)]
    assert len(private) >= 60
    strangers = ("viewer", "other", "admin", "agent")
    assert [(words, row) for words, row in private if any(lets(row, name) for name in strangers)] == []
    assert [(words, row["other"]) for words, row in private if row["other"] != "404"] == []


def test_the_table_lets_an_agents_token_control_nothing() -> None:
    control = [(words, row) for words, method, path, row in rows() if method != "GET" and CONTROL.search(path)]
    assert len([words for words, row in control if lets(row, "owner")]) >= 40
    assert {words for words, row in control if lets(row, "agent")} == set(OPEN_TO_AGENTS)


def test_the_table_lets_a_scoped_token_do_no_more_than_its_person() -> None:
    assert [words for words, _method, _path, row in rows() if lets(row, "scoped") and not lets(row, "member")] == []
    changes = {words for words, method, _path, row in rows() if method != "GET" and lets(row, "scoped")}
    assert changes <= set(OPEN_TO_VIEWERS)
