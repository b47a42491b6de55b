"""Reading what a server sends: the blocks of a result, and whether a schema is one that models can be given."""

from __future__ import annotations

from typing import Any

import orjson
from mcp_types import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    GetPromptResult,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from app.mcp.things import Answer

IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
IMAGE_CHARACTERS = 7 * 1024 * 1024


def read(given: CallToolResult) -> Answer:
    """Text as text, images as attachments, of everything else what it is."""
    texts: list[str] = []
    attachments: list[dict[str, str]] = []
    for block in given.content:
        if isinstance(block, ImageContent) and block.mime_type in IMAGES and len(block.data) <= IMAGE_CHARACTERS:
            attachments.append({"mime": block.mime_type, "url": f"data:{block.mime_type};base64,{block.data}"})
            texts.append(f"[an image, {block.mime_type}]")
        else:
            texts.append(_text(block))
    if not texts and given.structured_content is not None:
        texts.append(_spelled(given.structured_content))
    return Answer("\n".join(texts), tuple(attachments), bool(given.is_error))


def words(given: GetPromptResult) -> str:
    """The words of a prompt: what people say in it; what an assistant is made to say is marked."""
    said = (("" if one.role == "user" else "(assistant) ") + _text(one.content) for one in given.messages)
    return "\n\n".join(said)


def flaw(schema: Any, most: int) -> str:
    """What is wrong with a tool's schema; "" if it is an object's and not too long (bytes)."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return "its schema is none of an object"
    if not isinstance(schema.get("properties", {}), dict):
        return "its schema's properties are none"
    try:
        size = len(orjson.dumps(schema))
    except (TypeError, ValueError):
        return "its schema can't be read"
    return "its schema is too long" if size > most else ""


def _spelled(data: Any) -> str:
    try:
        return orjson.dumps(data, option=orjson.OPT_INDENT_2).decode()
    except TypeError:
        return "[structured content that can't be shown: it has a number too long]"


def _text(block: Any) -> str:
    if isinstance(block, TextContent):
        return block.text
    if isinstance(block, ResourceLink):
        return f"[{block.name}: {block.uri}]"
    if isinstance(block, EmbeddedResource) and isinstance(block.resource, TextResourceContents):
        return block.resource.text
    if isinstance(block, EmbeddedResource):
        return f"[a file that is no text: {block.resource.uri}]"
    if isinstance(block, ImageContent | AudioContent):
        return f"[{block.mime_type}, {len(block.data):,} characters of base64, which is not shown]"
    return "[something of an unknown kind]"
