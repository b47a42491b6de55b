"""A session as Markdown: what was said stands in quotes, what was called in code; nothing of it can pretend more.

A text is Markdown itself, so it stays that; but a block of it that would be markup of another kind when it is read
(HTML, an image that is fetched, a link that runs something) is shown as code, letter by letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from app import web_filters
from app.sessions.service import Message, Part, Session

READS = frozenset({"read", "grep", "glob", "list", "ls", "webfetch", "websearch", "todoread", "skill", "lsp"})
_READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_READER.validateLink = bool  # type: ignore[method-assign, assignment]  # the schemes are looked at here
_MARKUP = frozenset({"html_block", "html_inline", "image"})
_SPECIAL = re.compile(r"([\\`*_\[\]<>&!#|~$])")


def written(session: Session, messages: Iterable[Message]) -> Iterator[str]:
    """The document in pieces, a message at a time."""
    yield f"# {plain(session.title or 'Untitled')}\n\n"
    files = web_filters.plural(session.files, "file")
    facts = [
        f"session {code(session.id)}",
        f"in {code(session.directory)}",
        f"begun {web_filters.moment(session.created)}",
        web_filters.money(session.cost),
        f"+{session.additions} {web_filters.MINUS}{session.deletions} lines in {files}",
    ]
    yield "".join(f"- {fact}\n" for fact in facts)
    for message in messages:
        yield "".join(_message(message))


def plain(text: str) -> str:
    """Words in a line of their own: nothing in them is markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(clean(text).split()))


def code(text: str) -> str:
    """Words as code within a line."""
    words = " ".join(clean(text).split()) or " "
    marks = "`" * (1 + max(map(len, re.findall("`+", words)), default=0))
    space = " " if "`" in marks[1:] or words.startswith("`") or words.endswith("`") else ""
    return f"{marks}{space}{words}{space}{marks}"


def fence(text: str, language: str = "") -> str:
    """A block of code that its text cannot end."""
    lines = clean(text).rstrip("\n").split("\n")
    marks = "`" * max(3, 1 + max((len(run) for line in lines for run in re.findall("`+", line)), default=0))
    return "\n".join([f"{marks}{language}", *lines, marks])


def said(text: str) -> str:
    """What somebody said, as a quote; blocks that would be more than words are shown as code."""
    text = clean(text)
    env: dict[str, Any] = {}
    lines, tokens = text.split("\n"), _READER.parse(text, env)
    blocks = [token for token in tokens if token.level == 0 and token.map and token.nesting >= 0]
    pieces = []
    for block in blocks:
        start, end = block.map or (0, 0)
        piece = "\n".join(lines[start:end]).strip("\n")
        pieces.append(piece if _is_words(_READER.parse(_quoted(piece), {})) else fence(piece))
    quote = _quoted("\n\n".join(pieces))
    whole = _READER.parse(quote, env)
    # A definition of links would reach into what others said.
    return quote if _is_words(whole) and not env.get("references") else _quoted(fence(text))


def clean(text: str) -> str:
    """The text without what a terminal or a reader would obey; directions are shown by their number."""
    text = web_filters.ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = web_filters.SGR.sub("", text)
    return web_filters.BIDI.sub(lambda found: f"[U+{ord(found[0]):04X}]", web_filters.CONTROLS.sub("", text))


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" if line.strip() else ">" for line in text.split("\n"))


def _is_words(tokens: list[Token]) -> bool:
    """Whether what a reader makes of it loads and runs nothing."""
    for token in tokens:
        if token.type in _MARKUP or not _is_words(token.children or []):
            return False
        if token.type == "link_open" and not _is_harmless(str(token.attrs.get("href", ""))):
            return False
    return True


def _is_harmless(address: str) -> bool:
    return address.lower().startswith(web_filters.SCHEMES) or not re.match(r"\s*[a-zA-Z][\w+.-]*:", address)


def _message(message: Message) -> Iterator[str]:
    by = str(message.data.get("by") or "Somebody") if message.role == "user" else "The agent"
    yield f"\n## {plain(by)}, {web_filters.moment(message.created)}\n"
    for part in message.parts:
        shown = _part(part)
        if shown:
            yield f"\n{shown}\n"
    error = message.data.get("error") or {}
    if error:
        yield f"\nThe run failed:\n\n{fence(str((error.get('data') or {}).get('message') or error.get('name')))}\n"


def _part(part: Part) -> str:
    data = part.data
    if part.type == "text":
        return "" if data.get("synthetic") else said(str(data.get("text") or ""))
    if part.type == "reasoning":
        return f"Thought:\n\n{said(str(data.get('text') or ''))}" if data.get("text") else ""
    if part.type == "tool":
        return _tool(str(data.get("tool")), data.get("state") or {})
    if part.type == "file":
        return f"Attached {code(str(data.get('filename') or data.get('mime') or 'a file'))}"
    if part.type == "patch":
        return f"Checkpoint, {web_filters.plural(len(data.get('files') or []), 'file')}"
    if part.type == "retry":
        return f"Try {plain(str(data.get('attempt')))} failed."
    if part.type == "compaction":
        return "The conversation so far was summed up."
    return ""


def _tool(tool: str, state: dict[str, Any]) -> str:
    given, told = state.get("input") or {}, state.get("metadata") or {}
    failed = f"\n\nFailed:\n\n{fence(str(state['error']))}" if state.get("error") else ""
    if tool == "bash":
        shown = fence(f"$ {given.get('command', '')}\n{state.get('output') or ''}".rstrip())
        exit_code = told.get("exit")
        return f"{shown}{'' if exit_code in (None, 0) else f'{chr(10)}{chr(10)}exit {plain(str(exit_code))}'}{failed}"
    subject = next((str(given[key]) for key in ("filePath", "path", "pattern", "url", "query") if given.get(key)), "")
    head = f"{plain(tool.capitalize())} {code(subject) if subject else ''}".rstrip()
    if tool in READS:
        return head + failed
    if told.get("diff"):
        return f"{head}\n\n{fence(str(told['diff']), 'diff')}{failed}"
    shown = f"{head}\n\n{fence(web_filters.pretty(given), 'json')}" if given else head
    return shown + (f"\n\n{fence(str(state['output']))}" if state.get("output") else "") + failed
