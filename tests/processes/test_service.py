"""The verbs of running commands: whose they are, how many, and what ends them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import config, db, record, redact
from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from app.errors import Conflict, Denied, Invalid, Limited, NotFound, Unavailable
from app.processes import live as lives
from app.processes import service
from app.processes.service import Output
from app.projects import service as projects
from app.projects.service import Place
from tests.conftest import member
from tests.patience import PATIENCE


@pytest.fixture
def place(app: Cabin, alice: Actor, tmp_path: Path) -> Iterator[Place]:
    """Alice's project."""
    directory = tmp_path / "project"
    (directory / "src").mkdir(parents=True)
    projects.add(alice, str(directory))
    yield projects.resolve(alice, str(directory))
    lives.stop()


def printed(actor: Actor, live: service.Live) -> str:
    words = service.attach(actor, live).facts(None, time.monotonic() + PATIENCE)
    return b"".join(word.data for word in words if isinstance(word, Output)).decode()


def test_a_command_runs_as_given_in_the_directory_it_names(place: Place, alice: Actor) -> None:
    for cwd, wanted in (
        (None, place.root),
        ("src", place.root / "src"),
        ("~/src", place.root / "src"),
        ("/tmp", Path("/tmp")),
    ):
        assert printed(alice, service.start(alice, place, ["pwd", "-P"], cwd=cwd)) == f"{wanted}\n"
    odd = ["$(id)", "a b;c", "*", "'"]
    assert printed(alice, service.start(alice, place, ["printf", "%s\n", *odd])) == "".join(f"{word}\n" for word in odd)


@pytest.mark.parametrize("cwd", ["/etc", "../..", "src/../../..", "~root", "no-such", "a\nb", "x" * 5000])
def test_a_directory_outside_or_of_no_sense_is_refused(place: Place, alice: Actor, cwd: str) -> None:
    (place.root / "out").symlink_to("/etc")
    for name in (cwd, "out"):
        with pytest.raises((Invalid, Denied)):
            service.start(alice, place, ["pwd"], cwd=name)
    assert service.list_all(alice) == []


def test_it_is_found_by_pid_tag_and_id_and_the_newest_of_a_tag_wins(place: Place, alice: Actor) -> None:
    first = service.start(alice, place, ["true"], tag="same")
    second = service.start(alice, place, ["true"], tag="same")
    assert service.get(alice, "same") is second
    assert service.get(alice, first.pid) is first
    assert service.get(alice, first.id) is first
    named = service.start(alice, place, ["true"])
    assert named.tag.startswith("proc-")
    assert service.list_all(alice) == [first, second, named]


def test_terminals_and_processes_do_not_see_each_other(place: Place, alice: Actor) -> None:
    terminal = service.start(alice, place, ["cat"], pty=service.Size(80, 24), kind="terminal")
    assert service.list_all(alice) == []
    assert service.list_all(alice, "terminal") == [terminal]
    with pytest.raises(NotFound, match="Process not found"):
        service.get(alice, terminal.pid)
    service.end(alice, terminal, forget=True)
    with pytest.raises(NotFound, match="Terminal not found"):
        service.get(alice, terminal.id, "terminal")


def test_what_is_somebody_elses_looks_like_nothing(place: Place, alice: Actor, bob: Actor) -> None:
    live = service.start(alice, place, ["cat"])
    assert service.list_all(bob) == []
    for attempt in (
        lambda: service.get(bob, live.pid),
        lambda: service.write(bob, live, b"x"),
        lambda: service.attach(bob, live),
        lambda: service.signal(bob, live, 9),
        lambda: service.end(bob, live),
    ):
        with pytest.raises(NotFound, match=f"Process not found: {live.pid}"):
            attempt()
    assert live.ended is None


def test_viewers_strangers_and_agents_start_nothing(place: Place, alice: Actor, charlie: Actor) -> None:
    agent = Actor(id="agt_1", kind="agent", user=alice.user, name="agent", grants=("*",))
    for actor in (member(alice, "Vera", "viewer"), charlie, agent):
        with pytest.raises((Denied, NotFound)):
            service.start(actor, place, ["true"])


