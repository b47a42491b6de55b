"""Sandboxes: made, found, given time, paused, taken down; private to their owner; ended by the clock, restarts too."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app import db, git, ids
from app.accounts import service as accounts
from app.actor import Actor, Credentials, Signed
from app.errors import Conflict, Denied, Invalid, Limited, NotFound
from app.projects import service as projects
from app.sandboxes import ending, service, tokens
from app.sandboxes.service import Sandbox, Wanted
from tests.conftest import member

MINUTE = 60_000


class Clock:
    """The wall clock of a test."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock(ids.now())
    monkeypatch.setattr(ids, "now", made)
    return made


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where everything was ended; this process is the one that ends."""
    found: list[Path] = []
    monkeypatch.setattr(ending, "_enders", [found.append])
    return found


@pytest.fixture
def owner(either_database: db.Database) -> Actor:
    return accounts.local_owner()


@pytest.fixture
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where people's projects lie."""
    return tmp_path_factory.mktemp("code").resolve()


def wanted(template: str = "base", seconds: int = 60, **more: object) -> Wanted:
    return dataclasses.replace(Wanted(template, seconds, {}, {}), **more)  # type: ignore[arg-type]


def actor_of(secret: str, dialect: str = "e2b") -> Actor | None:
    return accounts.authenticate(Credentials(bearer=secret), dialect=dialect)


def test_a_sandbox_is_an_empty_directory_of_its_own(owner: Actor, ended: list[Path]) -> None:
    made = service.create(owner, wanted(metadata={"a": "b"}))
    assert list(made.path.iterdir()) == []
    assert made.path.stat().st_mode & 0o777 == 0o700
    assert service.get(owner, made.id).metadata == {"a": "b"}
    place = service.workspace(owner, made.id).place
    assert (place.directory, place.project.visibility) == (made.path, "private")
    assert projects.resolve(owner, str(made.path)).directory == made.path


def test_its_token_works_in_it_and_in_nothing_else(owner: Actor, ended: list[Path]) -> None:
    first, second = service.create(owner, wanted()), service.create(owner, wanted())
    actor = actor_of(service.secret_of(first))
    assert actor is not None
    assert service.workspace(actor, "").sandbox == first
    assert service.workspace(actor, first.id).sandbox == first
    with pytest.raises(NotFound):
        service.workspace(actor, second.id)
    for verb in (service.list_all, lambda actor: service.create(actor, wanted())):
        with pytest.raises(Denied):
            verb(actor)
    with pytest.raises(Denied):
        accounts.mint_token(actor, "more")


def test_its_token_is_none_in_other_dialects(owner: Actor, ended: list[Path]) -> None:
    secret = service.secret_of(service.create(owner, wanted()))
    assert actor_of(secret, "e2b") is not None
    assert [actor_of(secret, dialect) for dialect in ("", "opencode", "codebuddy")] == [None] * 3


def test_its_token_is_stored_nowhere(owner: Actor, ended: list[Path]) -> None:
    made = service.create(owner, wanted())
    secret = service.secret_of(made)
    with db.read() as conn:
        for table in db.metadata.sorted_tables:
            assert secret not in str(conn.execute(table.select()).all())


def test_it_is_nobody_elses(owner: Actor, ended: list[Path]) -> None:
    bob = member(owner, "Bob")
    made = service.create(bob, wanted())
    assert service.list_all(bob) == [made]
    for stranger in (owner, member(owner, "Carol")):
        assert service.list_all(stranger) == []
        for verb in (service.get, service.kill, service.pause, service.workspace):
            with pytest.raises(NotFound):
                verb(stranger, made.id)
        with pytest.raises(NotFound):
            service.connect(stranger, made.id, 10)
        with pytest.raises(NotFound):
            service.set_timeout(stranger, made.id, 10)
    assert made.path.is_dir()


def test_who_holds_no_grant_makes_none(owner: Actor, charlie: Actor, ended: list[Path]) -> None:
    for actor in (charlie, dataclasses.replace(member(owner, "Vic", "viewer"))):
        with pytest.raises(Denied):
            service.create(actor, wanted())


def test_killing_it_removes_all_of_it(owner: Actor, ended: list[Path]) -> None:
    made = service.create(owner, wanted(environment={"KEY": "value"}))
    (made.path / "locked").mkdir(mode=0o000)
    private = projects.private_of(projects.get(owner, made.project))
    private.mkdir(parents=True)
    secret = service.secret_of(made)
    service.kill(owner, made.id)
    assert ended == [made.path]
    assert not made.path.exists()
    assert not private.exists()
    assert actor_of(secret) is None
    assert service.list_all(owner) == []
    assert made.project not in [one.id for one in projects.list_all(owner)]
    with pytest.raises(NotFound):
        service.kill(owner, made.id)


