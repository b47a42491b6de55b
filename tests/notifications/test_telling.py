"""What is told, to whom and when: with engines that ask and servers that listen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app import db, ids
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import service as approvals
from app.bounds import Bounds
from app.dialects.mount import Cabin
from app.errors import Conflict, Denied, Invalid, Limited, NotFound
from app.notifications import delivery, models, presence, rows, senders, service
from app.notifications.senders import webhook
from app.notifications.senders.scopes import scope_of
from app.notifications.service import Channel, Notice, Rules
from app.notifications.things import OCCASIONS
from app.projects import service as projects
from app.record import audit_rows
from app.secrets import service as vault
from app.sessions import service as sessions
from tests.conftest import member
from tests.notifications.listener import Device, Listener
from tests.peer import reply
from tests.visitor import until

NOW = Rules(away_only=False, delay=0)
WAITS = "[[bash make paint]]"


@pytest.fixture
def hook(app: Cabin, alice: Actor, listener: Listener) -> Channel:
    """Alice's own server is told, at once."""
    service.change_rules(alice, NOW)
    return service.add_webhook(alice, "Desk lamp", f"{listener.url}/lamp")[0]


def begin(actor: Actor, directory: Path, words: str) -> str:
    """Say it in a new session; its id."""
    session = sessions.create(actor, projects.resolve(actor, str(directory)), title="Paint it")
    sessions.send(actor, session.id, [{"type": "text", "text": words}])
    return session.id


def asked(actor: Actor, session_id: str) -> str:
    """The id of what waits in a session, once it does."""
    return until(lambda: next(iter(approvals.waiting(actor, session_id)), None)).id


def settled(actor: Actor, state: str, number: int = 1) -> list[Notice]:
    """So many notices of the actor that came out so."""

    def look() -> list[Notice]:
        found = [one for one in service.list_notices(actor) if one.state == state]
        return found if len(found) >= number else []

    return until(look)


def test_what_waits_is_told_with_the_address_of_exactly_that(
    alice: Actor, project: Path, listener: Listener, hook: Channel
) -> None:
    session = begin(alice, project, WAITS)
    visit, ask = listener.next(), asked(alice, session)
    told = visit.data
    assert (told["event"], told["about"], told["session"]) == ("approval", ask, session)
    assert told["url"].endswith(f"/inbox/{ask}")
    assert "make paint" in told["title"]
    assert settled(alice, "sent")[0].id == told["id"] == visit.headers["X-Signalcabin-Delivery"]


def test_its_reader_knows_who_sent_it(alice: Actor, app: Cabin, project: Path, listener: Listener) -> None:
    service.change_rules(alice, NOW)
    _channel, key = service.add_webhook(alice, "Desk lamp", f"{listener.url}/lamp")
    begin(alice, project, WAITS)
    visit = listener.next()
    at = int(visit.headers["X-Signalcabin-Timestamp"])
    assert visit.headers["X-Signalcabin-Signature"] == webhook.sign(key, at, visit.body)
    assert visit.headers["X-Signalcabin-Signature"] != webhook.sign(key, at + 1, visit.body)


def test_a_browser_is_told_in_what_it_alone_can_read(
    alice: Actor, app: Cabin, project: Path, listener: Listener
) -> None:
    device = Device()
    service.change_rules(alice, NOW)
    service.add_browser(alice, "Firefox", **device.form(f"{listener.url}/push/abc"))
    session = begin(alice, project, WAITS)
    visit = listener.next()
    told = json.loads(device.read(visit.body))
    assert told["title"].startswith("Needs you: ")
    assert told["url"].endswith(f"/inbox/{asked(alice, session)}")
    assert b"paint" not in visit.body
    assert visit.headers["Content-Encoding"] == "aes128gcm"
    assert visit.headers["Authorization"].startswith("vapid t=")
    assert visit.headers["Authorization"].endswith(f",k={service.public_key(alice)}")