@pytest.mark.parametrize("kind", ["process", "terminal"])
def test_too_many_at_once_are_refused_until_one_ends(
    place: Place, alice: Actor, kind: service.Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(service.MOST, kind, 3)
    running = [service.start(alice, place, ["cat"], kind=kind) for _ in range(3)]
    with pytest.raises(Limited) as refused:
        service.start(alice, place, ["cat"], kind=kind)
    assert refused.value.retry_after
    service.end(alice, running[0])
    assert running[0].wait(PATIENCE)
    service.start(alice, place, ["cat"], kind=kind)


def test_ended_ones_are_kept_for_ten_minutes_and_not_too_many(
    place: Place, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_FINISHED", 3)
    ended = [service.start(alice, place, ["true"]) for _ in range(5)]
    for live in ended:
        assert live.wait(PATIENCE)
    assert service.list_all(alice) == ended[2:]
    monkeypatch.setattr(service, "REMEMBERED", -1.0)
    assert service.list_all(alice) == []


def test_starting_is_written_down_without_secrets(place: Place, alice: Actor) -> None:
    redact.watch("API_KEY", "s3cret-value-of-alice")
    try:
        service.start(alice, place, ["true", "--key=s3cret-value-of-alice"], env={"KEY": "s3cret-value-of-alice"})
    finally:
        redact.forget("API_KEY")
    with db.read() as connection:
        row = connection.execute(record.audit_rows.select().where(record.audit_rows.c.action == "process.start")).one()
    assert row.detail["argv"] == ["true", "--key=[secret:API_KEY]"]
    assert row.detail["env"] == ["KEY"]
    assert "s3cret" not in str(row)


def test_whoever_is_revoked_loses_commands_and_readers(place: Place, alice: Actor, bob: Actor) -> None:
    live = service.start(bob, place, ["sleep", "60"])
    mine = service.start(alice, place, ["sleep", "60"])
    tap = service.attach(bob, live)
    accounts.revoke_user(alice, bob.user)
    assert live.wait(PATIENCE) is not None
    assert [word for word in tap.facts(None, time.monotonic() + PATIENCE) if word is None] == []
    assert mine.ended is None


def test_a_persons_command_has_a_way_out_alone_and_none_in_a_team(place: Place, alice: Actor) -> None:
    names = "env | grep -ci ^https_proxy="
    assert printed(alice, service.start(alice, place, ["sh", "-c", names])) == "2\n"
    member(alice, "Bob")
    assert printed(alice, service.start(alice, place, ["sh", "-c", names])) == "0\n"


def test_a_team_without_a_sandbox_runs_nothing(
    place: Place, alice: Actor, bob: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "sandbox_state", lambda: service.sandbox.SandboxState(False, "it is missing.", ""))
    with pytest.raises(Unavailable, match="it is missing"):
        service.start(alice, place, ["true"])


def test_nothing_starts_while_the_server_stops(place: Place, alice: Actor) -> None:
    live = service.start(alice, place, ["sleep", "60"])
    service.stop()
    assert live.ended is not None
    with pytest.raises(Unavailable):
        service.start(alice, place, ["true"])
    assert config.current().testing


def test_what_a_token_started_and_reads_ends_with_the_token(place: Place, alice: Actor) -> None:
    token, _secret = accounts.mint_token(alice, "script")
    script = dataclasses.replace(alice, id=token.id, kind="token", token=token.id)
    theirs, mine = (service.start(actor, place, ["sleep", "60"]) for actor in (script, alice))
    tap = service.attach(script, mine)
    accounts.revoke_token(alice, token.id)
    assert theirs.wait(PATIENCE) is not None
    assert list(tap.facts(None, time.monotonic() + PATIENCE)) == []
    assert mine.ended is None


def test_a_second_stream_of_input_is_refused_while_one_goes_on(place: Place, alice: Actor) -> None:
    live = service.start(alice, place, ["cat"])

    def pieces() -> Iterator[bytes]:
        yield b"one\n"
        with pytest.raises(Conflict):
            service.feed(alice, live, [b"no"])
        yield b"two\n"

    service.feed(alice, live, pieces())
    service.feed(alice, live, [b"three\n"])
    service.close_stdin(alice, live)
    assert printed(alice, live) == "one\ntwo\nthree\n"


def test_the_place_of_a_directory_is_the_project_that_holds_it(place: Place, alice: Actor, tmp_path: Path) -> None:
    default = projects.resolve(alice, None)
    for cwd in (None, "src", "~/x", "/home/user", "/tmp", "/tmp/scratch"):
        assert service.place_of(alice, cwd) == default
    assert service.place_of(alice, str(place.root / "src")).root == place.root
    with pytest.raises(Denied):
        service.place_of(alice, "/etc")
