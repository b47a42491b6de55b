"""What a wire or its model cannot take: it is told by a sentence in its place, never dropped in silence.

The wires share this: which pictures go out, whose thoughts go back, and which ids and names every server accepts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from app.agent.providers import (
    AssistantTurn,
    Image,
    ProviderFailed,
    Request,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    ToolResults,
    Turn,
    UserTurn,
)

EMPTY = "[An empty message.]"
THOUGHTS_LEFT_OUT = "[What was thought at this step is left out.]"
TOOL_PICTURES = "The pictures the tools gave:"
# An answer of these refuses the request itself: the same one would be refused again.
REFUSED = (400, 404, 415, 422)
_PICTURES = re.compile(r"image|picture|vision|multi-?modal|media.?type", re.IGNORECASE)
_THOUGHTS = re.compile(r"thinking|thought|reasoning|signature", re.IGNORECASE)
_INLINE = re.compile(r"data:[^;,]*(?:;[^;,]+)*;base64,")
_ODD = re.compile(r"[^A-Za-z0-9_-]")


def fit(request: Request, pictures: frozenset[str]) -> Request:
    """The request with a sentence for every picture whose media type is not among `pictures`."""
    return replace(request, messages=[_fit(turn, pictures) for turn in request.messages])


def plainer(request: Request, failed: ProviderFailed) -> Request | None:
    """What to ask instead when a server refused pictures or thoughts; None if it refused something else."""
    if failed.status not in REFUSED or failed.overflow:
        return None
    if _PICTURES.search(failed.message) and any(_has_pictures(turn) for turn in request.messages):
        return fit(request, frozenset())
    if _THOUGHTS.search(failed.message) and request.think:
        return replace(request, think=False)
    return None


def told(turn: AssistantTurn, takes: Callable[[Thought], bool]) -> Iterator[Text | Thought | ToolCall]:
    """The parts of a step, with one sentence in the place of the thoughts that the model does not take."""
    is_told = False
    for part in turn.parts:
        if not isinstance(part, Thought) or takes(part):
            yield part
        elif part.text.strip() and not is_told:
            is_told = True
            yield Text(THOUGHTS_LEFT_OUT)


def inline(image: Image) -> str | None:
    """The base64 text of a picture that is its own address; None for one that lies elsewhere."""
    found = _INLINE.match(image.url)
    return image.url[found.end() :] if found else None


def plain(name: str) -> str:
    """An id or a tool's name in the characters that every server accepts: a model may have made up others."""
    return _ODD.sub("_", name) or "_"


def _fit(turn: Turn, pictures: frozenset[str]) -> Turn:
    if isinstance(turn, UserTurn):
        parts = tuple(_fit_part(part, pictures) for part in turn.parts)
        return UserTurn(tuple(part for part in parts if not _is_blank(part)) or (Text(EMPTY),))
    if isinstance(turn, ToolResults):
        return ToolResults(tuple(_fit_result(result, pictures) for result in turn.results))
    return turn


def _fit_part(part: Text | Image, pictures: frozenset[str]) -> Text | Image:
    if isinstance(part, Text) or _is_taken(part, pictures):
        return part
    return Text(_in_place_of(part))


def _fit_result(result: ToolResult, pictures: frozenset[str]) -> ToolResult:
    told = [_in_place_of(image) for image in result.images if not _is_taken(image, pictures)]
    kept = tuple(image for image in result.images if _is_taken(image, pictures))
    return replace(result, output="\n".join([result.output, *told]), images=kept) if told else result


def _is_taken(image: Image, pictures: frozenset[str]) -> bool:
    return image.mime in pictures and (inline(image) is not None or image.url.startswith("https://"))


def _in_place_of(image: Image) -> str:
    return f"[A picture ({image.mime}) was here, which this model cannot take. Say so if it matters.]"


def _is_blank(part: Text | Image) -> bool:
    return isinstance(part, Text) and not part.text.strip()


def _has_pictures(turn: Turn) -> bool:
    if isinstance(turn, UserTurn):
        return any(isinstance(part, Image) for part in turn.parts)
    return isinstance(turn, ToolResults) and any(result.images for result in turn.results)
