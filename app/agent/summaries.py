"""What a summary stands for in a transcript, and how much of a model's window things take: pure functions.

The newest summary that was not put aside is in force. The model sees it in place of all that it covers, and after it
the newest steps as they were, each beneath its prompt, and whatever came since.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.agent.providers import Image, Text, Thought, ToolCall, ToolResult, ToolResults, Turn, UserTurn
from app.sessions.service import Message, Part

PART = "compaction"
PER_TOKEN = 4  # characters, roughly, in every tokenizer
PICTURE = 1_500  # tokens, roughly, at every provider
TAIL = 8_000
# How many characters of a text and of a tool's output a summary is made from, from the fullest to the barest.
CLIPS = ((20_000, 4_000), (6_000, 1_000), (2_000, 200))


@dataclass(frozen=True)
class Summary:
    """A summary in force: what asked for it, its message, and the ids of all messages that it stands for."""

    asked: Message
    message: Message
    covered: frozenset[str] = field(default_factory=frozenset)

    @property
    def text(self) -> str:
        """The summary itself."""
        return "\n".join(part.data.get("text", "") for part in self.message.parts if part.type == "text")


def in_force(messages: Sequence[Message]) -> Summary | None:
    """The newest summary that is finished and was not put aside."""
    for asked in reversed(messages):
        part = part_of(asked)
        if part is None or not part.data.get("done") or part.data.get("undone"):
            continue
        mine = (m for m in reversed(messages) if m.data.get("summary") is True and m.data.get("parentID") == asked.id)
        message = next((m for m in mine if m.completed and not m.data.get("error")), None)
        if message is not None:
            return Summary(asked, message, _covered(messages, message, part))
    return None


def part_of(message: Message) -> Part | None:
    """The part that asks for a summary, in a message that does."""
    return next((part for part in message.parts if part.type == PART), None) if message.role == "user" else None


def plain(messages: Iterable[Message]) -> list[Message]:
    """The messages without those that ask for a summary or are one."""
    return [m for m in messages if part_of(m) is None and m.data.get("summary") is not True]


def tail_of(messages: Sequence[Message], most: int) -> list[Message]:
    """The newest messages that take so many tokens at most, together with the prompts that they answer."""
    by_id = {message.id: message for message in messages}
    counted: set[str] = set()
    first = len(messages)
    for place in reversed(range(len(messages))):
        message = messages[place]
        told = [message, by_id.get(message.data.get("parentID", ""))]
        most -= sum(size(one) for one in told if one is not None and one.id not in counted)
        if most < 0:
            break
        counted |= {one.id for one in told if one is not None}
        first = place
    return list(messages[first:])


def size(message: Message) -> int:
    """Roughly how many tokens a message takes."""
    return sum(_size_of(part) for part in message.parts)


def used(step: Message) -> int:
    """How many tokens a step's request and answer took, as its provider counted; 0 if it did not."""
    tokens = step.data.get("tokens") or {}
    cache = tokens.get("cache", {})
    counted: list[int] = [tokens.get(name, 0) for name in ("input", "output", "reasoning")]
    return sum(counted, cache.get("read", 0) + cache.get("write", 0))


def results_of(step: Message) -> int:
    """Roughly how many tokens the results of a step's calls take: they came after it was counted."""
    return sum(_size_of(part, results_only=True) for part in step.parts if part.type == "tool")


def script(turns: Sequence[Turn], most: int) -> str:
    """A conversation as one text of so many characters at most: long outputs are cut first, then texts, then all."""
    for texts, outputs in CLIPS:
        told = "\n\n".join(line for turn in turns for line in _lines(turn, texts, outputs))
        if len(told) <= most:
            return told
    return _cut(told, most)


def _covered(messages: Sequence[Message], summary: Message, part: Part) -> frozenset[str]:
    ids = [message.id for message in messages]
    tail, beside = part.data.get("tail_start_id"), part.data.get("beside") or ()
    end = ids.index(tail) if tail in ids else ids.index(summary.id)
    # A client names its messages itself; one that came later may bear an id from before.
    return frozenset(m.id for m in messages[:end] if m.created <= summary.created and m.id not in beside)


def _size_of(part: Part, *, results_only: bool = False) -> int:
    data = part.data
    if part.type in ("text", "reasoning"):
        return len(data.get("text", "")) // PER_TOKEN
    if part.type == "file":
        return PICTURE if str(data.get("mime", "")).startswith("image/") else 0
    if part.type != "tool":
        return 0
    state = data["state"]
    told = len(state.get("output") or state.get("error") or "")
    told += 0 if results_only else len(orjson.dumps(state.get("input") or {}))
    return told // PER_TOKEN + PICTURE * len(state.get("attachments") or ())


def _lines(turn: Turn, texts: int, outputs: int) -> list[str]:
    if isinstance(turn, ToolResults):
        return [_result(result, outputs) for result in turn.results]
    who = "User" if isinstance(turn, UserTurn) else "Agent"
    return [f"{who}: {line}" for part in turn.parts if (line := _said(part, texts, outputs))]


def _said(part: Text | Image | Thought | ToolCall, texts: int, outputs: int) -> str:
    if isinstance(part, Text):
        return _cut(part.text, texts)
    if isinstance(part, ToolCall):
        return f"[calls {part.name} {_cut(_json(part.input), outputs)}]"
    return f"[a picture, {part.mime}]" if isinstance(part, Image) else ""


def _result(result: ToolResult, outputs: int) -> str:
    word = "failed" if result.is_error else "answered"
    return f"[{result.name} {word}: {_cut(result.output, outputs)}]"


def _cut(text: str, most: int) -> str:
    """A text without its middle, if it is longer."""
    return text if len(text) <= most else f"{text[: most // 2]}\n[... left out ...]\n{text[-(most // 2) :]}"


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
