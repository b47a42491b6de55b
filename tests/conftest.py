"""Fixtures for every test: the servers and commands it may lean on."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import sync_playwright

from app import assemble, config, db, ids, migrate, put_to_use, server
from app.accounts import service as accounts
from app.actor import Actor
from app.agent.providers import line
from app.config import Config
from app.dialects.mount import Cabin
from app.projects import service as projects  # noqa: F401 - without it nobody knows what is closed to whom
from tests import migrated, postgres
from tests.begun import Begun
from tests.compiled import compile_once
from tests.model_server import ModelServer
from tests.visitor import Browser

CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

compile_once()
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        # A run in the background ignores them, and so would every command that it starts.
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A PostgreSQL server of this test process."""
    with postgres.server() as running:
        yield running


@pytest.fixture(scope="session")
def postgres_url(postgres_server: postgres.Server) -> str:
    """The URL of an empty database; `postgres_server.create(name, template)` copies a filled one."""
    return postgres_server.create("signalcabin")


@pytest.fixture(scope="session")
def postgres_migrated(postgres_server: postgres.Server) -> str:
    """The name of a migrated database, which tests use one after the other."""
    migrate.upgrade(postgres_server.create("migrated"))
    return "migrated"


@pytest.fixture
def postgres_database(postgres_server: postgres.Server, postgres_migrated: str) -> str:
    """The URL of a migrated, empty database."""
    return postgres_server.empty(postgres_migrated)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium."""
    return command("chromium", "apt-get install chromium")


@pytest.fixture(scope="session")
def launched_chromium(chromium: str) -> Iterator[Chromium]:
    """One Chromium for all tests of this process."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def tmux() -> str:
    """The path of tmux."""
    return command("tmux", "apt-get install tmux")


def command(name: str, install: str) -> str:
    """The path of a command; a test that needs it fails with the line that installs it, never skips."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not on PATH; install it: {install}", pytrace=False)
    return found


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    """The settings of a test's own server: its data in a directory of its own, on a copy of the template."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    migrated.copy_into(data)
    return Config(
        data_dir=data,
        database_url=f"sqlite:///{data / 'signalcabin.db'}",
        port=0,
        testing=True,
        allowed_hosts=("localhost",),
        language_servers=False,
        model_pause=0.01,
    )


@pytest.fixture
def database(settings: Config) -> Iterator[db.Database]:
    """A database in use, without a web or background work."""
    config.use(settings)
    opened = db.Database(settings.database_url)
    db.use(opened)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def either_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[db.Database]:
    """A database of each engine in turn with every table, in use without a web or background work."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_database")
    else:
        migrated.copy_into(tmp_path)
        url = f"sqlite:///{tmp_path / 'signalcabin.db'}"
    config.use(Config(data_dir=tmp_path, database_url=url, testing=True))
    opened = db.Database(url)
    db.use(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def assembled() -> Cabin:
    """The application with all its doors, which each test puts to its own use: they take longer than most tests."""
    return assemble()


@pytest.fixture(scope="session")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> Begun:
    """What a first start leaves, to be copied."""
    return Begun(tmp_path_factory.mktemp("begun"))


@pytest.fixture
def app(settings: Config, assembled: Cabin, first_start: Begun) -> Iterator[Cabin]:
    """The application, with the hub and the engines running beside it, on an installation that was started before."""
    made = put_to_use(assembled, settings)
    first_start.begin()
    server.start_background(settings)
    yield made
    server.stop_background()


@pytest.fixture
def alice(database_in_use: None) -> Actor:
    """Alice owns the installation."""
    return accounts.local_owner()


@pytest.fixture
def bob(alice: Actor) -> Actor:
    """Bob is a member of the team."""
    return member(alice, "Bob")


@pytest.fixture
def charlie() -> Actor:
    """Charlie is signed in somewhere but holds no grant here: a stranger."""
    return Actor(id="usr_charlie", kind="user", user="usr_charlie", name="Charlie", grants=())


@pytest.fixture
def database_in_use(request: pytest.FixtureRequest) -> None:
    """Whichever of `app`, `database` and `either_database` the test uses; the database alone if none."""
    names = [name for name in ("app", "database", "either_database") if name in request.fixturenames]
    request.getfixturevalue((names or ["database"])[0])


def member(owner: Actor, name: str, role: str = "member") -> Actor:
    """A further person of the team, as an actor."""
    user = accounts.create_user(owner, name, f"{name.lower()}@example.com", role)
    return Actor(id=user.id, kind="user", user=user.id, name=name, grants=user.grants)


class Caller:
    """Calls the app as a token's owner: JSON in, JSON out."""

    def __init__(self, app: Cabin, actor: Actor | None, dialect: str = "") -> None:
        self.client = app.test_client()
        self.headers: dict[str, str] = {"Host": "localhost"}
        if actor is not None:
            _token, secret = accounts.mint_token(actor, f"test-{ids.random('n')}")
            self.headers["Authorization"] = f"Bearer {secret}"

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The response of one request."""
        headers = {**self.headers, **more.pop("headers", {})}
        if body is not None:
            more["json"] = body
        return self.client.open(path, method=method, headers=headers, **more)

    def get(self, path: str, **more: Any) -> Any:
        """GET."""
        return self("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        """POST."""
        return self("POST", path, body, **more)


@pytest.fixture
def call(app: Cabin, alice: Actor) -> Caller:
    """Alice's API client."""
    return Caller(app, alice)


@pytest.fixture
def stranger(app: Cabin) -> Caller:
    """Somebody without credentials."""
    return Caller(app, None)


@pytest.fixture
def browser(app: Cabin, alice: Actor) -> Browser:
    """Alice's browser, signed in."""
    return Browser(app, alice)


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    """A model that says what a test's script has for it."""
    with ModelServer() as running:
        yield running
        line.close_all()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """A model that does what its prompt says, as `openai/scripted`."""
    with ModelServer() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "test-key")
        yield running
        line.close_all()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what each fault came to (see tests/chaos), and why a test that passed later failed at first."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.getreports(kind)]
    lines = [told for one in reports for name, told in one.user_properties if name == "chaos" and one.when == "call"]
    if lines:
        terminalreporter.section("faults")
        for line in sorted(lines):
            terminalreporter.line(line)
    for one in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"first try of {one.nodeid}")
        terminalreporter.line(one.longreprtext)
