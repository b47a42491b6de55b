"""Quiet hours: nothing is told in them, and when they end what still matters is, together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from app import db, ids
from app.actor import Actor
from app.agent import service as agent  # noqa: F401 - what runs wake
from app.approvals import service as approvals
from app.approvals.events import Asked
from app.approvals.service import Ask
from app.errors import Invalid
from app.notifications import deciding, delivery, models, presence, quiet, rows, senders, service
from app.notifications.senders import Told
from app.notifications.service import Channel, Notice, Rules
from app.sessions import service as sessions
from tests.accounts.conftest import Clock
from tests.approvals.asking import hold_of, runs

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Rules(away_only=False, delay=0, quiet=True, quiet_from=22 * 60, quiet_to=7 * 60, zone="Europe/Berlin")


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> int:
    """A moment of a place's clock in unix ms."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp() * 1000)


def until(rules: Rules, text: str, fold: int = 0) -> str | None:
    """When the quiet ends that this moment lies in, on the clock of the place."""
    end = quiet.end_of(rules, at(text, fold=fold))
    return None if end is None else f"{datetime.fromtimestamp(end / 1000, BERLIN):%a %H:%M}"


@pytest.mark.parametrize(("moment", "end"), [
    ("2026-06-10 21:59:59", None),  # a Wednesday
    ("2026-06-10 22:00", "Thu 07:00"),
    ("2026-06-10 23:59:59", "Thu 07:00"),
    ("2026-06-11 00:00", "Thu 07:00"),
    ("2026-06-11 06:59:59", "Thu 07:00"),
    ("2026-06-11 07:00", None),
    ("2026-06-11 12:00", None),
])  # fmt: skip
def test_a_night_crosses_midnight(moment: str, end: str | None) -> None:
    assert until(NIGHT, moment) == end


@pytest.mark.parametrize(("moment", "end"), [
    ("2026-06-10 12:59", None),
    ("2026-06-10 13:00", "Wed 14:30"),
    ("2026-06-10 14:29:59", "Wed 14:30"),
    ("2026-06-10 14:30", None),
])  # fmt: skip
def test_a_pause_lies_within_a_day(moment: str, end: str | None) -> None:
    assert until(replace(NIGHT, quiet_from=13 * 60, quiet_to=14 * 60 + 30), moment) == end


def test_days_are_those_on_which_it_begins() -> None:
    fridays = replace(NIGHT, quiet_days="5")
    assert until(fridays, "2026-06-12 23:00") == "Sat 07:00"
    assert until(fridays, "2026-06-13 03:00") == "Sat 07:00"
    assert until(fridays, "2026-06-13 23:00") is None
    assert until(fridays, "2026-06-12 03:00") is None


def test_times_that_follow_one_another_are_one() -> None:
    weekend = replace(NIGHT, quiet_from=0, quiet_to=0, quiet_days="67")
    assert until(weekend, "2026-06-13 10:00") == "Mon 00:00"
    assert until(weekend, "2026-06-14 23:59:59") == "Mon 00:00"
    assert until(weekend, "2026-06-15 00:00") is None


@pytest.mark.parametrize(("moment", "fold", "end", "hours"), [
    ("2026-03-28 23:00", 0, "Sun 07:00", 7),  # the clock goes forward in this night
    ("2026-10-24 23:00", 0, "Sun 07:00", 9),  # and back in this one
    ("2026-10-25 02:30", 0, "Sun 07:00", 5.5),
    ("2026-10-25 02:30", 1, "Sun 07:00", 4.5),
])  # fmt: skip
def test_the_clock_changes_in_the_night(moment: str, fold: int, end: str, hours: float) -> None:
    assert until(NIGHT, moment, fold) == end
    began = at(moment, fold=fold)
    assert quiet.end_of(NIGHT, began) == began + hours * 3_600_000


def test_an_end_that_the_clock_leaves_out_is_the_one_that_comes_in_its_place() -> None:
    early = replace(NIGHT, quiet_to=2 * 60 + 30)
    assert until(early, "2026-03-28 23:00") == "Sun 03:30"
    # Of one that comes twice it is the first.
    assert until(early, "2026-10-25 02:15") == "Sun 02:30"
    assert until(early, "2026-10-25 02:15", fold=1) is None


def test_it_is_the_persons_own_clock() -> None:
    tokyo = replace(NIGHT, zone="Asia/Tokyo")
    noon = int(datetime(2026, 6, 10, 15, 0, tzinfo=UTC).timestamp() * 1000)
    assert quiet.end_of(NIGHT, noon) is None
    assert quiet.end_of(tokyo, noon) == at("2026-06-11 07:00", ZoneInfo("Asia/Tokyo"))
    assert quiet.end_of(replace(NIGHT, zone="UTC"), at("2026-06-10 23:30")) is None  # 21:30 there
    assert quiet.end_of(replace(NIGHT, quiet=False), at("2026-06-10 23:30")) is None


