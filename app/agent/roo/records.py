"""A transcript as Roo keeps it: a list of records, each a `say` or an `ask`, and the conversation with the model.

Pure. Records stand in the order of their times, and a time names one record: who has read up to one asks for what is
later. What grows is the last of them (`partial`), under its first time. What does not begin with the task's first
message may be the end of a transcript: its records are the same as within the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import orjson

from app.agent.conversation import was_retried
from app.agent.roo import asks
from app.agent.tasks import DENIED
from app.approvals.service import Ask
from app.sessions.service import Message, Part, Run

RESUME = "resume_task"
_CLOCK = 4096  # ids count so many to the millisecond


class Record(NamedTuple):
    """One record; `ts` in unix ms, `kind` its subtype, `is_person` for what a person wrote.

    `source` is what it was made of: the id of a message, a part, an ask or a run, and which record of that it is.
    A tuple, for a long task has thousands, which are made anew each time.
    """

    ts: int
    type: Literal["say", "ask"]
    kind: str
    text: str = ""
    images: tuple[str, ...] = ()
    partial: bool = False
    is_person: bool = False
    source: str = ""

    def shown(self, *, legacy: bool = False) -> dict[str, Any]:
        """The keys of both editions; the older one names the speaker where the newer says `say` or `ask`."""
        role = "user" if self.is_person else "assistant"
        shape: dict[str, Any] = {
            "ts": self.ts,
            "type": role if legacy else self.type,
            self.type: self.kind,
            "text": self.text,
            "content": self.text,
            "role": role,
        }
        if self.images:
            shape["images"] = list(self.images)
        if self.partial:
            shape["partial"] = True
        return shape

    @property
    def says(self) -> bool:
        """Whether it says something to people."""
        return (bool(self.text) and self.kind != "api_req_started") or self.kind == RESUME

    @property
    def words(self) -> str:
        """What it says in a line of `lastMessage`."""
        return f"ask {self.kind}: {self.text}" if self.type == "ask" else self.text


def of(
    transcript: Iterable[Message], asked: Iterable[Ask], stopped: Run | None = None, *, is_whole: bool = True
) -> list[Record]:
    """The records of a transcript; `asked` are its asks, answered ones too, `stopped` a run that can go on.

    With `is_whole` it begins with the task's first message.
    """
    by_part: dict[str, list[Ask]] = {}
    for ask in asked:
        by_part.setdefault(ask.part_id, []).append(ask)
    said = [record for message in transcript for record in _of_message(message, by_part)]
    said.sort(key=lambda record: record.ts)
    if stopped is not None:
        at = max(stopped.ended or stopped.created, said[-1].ts if said else 0)
        said.append(Record(at, "ask", RESUME, source=stopped.id))
    said = list(_one_after_the_other(said))
    if is_whole and said and said[0].kind == "user_feedback":
        said[0] = said[0]._replace(kind="text")
    return said


def conversation(transcript: Iterable[Message]) -> list[dict[str, Any]]:
    """What went to the model and came back: `[{role, content, ts}]`, content a text or blocks."""
    return [one for message in transcript for one in _told(message)]


def _of_message(message: Message, by_part: dict[str, list[Ask]]) -> Iterator[Record]:
    if message.role == "user":
        yield from _prompt(message)
        return
    yield Record(message.created, "say", "api_req_started", _request(message), source=message.id)
    parts = [part for part in message.parts if not was_retried(part)]
    ending = _ending(message, parts)
    for part in parts:
        if part.type == "tool":
            yield from _call(part, message, by_part.get(part.id, []))
        elif part.type in ("text", "reasoning") and part.data.get("text"):
            kind = "completion_result" if part is ending else part.type
            is_open = "end" not in part.data.get("time", {"end": 0})
            yield Record(_begun(part, message), "say", kind, part.data["text"], partial=is_open, source=part.id)
        elif part.type == "retry":
            why = part.data["error"]["data"]["message"]
            yield Record(_begun(part, message), "say", "api_req_retry_delayed", why, source=part.id)
    over, source = message.completed or message.created, end_of(message.id)
    if error := message.data.get("error"):
        why = str(error.get("data", {}).get("message") or error.get("name", ""))
        yield Record(over, "say", "error", why, source=source)
    elif _is_end(message):
        yield Record(over, "ask", "completion_result", source=source)


def end_of(id: str) -> str:
    """The `source` of the record that ends a message, or that tells what came of a call."""
    return f"{id} end"


def words_of(ask_id: str) -> str:
    """The `source` of what a person said with their answer."""
    return f"{ask_id} words"


def _prompt(message: Message) -> Iterator[Record]:
    own = [part for part in message.parts if not part.data.get("synthetic")]
    text = "\n".join(part.data["text"] for part in own if part.type == "text" and part.data.get("text"))
    images = tuple(part.data["url"] for part in own if part.type == "file" and _is_image(part))
    if text or images:
        yield Record(message.created, "say", "user_feedback", text, images, is_person=True, source=message.id)


def _call(part: Part, message: Message, asked: list[Ask]) -> Iterator[Record]:
    state, at = part.data["state"], _begun(part, message)
    ended = state.get("time", {}).get("end") or at
    own = next((ask for ask in asked if ask.tool == part.data["tool"] or ask.kind == "question"), None)
    kind, text = asks.of_call(part.data["tool"], state, own)
    yield Record(at, "ask", kind, text, partial=state["status"] == "pending" and own is None, source=part.id)
    for ask in asked:
        if ask is not own:
            yield Record(ask.created, "ask", *asks.of_ask(ask), source=ask.id)
        if words := _answered(ask):
            source = words_of(ask.id)
            yield Record(ask.answered or at, "say", "user_feedback", words, is_person=True, source=source)
    if state["status"] == "completed" and (output := asks.output_of(part.data["tool"], kind)):
        yield Record(ended, "say", output, str(state.get("output", "")), source=end_of(part.id))
    elif state["status"] == "error" and not any(ask.reply == "reject" for ask in asked):
        yield Record(ended, "say", "error", str(state.get("error", "")), source=end_of(part.id))


def _answered(ask: Ask) -> str:
    """What a person said with their answer."""
    if ask.state != "answered":
        return ""
    if ask.kind == "question":
        return "\n".join(", ".join(chosen) for chosen in ask.answers)
    return "" if ask.word == DENIED else ask.word


def _request(message: Message) -> str:
    """The figures of a request to the model, as JSON in a text, as Roo has it."""
    tokens = message.data.get("tokens") or {}
    cache = tokens.get("cache") or {}
    figures: dict[str, Any] = {
        "request": "",
        "tokensIn": tokens.get("input", 0),
        "tokensOut": tokens.get("output", 0),
        "cacheWrites": cache.get("write", 0),
        "cacheReads": cache.get("read", 0),
        "cost": message.data.get("cost", 0),
    }
    error = message.data.get("error")
    if error:
        is_stop = error.get("name") == "MessageAbortedError"
        figures["cancelReason"] = "user_cancelled" if is_stop else "streaming_failed"
    return orjson.dumps(figures).decode()


def is_done(message: Message) -> bool:
    """Whether a turn came to its end with this message, as it should."""
    return message.role == "assistant" and _is_end(message) and not message.data.get("error")


def _is_end(message: Message) -> bool:
    """Whether the turn ended with this step."""
    return bool(message.completed and message.data.get("finish") not in (None, "tool-calls", "interrupted"))


def _ending(message: Message, parts: list[Part]) -> Part | None:
    """The text that a turn ends with: its result."""
    texts = [part for part in parts if part.type == "text" and part.data.get("text")]
    return texts[-1] if texts and is_done(message) else None


def _begun(part: Part, message: Message) -> int:
    """When a part began: its id tells, and never changes; that of a copy in a fork tells when it was copied."""
    try:
        told = int(part.id.partition("_")[2][:12], 16) // _CLOCK + _cut(message.created)
    except ValueError:
        return message.created
    at = max(told, message.created)
    return min(at, message.completed or at)


def _cut(now: int) -> int:
    """The part of a time that an id has no room for."""
    return now - now % (1 << 36)


def _is_image(part: Part) -> bool:
    return str(part.data.get("mime", "")).startswith("image/")


def _one_after_the_other(records: list[Record]) -> Iterator[Record]:
    """No two at the same time."""
    last = 0
    for record in records:
        last = max(record.ts, last + 1)
        yield record if record.ts == last else record._replace(ts=last)


def _told(message: Message) -> Iterator[dict[str, Any]]:
    parts = [part for part in message.parts if not was_retried(part)]
    blocks = [block for part in parts for block in _block(part)]
    if blocks:
        yield {"role": message.role, "content": _plain(blocks), "ts": message.created}
    results = [_result(part) for part in parts if part.type == "tool" and part.data["state"]["status"] != "pending"]
    if results:
        yield {"role": "user", "content": results, "ts": message.completed or message.created}


def _plain(blocks: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    is_text = len(blocks) == 1 and blocks[0]["type"] == "text"
    return str(blocks[0]["text"]) if is_text else blocks


def _block(part: Part) -> Iterator[dict[str, Any]]:
    if part.type == "text" and part.data.get("text") and not part.data.get("ignored"):
        yield {"type": "text", "text": part.data["text"]}
    elif part.type == "file" and _is_image(part):
        yield {"type": "image", "source": {"type": "url", "url": part.data["url"]}}
    elif part.type == "tool" and part.data["state"]["status"] != "pending":
        given = part.data["state"].get("input", {})
        yield {"type": "tool_use", "id": part.data["callID"], "name": part.data["tool"], "input": given}


def _result(part: Part) -> dict[str, Any]:
    state = part.data["state"]
    is_error = state["status"] == "error"
    content = str(state.get("error" if is_error else "output", ""))
    shape = {"type": "tool_result", "tool_use_id": part.data["callID"], "content": content}
    return {**shape, "is_error": True} if is_error else shape