def test_an_end_is_told_and_a_stop_is_not(alice: Actor, project: Path, listener: Listener, hook: Channel) -> None:
    done = begin(alice, project, "[[say All is well.]]")
    assert (told := listener.next().data)["event"] == "done"
    assert told["url"].endswith(f"/sessions/{done}")
    failed = begin(alice, project, "[[error 400]]")
    assert (told := listener.next().data)["event"] == "failed"
    assert told["session"] == failed
    stopped = begin(alice, project, WAITS)
    assert listener.next().data["event"] == "approval"
    sessions.abort(alice, stopped)
    until(lambda: not sessions.get(alice, stopped).is_busy)
    begin(alice, project, "[[say Again.]]")
    assert listener.next().data["event"] == "done"


def test_only_what_a_channel_is_for_is_told(alice: Actor, project: Path, listener: Listener, hook: Channel) -> None:
    service.change_channel(alice, hook.id, ["done", "nonsense"])
    session = begin(alice, project, f"{WAITS} [[say Painted.]]")
    approvals.answer(alice, asked(alice, session), "once")
    assert listener.next().data["event"] == "done"


def test_what_is_answered_by_then_is_not_told(alice: Actor, project: Path, listener: Listener, hook: Channel) -> None:
    service.change_rules(alice, Rules(away_only=False, delay=300))
    session = begin(alice, project, f"{WAITS} [[say Painted.]]")
    approvals.answer(alice, asked(alice, session), "once")
    until(lambda: not sessions.get(alice, session).is_busy)
    for one in settled(alice, "queued", 2):
        make_due(one)
        delivery.deliver(one.id)
    states = {one.occasion: (one.state, one.why) for one in service.list_notices(alice)}
    assert states["approval"] == ("dropped", "it was answered")
    assert listener.next().data["event"] == "done"


def test_whoever_looks_is_told_by_the_page(alice: Actor, project: Path, listener: Listener, hook: Channel) -> None:
    service.change_rules(alice, Rules(away_only=True, delay=0))
    gone = presence.begin(alice.user)
    until(lambda: is_seen(alice))
    session = begin(alice, project, f"{WAITS} [[say Painted.]]")
    put_off = until(lambda: next((one for one in service.list_notices(alice) if one.why), None))
    assert (put_off.state, put_off.why) == ("queued", "you were looking")
    gone()
    forget_presence()
    make_due(put_off)
    delivery.deliver(put_off.id)
    assert listener.next().data["about"] == asked(alice, session)


def test_what_nobody_answers_is_told_even_to_whoever_looks(
    alice: Actor, project: Path, listener: Listener, hook: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "UNSEEN_FOR", 0)
    service.change_rules(alice, Rules(away_only=True, delay=0))
    presence.begin(alice.user)
    until(lambda: is_seen(alice))
    begin(alice, project, WAITS)
    assert listener.next().data["event"] == "approval"


def test_others_are_told_of_what_they_may_answer_if_they_want(
    alice: Actor, app: Cabin, project: Path, listener: Listener
) -> None:
    people = {name: member(alice, name, role) for name, role in (("Bob", "admin"), ("Mia", "member"), ("Max", "admin"))}
    for name, actor in people.items():
        service.add_webhook(actor, name, f"{listener.url}/{name}")
        service.change_rules(actor, Rules(away_only=False, others=name != "Max", delay=0))
    session = begin(alice, project, WAITS)
    assert listener.next().path == "/Bob"
    approvals.answer(alice, asked(alice, session), "reject")
    assert service.list_notices(people["Mia"]) == service.list_notices(people["Max"]) == []


def test_a_server_that_fails_is_asked_again(alice: Actor, project: Path, listener: Listener, hook: Channel) -> None:
    listener.statuses = [503, 429]
    begin(alice, project, WAITS)
    same = {listener.next().data["id"] for _ in range(3)}
    assert len(same) == 1
    assert settled(alice, "sent")[0].tries == 3


def test_one_that_never_answers_well_is_given_up(
    alice: Actor, project: Path, listener: Listener, hook: Channel
) -> None:
    listener.statuses = [500] * 9
    begin(alice, project, WAITS)
    assert settled(alice, "failed")[0].why == "the server there answered 500"
    assert listener.told.qsize() == len(delivery.PAUSES) + 1