@pytest.mark.parametrize(("changes", "field"), [
    ({"zone": "Mars/Olympus"}, "zone"),
    ({"zone": "../../etc/passwd"}, "zone"),
    ({"quiet_from": -1}, "quiet_from"),
    ({"quiet_to": 1440}, "quiet_from"),
    ({"quiet_days": ""}, "quiet_days"),
    ({"quiet_days": "8"}, "quiet_days"),
    ({"quiet_days": "11"}, "quiet_days"),
    ({"quiet_from": 60, "quiet_to": 60}, "quiet_to"),
])  # fmt: skip
def test_hours_that_are_none_are_refused(database: db.Database, alice: Actor, changes: object, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        service.change_rules(alice, replace(NIGHT, **changes))  # type: ignore[arg-type]
    assert caught.value.field == field
    assert service.rules_of(alice) == Rules()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Half an hour into a night of Berlin."""
    made = Clock()
    made.time = at("2026-06-10 22:30")
    monkeypatch.setattr(ids, "now", made)
    return made


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    """What was sent."""
    told: list[Told] = []
    monkeypatch.setattr(senders, "send", lambda _channel, one: told.append(one))
    return told


@pytest.fixture
def lamp(either_database: db.Database, clock: Clock, alice: Actor) -> Channel:
    """Alice's lamp, which is quiet at night, for what waits too; on both databases."""
    service.change_rules(alice, replace(NIGHT, quiet_lets=False))
    return service.add_webhook(alice, "Lamp", "https://example.com/lamp")[0]


def tell(*found: Notice) -> None:
    """Try to send these now."""
    for one in found:
        delivery.deliver(one.id)


def ask_of(actor: Actor, directory: Path) -> Ask:
    """What an agent waits for."""
    return runs(hold_of(actor, directory), "make paint")


def waiting(actor: Actor, directory: Path) -> tuple[Ask, Notice]:
    """That, and the notice of it."""
    ask = ask_of(actor, directory)
    (one,) = deciding.of_ask(Asked(session_id=ask.session_id, ask=ask.plain()))
    return ask, one


def ended(actor: Actor, channel: Channel, number: int) -> Notice:
    """The notice of a session that is done."""
    now = ids.now()
    one = Notice(f"ntc_{number}", actor.user, channel.id, "done", f"run_{number}", "", "Paint", "queued", 0, now, "", now, None)  # fmt: skip
    with db.transaction() as connection:
        assert rows.add(connection, one)
    return one


def states(actor: Actor) -> list[tuple[str, str, str]]:
    """How all came out, oldest first."""
    return [(one.occasion, one.state, one.why) for one in reversed(service.list_notices(actor))]


def test_what_comes_in_them_is_told_when_they_end_in_one_summary(
    clock: Clock, alice: Actor, lamp: Channel, sent: list[Told], tmp_path: Path
) -> None:
    ask, first = waiting(alice, tmp_path)
    clock.pass_by(hours=1)
    second = ended(alice, lamp, 1)
    tell(first, second)
    assert sent == []
    assert states(alice) == [("approval", "held", "quiet hours"), ("done", "held", "quiet hours")]
    assert {one.due for one in service.list_notices(alice)} == {at("2026-06-11 07:00")}
    clock.time = at("2026-06-11 06:59:59")
    delivery.tell_held(lamp.id)
    assert sent == []
    clock.time = at("2026-06-11 07:00")
    delivery.tell_held(lamp.id)
    (told,) = sent
    assert (told.occasion, told.title) == ("summary", "1 approval waits, 1 session is done")
    assert told.url.endswith("/inbox")
    assert [(one.occasion, one.about) for one in told.items] == [("approval", ask.id), ("done", "run_1")]
    assert states(alice) == [
        ("approval", "joined", "told in one summary"),
        ("done", "joined", "told in one summary"),
        ("summary", "sent", ""),
    ]
    delivery.tell_held(lamp.id)
    assert len(sent) == 1


def test_what_is_answered_by_then_is_not_told(
    clock: Clock, alice: Actor, lamp: Channel, sent: list[Told], tmp_path: Path
) -> None:
    ask, one = waiting(alice, tmp_path)
    tell(one)
    approvals.answer(alice, ask.id, "reject", "no")
    clock.time = at("2026-06-11 07:00")
    delivery.tell_held(lamp.id)
    assert sent == []
    assert states(alice) == [("approval", "dropped", "it was answered")]


def test_one_alone_is_told_as_it_is(
    clock: Clock, alice: Actor, lamp: Channel, sent: list[Told], tmp_path: Path
) -> None:
    ask, one = waiting(alice, tmp_path)
    tell(one)
    clock.time = at("2026-06-11 07:00")
    delivery.tell_held(lamp.id)
    assert [(told.id, told.about, told.items) for told in sent] == [(one.id, ask.id, ())]
    assert states(alice) == [("approval", "sent", "")]


def test_what_waits_may_pass(clock: Clock, alice: Actor, lamp: Channel, sent: list[Told], tmp_path: Path) -> None:
    service.change_rules(alice, replace(NIGHT, quiet_lets=True))
    _ask, one = waiting(alice, tmp_path)
    clock.pass_by(minutes=1)
    tell(one, ended(alice, lamp, 1))
    assert [told.occasion for told in sent] == ["approval"]
    assert states(alice)[1] == ("done", "held", "quiet hours")


def test_a_test_is_told_at_any_time(clock: Clock, alice: Actor, lamp: Channel, sent: list[Told]) -> None:
    tell(service.test(alice, lamp.id))
    assert [told.occasion for told in sent] == ["test"]


def test_each_channel_has_a_summary_of_its_own(
    clock: Clock, alice: Actor, lamp: Channel, sent: list[Told], tmp_path: Path
) -> None:
    bell = service.add_webhook(alice, "Bell", "https://example.com/bell")[0]
    service.change_channel(alice, bell.id, ["done"])
    tell(*[ended(alice, channel, number) for number, channel in enumerate((lamp, lamp, bell, bell, bell))])
    clock.time = at("2026-06-11 07:00")
    delivery.sweep()  # without threads it only asks for it
    for channel in (lamp, bell):
        delivery.tell_held(channel.id)
    assert [(told.title, len(told.items)) for told in sent] == [("2 sessions are done", 2), ("3 sessions are done", 3)]
    assert all(told.url.endswith("/sessions") for told in sent)


def test_whoever_looks_when_they_end_is_told_by_the_page(
    clock: Clock, alice: Actor, lamp: Channel, sent: list[Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.change_rules(alice, replace(NIGHT, quiet_lets=False, away_only=True))
    ask, one = waiting(alice, tmp_path)
    clock.pass_by(minutes=1)
    tell(one, ended(alice, lamp, 1))
    monkeypatch.setattr(presence, "is_looking", lambda _connection, user: user == alice.user)
    clock.time = at("2026-06-11 07:00")
    delivery.tell_held(lamp.id)
    assert sent == []
    assert states(alice) == [("approval", "held", "you were looking"), ("done", "dropped", "you were looking")]
    clock.pass_by(minutes=5)
    delivery.tell_held(lamp.id)
    assert [told.about for told in sent] == [ask.id]


def test_other_hours_move_what_is_held(
    clock: Clock, alice: Actor, lamp: Channel, sent: list[Told], tmp_path: Path
) -> None:
    tell(ended(alice, lamp, 1), ended(alice, lamp, 2))
    service.change_rules(alice, replace(NIGHT, quiet_lets=False, quiet_to=9 * 60))
    clock.time = at("2026-06-11 07:00")
    delivery.tell_held(lamp.id)
    assert sent == []
    service.change_rules(alice, replace(NIGHT, quiet=False))
    delivery.tell_held(lamp.id)
    assert [told.title for told in sent] == ["2 sessions are done"]


def test_a_channel_that_ended_tells_nothing(clock: Clock, alice: Actor, lamp: Channel, sent: list[Told]) -> None:
    tell(ended(alice, lamp, 1), ended(alice, lamp, 2))
    service.remove_channel(alice, lamp.id)
    clock.time = at("2026-06-11 07:00")
    delivery.tell_held(lamp.id)
    assert sent == []
    assert {why for _what, _state, why in states(alice)} == {"the channel is gone"}


def test_a_summary_that_fails_is_tried_again(
    clock: Clock, alice: Actor, lamp: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def later(_channel: Channel, _told: Told) -> None:
        raise senders.Later("the server there answered 503")

    monkeypatch.setattr(senders, "send", later)
    tell(ended(alice, lamp, 1), ended(alice, lamp, 2))
    clock.time = at("2026-06-11 07:00")
    delivery.tell_held(lamp.id)
    assert states(alice)[-1] == ("summary", "queued", "the server there answered 503")
    told: list[Told] = []
    monkeypatch.setattr(senders, "send", lambda _channel, one: told.append(one))
    tell(next(one for one in service.list_notices(alice) if one.occasion == "summary"))
    assert [len(one.items) for one in told] == [2]


def test_a_summary_that_is_tried_again_tells_only_what_still_matters(
    clock: Clock, alice: Actor, lamp: Channel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ask, first = waiting(alice, tmp_path)
    clock.pass_by(minutes=1)
    tell(first, ended(alice, lamp, 1))
    summary = failing(lamp, clock, monkeypatch, senders.Later("the server there answered 503"))
    approvals.answer(alice, ask.id, "reject", "no")
    told: list[Told] = []
    monkeypatch.setattr(senders, "send", lambda _channel, one: told.append(one))
    tell(summary(alice))
    assert [(one.title, [item.about for item in one.items]) for one in told] == [("1 session is done", ["run_1"])]
    assert states(alice) == [
        ("approval", "dropped", "it was answered"),
        ("done", "joined", "told in one summary"),
        ("summary", "sent", ""),
    ]
    assert summary(alice).title == "1 session is done"


def test_a_summary_of_which_nothing_matters_any_more_is_not_told(
    clock: Clock, alice: Actor, lamp: Channel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sent: list[Told]
) -> None:
    asks = [waiting(alice, tmp_path) for _ in range(2)]
    tell(*[one for _ask, one in asks])
    with monkeypatch.context() as meanwhile:
        summary = failing(lamp, clock, meanwhile, senders.Later("the server there answered 503"))
    for ask, _one in asks:
        approvals.answer(alice, ask.id, "reject", "no")
    tell(summary(alice))
    assert sent == []
    assert states(alice)[-1] == ("summary", "dropped", "nothing of it is to be told any more")


def test_what_a_summary_that_was_refused_is_of_was_not_told_either(
    clock: Clock, alice: Actor, lamp: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(ended(alice, lamp, 1), ended(alice, lamp, 2))
    failing(lamp, clock, monkeypatch, senders.Refused("the server there answered 400"))
    assert {(state, why) for _what, state, why in states(alice)} == {("failed", "the server there answered 400")}


def failing(
    channel: Channel, clock: Clock, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> Callable[[Actor], Notice]:
    """Let quiet end while the channel's server fails so; what finds the summary."""

    def send(_channel: Channel, _told: Told) -> None:
        raise failure

    monkeypatch.setattr(senders, "send", send)
    clock.time = at("2026-06-11 07:00")
    delivery.tell_held(channel.id)
    return lambda actor: next(one for one in service.list_notices(actor) if one.occasion == "summary")


def test_two_processes_tell_it_once(clock: Clock, alice: Actor, lamp: Channel, sent: list[Told]) -> None:
    tell(*[ended(alice, lamp, number) for number in range(4)])
    clock.time = at("2026-06-11 07:00")
    begin = threading.Barrier(6)

    def work(_number: int) -> None:
        begin.wait()
        delivery.tell_held(lamp.id)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert [(told.title, len(told.items)) for told in sent] == [("4 sessions are done", 4)]


def test_nobody_is_told_of_what_is_private_by_then(
    clock: Clock, alice: Actor, bob: Actor, lamp: Channel, sent: list[Told], tmp_path: Path
) -> None:
    from tests.conftest import member

    eve = member(alice, "Eve", "admin")
    service.change_rules(eve, replace(NIGHT, quiet_lets=False, others=True))
    hook = service.add_webhook(eve, "Hers", "https://example.com/hers")[0]
    ask = ask_of(bob, tmp_path)
    tell(*deciding.of_ask(Asked(session_id=ask.session_id, ask=ask.plain())))
    sessions.update(bob, ask.session_id, visibility="private")
    clock.time = at("2026-06-11 07:00")
    delivery.tell_held(hook.id)
    assert sent == []
    assert states(eve) == []  # its title is private, too
    with db.read() as connection:
        (kept,) = rows.notices(connection, models.notice.c.owner == eve.user)
    assert (kept.state, kept.why) == ("dropped", "it is out of your sight")


def test_rows_are_what_counts_not_this_process(clock: Clock, alice: Actor, lamp: Channel) -> None:
    tell(ended(alice, lamp, 1))
    clock.time = at("2026-06-11 07:00")
    with db.read() as connection:
        from app.notifications import holding

        assert holding.due_channels(connection, ids.now()) == [lamp.id]
        assert holding.held(connection) == {lamp.id: at("2026-06-11 07:00")}
        assert rows.notices(connection, models.notice.c.state == "held")[0].tries == 0
