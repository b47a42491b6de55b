"""Lists and transcripts in a kept spelling are never older than what was written, on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from app import config, db, dispatch
from app.actor import Actor
from app.config import Config
from app.sessions import service
from app.sessions.opencode import shapes
from app.sessions.service import Hold, Message, Session
from app.spelling import Spelling
from tests import migrated

TEXT = [{"type": "text", "text": "Fix the basket"}]
TOOL = {"callID": "call_1", "tool": "bash", "state": {"status": "running", "input": {"command": "ls"}}}


@pytest.fixture(autouse=True, params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[db.Database]:
    """A database in use, of each engine; nothing is woken."""
    if request.param == "sqlite":
        migrated.copy_into(tmp_path)
        url = f"sqlite:///{tmp_path / 'signalcabin.db'}"
    else:
        url = request.getfixturevalue("postgres_database")
    config.use(Config(data_dir=tmp_path, database_url=url, testing=True))
    monkeypatch.setattr(dispatch, "wake", lambda _name, _run_id: None)
    opened = db.Database(url)
    db.use(opened)
    yield opened
    opened.close()


@pytest.fixture
def session(alice: Actor) -> Session:
    """A session of Alice's."""
    thing = SimpleNamespace(id="prj_shop", owner=alice.user, project="prj_shop", visibility="team")
    return service.create(alice, SimpleNamespace(project=thing, directory=Path("/nowhere")))


def spelled(actor: Actor, session: Session, spelling: Spelling[Message], **which: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(
        orjson.dumps(service.spell_transcript(actor, session.id, spelling, **which))
    )
    return found


def written(actor: Actor, session: Session) -> list[dict[str, Any]]:
    return [shapes.with_parts(message) for message in service.transcript(actor, session.id)]


def turn(actor: Actor, session: Session) -> Iterator[Callable[[], Any]]:
    """Each write of a whole turn, one after the other."""
    sent, run_id = service.send(actor, session.id, TEXT)
    assert run_id is not None
    hold = service.take(run_id)
    assert isinstance(hold, Hold)
    answer = service.add_message(hold, {"parentID": sent.id})
    text = service.add_part(hold, answer.id, "text", {"text": "", "time": {"start": 1}})
    yield lambda: service.append_text(hold, text, "All ", 4).result(timeout=10)
    yield lambda: service.append_text(hold, text, "done", 8).result(timeout=10)
    tool = service.add_part(hold, answer.id, "tool", TOOL)
    tool.data["state"] = {**TOOL["state"], "status": "completed", "output": "a\nb"}  # type: ignore[dict-item]
    yield lambda: service.save_part(hold, tool, act="ran ls")
    yield lambda: service.save_message(hold, answer, completed=True, finish="stop")
    yield lambda: service.add_part(hold, sent.id, "text", {"text": "a note on the prompt"})
    yield lambda: service.save_part(hold, replace(tool, data={**tool.data, "metadata": {"late": True}}))
    yield lambda: service.set_todos(hold, [{"content": "x", "status": "pending", "priority": "low", "id": "1"}])
    yield lambda: service.add_usage(hold, 0.25, {"input": 10, "output": 2})
    yield lambda: service.finish(hold, "done")


def test_a_transcript_shows_every_write_of_a_turn(alice: Actor, session: Session) -> None:
    spelling = Spelling(shapes.with_parts)
    for write in turn(alice, session):
        spelled(alice, session, spelling)
        write()
        assert spelled(alice, session, spelling) == written(alice, session)


def test_a_list_shows_every_write_of_a_turn(alice: Actor, session: Session) -> None:
    spelling = Spelling(lambda found: found.plain())
    for write in turn(alice, session):
        service.spell_page(alice, spelling)
        write()
        [listed] = orjson.loads(orjson.dumps(service.spell_page(alice, spelling)))
        assert listed == service.get(alice, session.id).plain()


def test_a_list_shows_a_new_title_at_once(alice: Actor, session: Session) -> None:
    spelling = Spelling(shapes.session)
    service.spell_page(alice, spelling)
    service.update(alice, session.id, title="Another name")
    [listed] = orjson.loads(orjson.dumps(service.spell_page(alice, spelling)))
    assert listed["title"] == "Another name"


def test_a_prompt_after_a_revert_to_a_part_takes_the_parts_away(alice: Actor, session: Session) -> None:
    spelling = Spelling(shapes.with_parts)
    two = [{"type": "text", "text": "first"}, {"type": "text", "text": "second"}]
    sent, _ = service.send(alice, session.id, two, no_reply=True)
    spelled(alice, session, spelling)
    service.set_revert(alice, session.id, {"messageID": sent.id, "partID": sent.parts[1].id})
    service.send(alice, session.id, TEXT, no_reply=True)
    assert [[part["text"] for part in message["parts"]] for message in spelled(alice, session, spelling)] == [
        ["first"],
        ["Fix the basket"],
    ]


def test_a_page_of_a_transcript_ends_before_a_message(alice: Actor, session: Session) -> None:
    spelling = Spelling(shapes.with_parts)
    sent = [service.send(alice, session.id, TEXT, no_reply=True)[0].id for _ in range(4)]
    page = spelled(alice, session, spelling, before=sent[3], limit=2)
    assert [message["info"]["id"] for message in page] == sent[1:3]