def test_one_that_answers_without_end_is_told_once(
    alice: Actor, project: Path, listener: Listener, hook: Channel
) -> None:
    length = (Bounds().size or 0) + 1
    listener.answer = lambda visit: reply(visit, 200, b"x" * length)
    begin(alice, project, WAITS)
    one = settled(alice, "failed")[0]
    assert (one.why, one.tries) == ("the server there answered at too great length", 1)


def test_what_goes_wrong_here_is_tried_so_often_and_no_more(
    alice: Actor, project: Path, hook: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_given: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(senders, "send", break_down)
    begin(alice, project, WAITS)
    one = settled(alice, "failed")[0]
    assert (one.why, one.tries) == ("this server could not send it", len(delivery.PAUSES) + 1)


def test_who_is_here_no_more_is_told_nothing(alice: Actor, app: Cabin, listener: Listener) -> None:
    bob = member(alice, "Bob")
    channel, _key = service.add_webhook(bob, "Lamp", listener.url)
    one = Notice("ntc_1", bob.user, channel.id, "done", "run_1", "", "All is well", "queued", 0, 1, "", 1, None)
    with db.transaction() as connection:
        rows.add(connection, one)
    accounts.revoke_user(alice, bob.user)
    delivery.deliver(one.id)
    assert listener.told.empty()
    with db.read() as connection:
        (found,) = rows.notices(connection, models.notice.c.id == one.id)
    assert (found.state, found.why) == ("dropped", "its reader is gone")


def test_where_somebody_was_told_goes_with_them(alice: Actor, app: Cabin) -> None:
    bob = member(alice, "Bob")
    channel, _key = service.add_webhook(bob, "Lamp", "https://example.com/lamp")
    service.change_rules(bob, NOW)
    accounts.revoke_user(alice, bob.user)
    with db.read() as connection:
        assert rows.channels(connection, models.channel.c.owner == bob.user) == []
        assert rows.rules_of(connection, bob.user) == Rules()
    with pytest.raises(NotFound):
        vault.held(scope_of(channel.id), webhook.SECRET)


@pytest.mark.parametrize("kind", ["browser", "webhook"])
def test_an_address_that_is_gone_is_told_no_more(
    alice: Actor, app: Cabin, project: Path, listener: Listener, kind: str
) -> None:
    service.change_rules(alice, NOW)
    if kind == "browser":
        service.add_browser(alice, "Firefox", **Device().form(f"{listener.url}/push"))
    else:
        service.add_webhook(alice, "Lamp", listener.url)
    listener.statuses = [410]
    begin(alice, project, WAITS)
    settled(alice, "failed")
    (one,) = service.list_channels(alice)
    assert one.ended == "the server there answered 410"
    service.test(alice, one.id)
    settled(alice, "sent")
    assert service.list_channels(alice)[0].ended == ""
    with db.read() as connection:
        acts = connection.execute(audit_rows.select().where(audit_rows.c.action == "notifications.test")).all()
    assert [act.target for act in acts] == [one.id]


def test_an_address_inside_is_never_asked(alice: Actor, app: Cabin, project: Path) -> None:
    service.change_rules(alice, NOW)
    for url in ("https://169.254.169.254/latest", "https://127.0.0.1:9/x", "https://[::1]/"):
        channel, _key = service.add_webhook(alice, "Inside", url)
        service.test(alice, channel.id)
    for one in settled(alice, "failed", 3):
        assert "not allowed" in one.why
    for url in ("ftp://example.com", "file:///etc/passwd", "nonsense", "https://user:pw@example.com/", ""):
        with pytest.raises(Invalid):
            service.add_webhook(alice, "Wrong", url)


def test_a_process_that_died_over_it_leaves_it_to_the_next(
    alice: Actor, app: Cabin, listener: Listener, hook: Channel
) -> None:
    for number, state in enumerate(("queued", "sending")):
        lost = Notice(f"ntc_{number}", alice.user, hook.id, "test", state, "", state, state, 1, 1, "", 1, None)
        with db.transaction() as connection:
            rows.add(connection, lost)
    delivery.sweep()
    assert {listener.next().data["about"] for _ in range(2)} == {"queued", "sending"}
    delivery.sweep()
    assert len(settled(alice, "sent", 2)) == 2
    assert listener.told.empty()


def test_what_was_asked_while_nothing_ran_is_told_at_the_start(
    alice: Actor, project: Path, listener: Listener, app: Cabin
) -> None:
    session = begin(alice, project, WAITS)
    ask = asked(alice, session)
    service.change_rules(alice, NOW)
    service.add_webhook(alice, "Lamp", listener.url)
    delivery.stop()
    delivery.start()
    assert listener.next().data["about"] == ask


def test_nobody_is_flooded_with_tests(alice: Actor, hook: Channel, bob: Actor, listener: Listener) -> None:
    for _ in range(service.MOST_TESTS):
        service.test(alice, hook.id)
    with pytest.raises(Limited):
        service.test(alice, hook.id)
    assert service.test(bob, service.add_webhook(bob, "Lamp", f"{listener.url}/bob")[0].id)


def test_everybody_has_their_own(alice: Actor, hook: Channel, bob: Actor) -> None:
    assert service.list_channels(bob) == []
    for act in (service.test, service.remove_channel, lambda *given: service.change_channel(*given, OCCASIONS)):
        with pytest.raises(NotFound):
            act(bob, hook.id)
    agent = Actor(id="agent:x", kind="agent", user=alice.user, name="agent", grants=("*",))
    with pytest.raises(Denied):
        service.add_webhook(agent, "Mine", "https://example.com")


def test_what_is_wrong_is_refused(alice: Actor, app: Cabin, hook: Channel) -> None:
    with pytest.raises(Conflict):
        service.add_webhook(alice, "Again", hook.address)
    with pytest.raises(Invalid):
        service.change_rules(alice, Rules(delay=7))
    good = Device().form("https://push.example.com/x")
    for wrong in (
        {"p256dh": "AAAA"},
        {"auth": "=" * 22},
        {"p256dh": "é" * 87},
        {"endpoint": "nonsense"},
    ):
        with pytest.raises(Invalid):
            service.add_browser(alice, "Firefox", **{**good, **wrong})


def is_seen(actor: Actor) -> bool:
    with db.read() as connection:
        return presence.is_looking(connection, actor.user)


def forget_presence() -> None:
    with db.transaction() as connection:
        connection.execute(models.presence.delete())


def make_due(one: Notice) -> None:
    with db.transaction() as connection:
        connection.execute(models.notice.update().where(models.notice.c.id == one.id).values(due=0))


def test_nothing_of_a_session_outlives_it(alice: Actor, project: Path, listener: Listener, hook: Channel) -> None:
    session = begin(alice, project, "[[say All is well.]]")
    listener.next()
    settled(alice, "sent")
    sessions.delete(alice, session)
    until(lambda: service.list_notices(alice) == [])


def test_who_is_gone_is_told_nothing(app: Cabin, alice: Actor, listener: Listener) -> None:
    bob = member(alice, "Bob")
    channel, _key = service.add_webhook(bob, "Lamp", listener.url)
    one = Notice("ntc_1", bob.user, channel.id, "done", "run_1", "ses_1", "Done", "queued", 0, 1, "", 1, None)
    with db.transaction() as connection:
        rows.add(connection, one)
    accounts.revoke_user(alice, bob.user)
    delivery.deliver(one.id)
    with db.read() as connection:
        assert [(row.state, row.why) for row in rows.notices(connection)] == [("dropped", "its reader is gone")]
    assert listener.told.empty()


def test_the_log_goes_back_a_month(app: Cabin, alice: Actor, hook: Channel) -> None:
    month = delivery.KEPT_DAYS * 24 * 3600 * 1000
    for number, age in enumerate((month + 60_000, month - 60_000)):
        then = ids.now() - age
        old = Notice(f"ntc_{number}", alice.user, hook.id, "done", str(number), "", "", "sent", 1, then, "", then, then)
        with db.transaction() as connection:
            rows.add(connection, old)
    delivery.stop()
    delivery.start()
    until(lambda: [one.id for one in service.list_notices(alice)] == ["ntc_1"])