def test_it_ends_at_its_time(owner: Actor, ended: list[Path], clock: Clock) -> None:
    made = service.create(owner, wanted(seconds=60))
    clock.now += MINUTE - 1
    ending.expire(made.id)
    assert service.get(owner, made.id) == made
    clock.now += 1
    with pytest.raises(NotFound):  # though nobody has taken it down yet
        service.workspace(owner, made.id)
    assert service.list_all(owner) == []
    ending.expire(made.id)
    assert (ended, made.path.exists()) == ([made.path], False)


def test_it_can_be_given_more_time_or_less(owner: Actor, ended: list[Path], clock: Clock) -> None:
    made = service.create(owner, wanted(seconds=60))
    assert service.set_timeout(owner, made.id, 600).ends == clock.now + 10 * MINUTE
    assert service.set_timeout(owner, made.id, 60).ends == clock.now + MINUTE
    assert service.set_timeout(owner, made.id, 30, no_less=True).ends == clock.now + MINUTE
    assert service.connect(owner, made.id, 30)[0].ends == clock.now + MINUTE
    assert service.connect(owner, made.id, 300)[0].ends == clock.now + 5 * MINUTE
    for seconds in (-1, service.LONGEST + 1):
        with pytest.raises(Invalid):
            service.set_timeout(owner, made.id, seconds)
    service.set_timeout(owner, made.id, 0)
    ending.sweep()
    assert not made.path.exists()


def test_one_that_pauses_at_its_time_keeps_its_files(owner: Actor, ended: list[Path], clock: Clock) -> None:
    made = service.create(owner, wanted(seconds=60, on_timeout="pause"))
    (made.path / "kept").write_text("x")
    clock.now += 2 * MINUTE
    ending.sweep()
    assert service.get(owner, made.id).state == "paused"
    assert ended == [made.path]
    with pytest.raises(NotFound):
        service.workspace(owner, made.id)
    clock.now += 100 * MINUTE
    ending.sweep()
    again, was_paused = service.connect(owner, made.id, 60)
    assert (was_paused, (again.path / "kept").read_text(), again.ends) == (True, "x", clock.now + MINUTE)
    assert service.workspace(owner, made.id).sandbox == again


def test_a_pause_is_one(owner: Actor, ended: list[Path]) -> None:
    made = service.create(owner, wanted())
    service.pause(owner, made.id)
    with pytest.raises(Conflict):
        service.pause(owner, made.id)
    assert [one.state for one in service.list_all(owner)] == ["paused"]
    assert service.list_all(owner, ("running",)) == []


def test_a_start_sets_its_clock_and_finishes_what_was_begun(owner: Actor, ended: list[Path], clock: Clock) -> None:
    living, late, begun = (service.create(owner, wanted(seconds=seconds)) for seconds in (600, 60, 600))
    with db.transaction() as conn:
        ending.begin(conn, begun)  # and then the process died
    clock.now += 2 * MINUTE
    service.start()
    assert service.list_all(owner) == [living]
    assert [one.path.exists() for one in (living, late, begun)] == [True, False, False]
    assert set(ended) == {late.path, begun.path}


