"""How a streamed answer is written: at once, then in pieces, never more than was stored."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from app import db, dispatch, record, redact
from app.actor import Actor
from app.agent import writer as writing
from app.agent.providers import CallDelta, CallDone, ReasoningDelta, TextDelta
from app.agent.writer import FLUSH, INVALID_JSON, RETRIED, StepWriter
from app.sessions import service as sessions
from app.sessions.service import Fenced, Hold, Message
from tests.patience import PATIENCE


class Clock:
    """The timer of flushes: nothing is due until the test says so."""

    def __init__(self) -> None:
        self.due: list[Callable[[], object]] = []

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        assert seconds == FLUSH
        self.due.append(call)

    def strike(self) -> None:
        due, self.due = self.due, []
        for call in due:
            call()


@pytest.fixture(autouse=True)
def nothing_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests keep secret holds nothing back here."""
    monkeypatch.setattr(redact, "_live", redact.Redactor())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time stands still."""
    made = Clock()
    monkeypatch.setattr(writing, "ticks", made)
    return made


@pytest.fixture
def hold(alice: Actor, monkeypatch: pytest.MonkeyPatch) -> Hold:
    """A run that nobody drives."""
    monkeypatch.setattr(dispatch, "wake", lambda *_: None)
    project = SimpleNamespace(id="prj_1", owner=alice.user, project="prj_1", visibility="team")
    session = sessions.create(alice, SimpleNamespace(project=project, directory="/nowhere"))
    _, run_id = sessions.send(alice, session.id, [{"type": "text", "text": "go"}])
    held = sessions.take(run_id or "")
    assert held is not None
    return held


@pytest.fixture
def message(hold: Hold) -> Message:
    """An answer that begins."""
    return sessions.add_message(hold, {"parentID": hold.run.message_id})


@pytest.fixture
def writer(hold: Hold, message: Message, clock: Clock) -> StepWriter:
    """Writes that answer."""
    return StepWriter(hold, message)


def settle() -> None:
    """Wait until all appends so far are stored."""
    db.append(lambda _connection: None).result(PATIENCE)


def deltas() -> list[tuple[str, int]]:
    settle()
    with db.read() as connection:
        query = sa.select(record.events.c.data).where(record.events.c.kind == "sessions.part_delta")
        return [(data["delta"], data["end"]) for data in connection.scalars(query.order_by(record.events.c.seq))]


def parts(hold: Hold, message: Message) -> list[sessions.Part]:
    return sessions.refresh(hold, message).parts


def test_the_first_piece_goes_out_at_once_and_then_one_write_a_tick(
    writer: StepWriter, clock: Clock, hold: Hold, message: Message
) -> None:
    for piece in ("He", "l", "lo"):
        writer.take(TextDelta(piece))
    assert deltas() == [("He", 2)]
    clock.strike()
    assert deltas() == [("He", 2), ("llo", 5)]
    clock.strike()
    assert clock.due == []
    writer.take(TextDelta(" you"))
    writer.take(TextDelta("!"))
    assert deltas()[2:] == [(" you", 9)]
    writer.close()
    assert deltas()[3:] == [("!", 10)]
    [part] = parts(hold, message)
    assert part.data["text"] == "Hello you!"
    assert "end" in part.data["time"]


def test_all_that_was_shown_is_stored_at_any_moment(
    writer: StepWriter, clock: Clock, hold: Hold, message: Message
) -> None:
    for number in range(30):
        writer.take(TextDelta(f"{number} "))
        if number % 3 == 0:
            clock.strike()
        shown = "".join(delta for delta, _ in deltas())
        assert parts(hold, message)[0].data["text"] == shown
        assert deltas()[-1][1] == len(shown)


def test_a_tick_after_the_end_writes_nothing(writer: StepWriter, clock: Clock) -> None:
    writer.take(TextDelta("a"))
    writer.take(TextDelta("b"))
    writer.close()
    before = deltas()
    clock.strike()
    writer.close()
    assert deltas() == before


def test_the_end_is_trimmed_and_nothing_but_space_is_no_text(writer: StepWriter, hold: Hold, message: Message) -> None:
    writer.take(TextDelta("\n\n"))
    assert parts(hold, message) == []
    writer.take(TextDelta("Yes. \n"))
    writer.close()
    assert [part.data["text"] for part in parts(hold, message)] == ["Yes."]


def test_thinking_and_speaking_take_turns(writer: StepWriter, hold: Hold, message: Message) -> None:
    for delta in (ReasoningDelta("Hm"), ReasoningDelta("."), TextDelta("Yes"), ReasoningDelta("But")):
        writer.take(delta)
    writer.close()
    found = [(part.type, part.data["text"]) for part in parts(hold, message)]
    assert found == [("reasoning", "Hm."), ("text", "Yes"), ("reasoning", "But")]
    assert all("end" in part.data["time"] for part in parts(hold, message))


def test_a_signed_thought_is_kept_as_it_came(writer: StepWriter, hold: Hold, message: Message) -> None:
    for delta in (ReasoningDelta("\n"), ReasoningDelta(" Hm. \n"), ReasoningDelta("", "sig1"), ReasoningDelta("More")):
        writer.take(delta)
    writer.take(ReasoningDelta("", "sig2", redacted=True))
    writer.take(ReasoningDelta("", "sig3"))
    writer.close()
    assert [(part.data["text"], part.data.get("signature")) for part in parts(hold, message)] == [
        ("\n Hm. \n", "sig1"),
        ("More", None),
        ("", "sig2"),
        ("", "sig3"),
    ]
    assert [bool(part.data.get("redacted")) for part in parts(hold, message)] == [False, False, True, False]


def test_signatures_of_texts_and_calls_are_kept(writer: StepWriter, hold: Hold, message: Message) -> None:
    writer.take(TextDelta("", "of nothing"))
    for delta in (TextDelta("Yes. "), TextDelta("", "sig1"), CallDone("c1", "read", {}, "sig2")):
        writer.take(delta)
    writer.close()
    text, call = parts(hold, message)
    assert (text.data["text"], text.data["signature"]) == ("Yes. ", "sig1")
    assert call.data["signature"] == "sig2"


def test_what_a_failed_try_wrote_is_marked(writer: StepWriter, hold: Hold, message: Message) -> None:
    for delta in (
        ReasoningDelta("Hm"),
        TextDelta("Half"),
        CallDelta(0, "c1", "read", '{"file'),
        CallDone("c2", "read", {}),
    ):
        writer.take(delta)
    writer.close()
    writer.mark_retried()
    found = parts(hold, message)
    assert [part.data["metadata"] for part in found] == [{"retried": True}] * 4
    assert [part.data["text"] for part in found[:2]] == ["Hm", "Half"]
    assert [part.data["state"]["error"] for part in found[2:]] == [RETRIED] * 2


def test_a_call_is_seen_before_its_arguments(writer: StepWriter, hold: Hold, message: Message) -> None:
    writer.take(TextDelta("Look:"))
    writer.take(CallDelta(0, "c1", "", ""))
    writer.take(CallDelta(0, "c1", "read", '{"file'))
    text, call = parts(hold, message)
    assert "end" in text.data["time"]
    assert call.data["state"] == {"status": "pending", "input": {}, "raw": ""}
    writer.take(CallDone("c1", "read", {"filePath": "a"}))
    assert parts(hold, message)[1].data["state"]["input"] == {"filePath": "a"}


@pytest.mark.parametrize("given", ['{"a": ', {"a": ["b\0"]}])
def test_arguments_that_cannot_be_used_are_an_error(
    writer: StepWriter, hold: Hold, message: Message, given: object
) -> None:
    writer.take(CallDone("c1", "read", given))  # type: ignore[arg-type]
    state = parts(hold, message)[0].data["state"]
    assert (state["status"], state["error"]) == ("error", INVALID_JSON)


def test_a_call_without_a_name_is_still_a_call(writer: StepWriter, hold: Hold, message: Message) -> None:
    writer.take(CallDone("c1", "", {}))
    writer.take(CallDone("c1", "read", {}))
    assert [part.data["callID"] for part in parts(hold, message)] == ["c1", "c1_"]


def test_a_writer_whose_run_is_lost_says_so(writer: StepWriter, hold: Hold) -> None:
    writer.take(TextDelta("a"))
    settle()
    hold.fence -= 1
    writer.take(TextDelta("b"))
    with pytest.raises(Fenced):
        writer.close()
    assert deltas() == [("a", 1)]


def test_what_may_become_a_secret_waits_and_its_first_letters_do_not(writer: StepWriter, clock: Clock) -> None:
    redact.watch("KEY", "end-of-the-line-9")
    writer.take(TextDelta("Once upon a time"))
    assert deltas() == [("Once upon a tim", 15)]
    clock.strike()
    assert deltas()[1:] == [("e", 16)]
    writer.take(TextDelta("nd-of-the"))
    clock.strike()
    assert deltas()[2:] == []
    writer.take(TextDelta("-line-9!"))
    clock.strike()
    writer.close()
    assert "".join(delta for delta, _end in deltas()) == "Once upon a time[secret:KEY]!"
