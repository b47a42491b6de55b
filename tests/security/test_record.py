"""The record of acts (THREATS 6.3): ten thousand rows of it tampered with in every way, a full disk, and every act."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app import db, dispatch, record
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import service as approvals
from app.approvals.service import Rule
from app.audit import service as audit
from app.audit.acts import ACTS
from app.audit.models import seal
from app.audit.service import Checkpoint, Sealer
from app.dialects.mount import Cabin
from app.languages import service as languages
from app.notifications import service as notifications
from app.projects import service as projects
from app.sandboxes import service as sandboxes
from app.secrets import service as vault
from app.sessions import service as sessions
from tests.audit.disarmed import disarm
from tests.conftest import Caller
from tests.matrix.asking import ask, routes
from tests.matrix.test_matrix import prefixed
from tests.matrix.world import PRINCIPALS, World

ROWS = 10_000
rows = record.audit_rows


@pytest.fixture
def long(either_database: db.Database, alice: Actor) -> Checkpoint:
    """A record of ten thousand acts, sealed and anchored; its checkpoint as somebody noted it."""
    with db.read() as conn:
        before = conn.scalar(sa.select(sa.func.count()).select_from(rows)) or 0
    with db.transaction() as conn:
        for number in range(ROWS - before):
            record.audit(conn, alice, "test.act", f"thing {number}", {"n": number})
    sealer = Sealer()
    while sealer.seal():
        continue
    sealer.anchor()
    verdict = audit.verify(alice)
    assert (verdict.ok, verdict.sealed) == (True, ROWS)
    disarm()
    return Checkpoint.parse(f"{verdict.sealed}:{verdict.head}")


def to(old: int, new: int) -> sa.Update:
    return rows.update().where(rows.c.seq == old).values(seq=new)


def cut(last: int) -> list[sa.Executable]:
    return [rows.delete().where(rows.c.seq > last), seal.delete().where(seal.c.seq > last)]


# What is done to it, one after the other, and the first row at which that shows: each time an earlier one.
TAMPERED: dict[str, tuple[list[sa.Executable], int]] = {
    "edit of the last": ([rows.update().where(rows.c.seq == ROWS).values(detail={"n": -1})], ROWS),
    "truncation after the checkpoint": (cut(9_000), 9_001),
    "edit": ([rows.update().where(rows.c.seq == 7_777).values(target="forged")], 7_777),
    "reorder": ([to(5_000, 20_000), to(6_000, 5_000), to(20_000, 6_000)], 5_000),
    "reorder of neighbours": ([to(4_000, 20_000), to(4_001, 4_000), to(20_000, 4_001)], 4_000),
    "delete with its seal": (
        [rows.delete().where(rows.c.seq == 2_500), seal.delete().where(seal.c.seq == 2_500)],
        2_500,
    ),
    "delete": ([rows.delete().where(rows.c.seq == 1_234)], 1_234),
    "edit of the first": ([rows.update().where(rows.c.seq == 1).values(target="forged")], 1),
}


def test_verify_finds_the_exact_row_of_ten_thousand(long: Checkpoint, alice: Actor) -> None:
    for how, (statements, first_bad) in TAMPERED.items():
        with db.transaction() as conn:
            for statement in statements:
                conn.execute(statement)
        for noted in (None, long):
            verdict = audit.verify(alice, checkpoint=noted)
            assert (verdict.ok, verdict.first_bad) == (False, first_bad), how


@contextmanager
def full_disk() -> Iterator[None]:
    """No page more for the database: what it has free is filled up first."""
    with db.transaction() as conn:
        conn.exec_driver_sql("CREATE TABLE ballast (x BLOB)")
    with db.transaction() as conn:
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        conn.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    for size in (100_000, 3_000, 400, 60, 10, 1):
        for _ in range(10_000):
            try:
                with db.transaction() as conn:
                    conn.exec_driver_sql("INSERT INTO ballast VALUES (zeroblob(?))", (size,))
            except sa.exc.OperationalError:
                break
    yield
    with db.transaction() as conn:
        conn.exec_driver_sql("PRAGMA max_page_count = 1073741823")
        conn.exec_driver_sql("DROP TABLE ballast")


def kept() -> dict[str, list[Any]]:
    """All that is stored but events and counters."""
    with db.read() as conn:
        return {
            table.name: sorted(map(repr, conn.execute(table.select())))
            for table in db.metadata.sorted_tables
            if table.name not in ("audit_seal", "event", "sequence", "token")
        }


DEEDS: dict[str, Callable[[Caller], Any]] = {
    "a secret is set": lambda call: call.post("/api/v1/platform/secrets", {"key": "NEW", "value": "v" * 4_000}),
    "a role is made": lambda call: call.post("/api/v1/roles", {"name": "new", "description": "d" * 400}),
    "a setting is changed": lambda call: call("PATCH", "/config", {"agent": {"a": {"prompt": "p" * 8_000}}}),
    "a file is written": lambda call: call.client.post(
        "/api/v1/files/upload?path=new.txt",
        data=b"x" * 10,
        headers={**call.headers, "Content-Type": "application/octet-stream"},
    ),
    "a secret is read": lambda call: call.get("/api/v1/platform/secrets/env"),
}


def test_a_full_disk_refuses_every_act_that_could_not_be_written_down(
    app: Cabin, call: Caller, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.put(alice, "platform", "KEPT", "a-value-that-is-kept")
    directory = Path(projects.resolve(alice, None).directory)
    real = record.audit

    def large(
        conn: sa.Connection, actor: Actor, action: str, target: str = "", detail: Any = None, result: str = "done"
    ) -> None:
        real(conn, actor, action, target, {**(detail or {}), "more": "m" * 20_000}, result)

    with full_disk():
        # So that it is the row of the record that does not fit, whatever room the act itself still finds.
        monkeypatch.setattr(record, "audit", large)
        before = kept()
        for name, deed in DEEDS.items():
            answer = deed(call)
            assert answer.status_code >= 500, (name, answer.status_code, answer.text[:200])
            assert "sqlite" not in answer.text.lower()
            assert "a-value-that-is-kept" not in answer.text
            assert kept() == before, name
        assert not (directory / "new.txt").exists()
        monkeypatch.undo()
    assert DEEDS["a role is made"](call).status_code < 300


class Hand:
    """Whoever does what no request of the matrix comes to."""

    def __init__(self, world: World) -> None:
        self.world, self.alice, self.place = world, world.alice, world.place

    def languages(self) -> None:
        for verb in (languages.begin, languages.restart, languages.end, languages.try_server):
            verb(self.alice, self.place, "basedpyright")

    def rules(self) -> None:
        approvals.add_rule(self.alice, Rule("bash", "make *", "allow", "server"))
        [rule] = approvals.rules_of(self.alice, "server")
        approvals.remove_rule(self.alice, rule.id)

    def notices(self) -> None:
        mia = self.world.mia
        notifications.change_channel(mia, self.world.channel(), ["run.failed"])
        notifications.change_rules(mia, notifications.Rules(away_only=False))

    def sandbox(self) -> None:
        made = self.world.make_sandbox()
        sandboxes.pause(self.world.mia, made)
        sandboxes.connect(self.world.mia, made, 300)

    def sessions(self) -> None:
        for settle in (sessions.resume, sessions.give_up):
            session = self.world.session()
            _message, run_id = sessions.send(self.world.mia, session.id, [{"type": "text", "text": "Go on"}])
            hold = sessions.take(run_id or "")
            assert hold is not None
            sessions.finish(hold, "interrupted")
            settle(self.world.mia, session.id)
        sessions.update(self.world.mia, self.world.session().id, preset="auto")

    def people(self) -> None:
        accounts.reset_password(self.alice, self.world.people["other"].id, "tractor-lamp-9")
        accounts.change_profile(self.world.people["other"], "Nicholas", "nick@example.com")

    def others(self) -> None:
        projects.add(self.alice, "https://93.184.216.34/shop.git")
        vault.rotate_key(self.alice)


# Acts that no request of the matrix comes to, each with the test that does.
ELSEWHERE = {
    "agent.custom_mode": "agent/test_custom_modes.py",
    "agent.custom_mode_remove": "agent/test_custom_modes.py",
    "agent.import": "agent/importing/test_taking.py",
    "approval.release": "approvals/test_service.py",
    "audit.export": "audit/test_exporting.py",
    "invite.decline": "invites/test_pages.py",
    "invite.mail": "invites/test_mail.py",
    "mcp.disable": "mcp/test_pages.py",
    "mcp.signin": "mcp/test_signing_in.py",
    "mcp.signin_begin": "mcp/test_signing_in.py",
    "oidc.connect": "oidc/test_flow.py",
    "oidc.disconnect": "oidc/test_identities.py",
    "oidc.provider_delete": "oidc/test_flow.py",
    "oidc.provider_save": "oidc/test_flow.py",
    "password.change": "accounts/test_passwords.py",
    "port.change": "test_server_access.py",
    "secrets.lend": "agent/test_lent_secrets.py",
    "secrets.own_delete": "agent/test_own_keys.py",
    "secrets.rotate_key": "secrets/test_vault.py",
    "server.open": "accounts/test_signin.py",
    "server.claim": "accounts/test_registration.py",
    "session.shell": "agent/test_shell.py",
    "session.unshare": "sessions/test_shares.py",
    "signin.again": "accounts/test_fresh.py",
    "signin.limited": "test_denials.py",
    "signin.token": "test_denials.py",
    "terminal.idle": "terminals/test_service.py",
    "terminal.take": "terminals/test_service.py",
    "token.reuse": "accounts/test_clients.py",
    "tool.run": "agent/test_lent_secrets.py",
}


def test_every_act_is_written_down_by_somebody_who_does_it(
    app: Cabin, alice: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every route is asked by everybody; what remains is another test's, which names the act."""
    world = World(app, alice, tmp_path)
    monkeypatch.setattr(dispatch, "wake", world.wake)
    for route in routes(app):
        if route.method != "GET" or "callback" in route.path or route.path.endswith("/env"):
            ask(world, route, PRINCIPALS, prefixed(route.dialect))
    monkeypatch.setattr(languages.standing, "check", lambda: None)
    for name in ("_begin", "_end"):
        monkeypatch.setattr(languages, name, lambda *_: None)
    monkeypatch.setattr(languages.trial, "run", lambda *_: None)
    world.is_asked = False
    hand = Hand(world)
    for deed in (hand.languages, hand.rules, hand.notices, hand.sandbox, hand.sessions, hand.people, hand.others):
        deed()
    audit.stop()
    with db.read() as conn:
        done = set(conn.scalars(sa.select(rows.c.action).distinct()))
    missing = sorted(set(ACTS) - done - set(ELSEWHERE))
    assert missing == []
    for act, where in ELSEWHERE.items():
        text = (Path(__file__).parents[1] / where).read_text(encoding="utf-8")
        assert f'"{act}"' in text or f"'{act}'" in text, f"{where} says nothing of {act}"