def test_a_process_that_holds_no_processes_ends_none(
    owner: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_enders", [])
    made = service.create(owner, wanted(seconds=1))
    clock.now += MINUTE
    ending.sweep()
    assert made.path.is_dir()


def test_whoever_connects_gets_the_same_token_while_it_is_good(owner: Actor, ended: list[Path]) -> None:
    made = service.create(owner, wanted())
    first = service.secret_of(made)
    assert service.secret_of(service.connect(owner, made.id, 60)[0]) == first
    accounts.revoke_token(owner, made.token)
    assert actor_of(first) is None
    second = service.secret_of(service.connect(owner, made.id, 60)[0])
    assert second != first
    assert actor_of(second) is not None


def test_its_token_ends_with_the_key_that_made_it(owner: Actor, ended: list[Path]) -> None:
    token, secret = accounts.mint_token(owner, "key", dialect="e2b")
    actor = actor_of(secret)
    assert actor is not None
    made = service.create(actor, wanted())
    accounts.revoke_token(owner, token.id)
    assert actor_of(service.secret_of(made)) is None


def test_a_key_gives_no_more_than_it_holds(owner: Actor, ended: list[Path]) -> None:
    scopes = ("sandboxes:*", "files:read", "projects:read", "system:read")
    _token, secret = accounts.mint_token(owner, "reader", scopes, dialect="e2b")
    actor = actor_of(secret)
    assert actor is not None
    inside = actor_of(service.secret_of(service.create(actor, wanted())))
    assert inside is not None
    assert set(inside.grants) == {"files:read", "projects:read", "system:read"}


def test_a_repeated_request_finds_what_it_made(owner: Actor, ended: list[Path]) -> None:
    made = service.create(owner, wanted(key="wish-1"))
    assert service.create(owner, wanted(key="wish-1")) == made
    with pytest.raises(Conflict):
        service.create(owner, wanted(key="wish-1", metadata={"other": "one"}))
    assert service.create(owner, wanted(key="wish-2")) != made
    assert service.create(member(owner, "Bob"), wanted(key="wish-1")) != made


def test_the_same_request_at_once_makes_one(owner: Actor, ended: list[Path]) -> None:
    together = threading.Barrier(4)

    def make(_number: int) -> Sandbox | None:
        together.wait(10)
        try:
            return service.create(owner, wanted(key="at-once"))
        except Conflict:
            return None

    with ThreadPoolExecutor(4) as pool:
        made = [one for one in pool.map(make, range(4)) if one]
    [only] = service.list_all(owner)
    assert {one.id for one in made} == {only.id}
    assert list(only.path.parent.iterdir()) == [only.path]


def test_there_are_not_more_than_so_many(owner: Actor, ended: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST", 2)
    made = [service.create(owner, wanted()) for _ in range(2)]
    with pytest.raises(Limited):
        service.create(owner, wanted())
    service.kill(owner, made[0].id)
    service.create(owner, wanted())


def test_a_template_is_a_project_and_the_sandbox_a_worktree_of_it(owner: Actor, ended: list[Path], code: Path) -> None:
    root = code / "shop"
    root.mkdir()
    (root / "a.txt").write_text("one\n")
    git.commit_all(root, "First", "2026-01-05T09:00:00Z")
    project = projects.add(owner, str(root))
    for template in ("shop", project.id):
        made = service.create(owner, wanted(template))
        assert ((made.path / "a.txt").read_text(), made.path.parent.name) == ("one\n", project.id)
        service.kill(owner, made.id)
        assert not made.path.exists()
    busy = service.create(owner, wanted("shop"))
    (busy.path / "b.txt").write_text("work")
    service.kill(owner, busy.id)
    assert [one.directory for one, _ in projects.list_worktrees(owner, project)] == [busy.directory]
    assert (root / "a.txt").read_text() == "one\n"


def test_other_directories_of_the_project_are_not_its_own(owner: Actor, ended: list[Path]) -> None:
    made = service.workspace(owner, service.create(owner, wanted()).id)
    for name in ("a", "~/a", "/home/user", "/home/user/a", "/tmp/a", str(made.place.directory / "a")):
        service.check_name(made, name)
    for name in ("/etc/passwd", "/home/users", "/home", "/", "/tmpfile"):
        with pytest.raises(NotFound):
            service.check_name(made, name)


def test_an_unknown_template_is_none(owner: Actor, ended: list[Path]) -> None:
    made = service.create(owner, wanted())
    for template in ("nothing", "", f"sandbox {made.id}", made.project):
        with pytest.raises(NotFound):
            service.create(owner, wanted(template))


def test_a_key_for_a_project_makes_sandboxes_of_it_alone(owner: Actor, ended: list[Path], code: Path) -> None:
    (code / "one").mkdir()
    project = projects.add(owner, str(code / "one"))
    _token, secret = accounts.mint_token(owner, "bound", project=project.id)
    actor = actor_of(secret)
    assert actor is not None
    with pytest.raises(Denied):
        service.create(actor, wanted())
    with pytest.raises(Invalid, match="git"):  # it is found, but there can be no worktree of it
        service.create(actor, wanted("one"))


def test_a_client_without_sandboxes_works_in_its_project(owner: Actor, code: Path) -> None:
    (code / "one").mkdir()
    project = projects.add(owner, str(code / "one"))
    for name in ("", "debug_sandbox_id"):
        found = service.workspace(owner, name)
        assert (found.sandbox, found.place.project) == (None, project)
        service.check_name(found, "/anywhere")
    with pytest.raises(Invalid):
        service.set_environment(owner, service.workspace(owner, ""), {"A": "b"})


def test_sandboxes_are_nobodys_default_project(owner: Actor, ended: list[Path], code: Path) -> None:
    service.create(owner, wanted())
    (code / "zoo").mkdir()
    project = projects.add(owner, str(code / "zoo"))
    assert projects.resolve(owner, None).project == project


def test_what_its_commands_find_in_their_environment_is_sealed(owner: Actor, ended: list[Path]) -> None:
    made = service.create(owner, wanted(environment={"API_KEY": "very-secret-value"}))
    found = service.workspace(owner, made.id)
    service.set_environment(owner, found, {"MORE": "2"})
    assert service.environment_of(found) == {"API_KEY": "very-secret-value", "MORE": "2"}
    with db.read() as conn:
        for table in db.metadata.sorted_tables:
            assert "very-secret-value" not in str(conn.execute(table.select()).all())
    service.kill(owner, made.id)
    assert service.environment_of(found) == {}


def test_a_signed_address_is_good_for_its_file_and_time(owner: Actor, ended: list[Path], clock: Clock) -> None:
    made = service.create(owner, wanted(seconds=600))
    accounts.register_signatures(tokens.find_signer)
    soon = clock.now // 1000 + 60
    good = Signed("a.txt", "read", "", soon, "")
    good = dataclasses.replace(good, signature=tokens.signature(good, service.secret_of(made)))

    def signer(signed: Signed, dialect: str = "e2b") -> str | None:
        actor = accounts.authenticate(Credentials(signed=signed), dialect=dialect)
        return actor.token if actor else None

    assert signer(good) == made.token
    changes = ({"path": "b.txt"}, {"operation": "write"}, {"user": "root"}, {"expires": soon + 1}, {"expires": None})
    for change in changes:
        assert signer(dataclasses.replace(good, **change)) is None  # type: ignore[arg-type]
    assert signer(good, "opencode") is None
    nameless = dataclasses.replace(good, path="", signature="")
    forged = dataclasses.replace(nameless, signature=tokens.signature(nameless, service.secret_of(made)))
    assert signer(forged) is None
    clock.now += 2 * MINUTE
    assert signer(good) is None
    forever = dataclasses.replace(good, expires=None, signature="")
    forever = dataclasses.replace(forever, signature=tokens.signature(forever, service.secret_of(made)))
    assert signer(forever) == made.token
    service.kill(owner, made.id)
    assert signer(forever) is None


def test_only_who_may_do_as_much_is_given_its_token(owner: Actor, ended: list[Path]) -> None:
    made = service.create(owner, wanted(key="once"))
    looking = dataclasses.replace(owner, id="tok_1", kind="token", token="tok_1", grants=("sandboxes:*", "system:read"))
    agent = dataclasses.replace(owner, id="tok_2", kind="agent", token="tok_2")
    for one in (looking, agent):
        assert service.get(one, made.id) == made
        assert service.secret_for(one, made) is None
        for verb in (
            lambda one=one: service.connect(one, made.id, 10),
            lambda one=one: service.create(one, wanted(key="once")),
        ):
            with pytest.raises(Denied):
                verb()
    assert service.secret_for(owner, made) == service.secret_of(made)
    assert service.create(owner, wanted(key="once")) == made


def test_an_agents_sandbox_goes_on_by_its_token_and_by_its_persons(owner: Actor, ended: list[Path]) -> None:
    agent = dataclasses.replace(owner, id="tok_2", kind="agent", token="tok_2")
    made = service.create(agent, wanted())
    assert service.secret_for(agent, made) == service.secret_for(owner, made) == service.secret_of(made)
    assert service.connect(agent, made.id, 10)[0].salt == made.salt
    inside = actor_of(service.secret_of(made))
    assert inside is not None
    assert inside.kind == "agent"


def test_who_holds_less_by_now_still_goes_on_with_their_own(owner: Actor, ended: list[Path]) -> None:
    bob = member(owner, "Bob")
    made = service.create(bob, wanted())
    accounts.create_role(owner, "tester", permissions=["sandboxes:*", "files:*", "projects:read", "system:read"])
    accounts.set_roles(owner, bob.id, ["tester"])
    now = dataclasses.replace(bob, grants=("sandboxes:*", "files:*", "projects:read", "system:read"))
    assert service.connect(now, made.id, 10)[0].id == made.id


def test_its_environment_is_for_who_may_see_what_runs_there(owner: Actor, ended: list[Path]) -> None:
    made = service.create(owner, wanted(environment={"KEY": "value"}))
    reading = dataclasses.replace(owner, id="tok_1", kind="token", token="tok_1", grants=("projects:*", "system:read"))
    here = service.workspace(reading, made.id)
    with pytest.raises(Denied):
        service.show_environment(reading, here)
    assert service.show_environment(owner, here) == {"KEY": "value"}
