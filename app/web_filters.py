"""What templates write with: words for figures and times, and the one sanitizer of foreign text."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import nh3
import orjson
from flask import Flask
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape

from app import config, ids, web, web_code, web_diff

UNKNOWN = "—"
MINUS = "\N{MINUS SIGN}"
SCHEMES = ("https:", "http:", "mailto:")
TAGS = frozenset({"p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code"})
TAGS |= {"em", "strong", "s", "del", "a", "table", "thead", "tbody", "tr", "th", "td", "span"}
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "span": {"class"}, "code": {"class"}, "pre": {"class"}}
SPAN_CAP = 10_000
HIGHLIGHT_CAP = 200_000
SGR = re.compile(r"\x1b\[([0-9;:]*)m")
ESCAPES = re.compile(
    r"\x1b\](?:[^\x07\x1b]*(?:\x07|\x1b\\))?"  # OSC: titles, links, the clipboard
    r"|\x1b[PX^_](?:[^\x1b]*\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b\[[0-?]*[ -/]*(?:[@-ln-~]|$)"  # CSI but SGR
    r"|\x1b(?![\[\]PX^_]).?"
    r"|\x9b[0-?]*[ -/]*[@-~]?",
    re.DOTALL,
)
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
BIDI = re.compile("([\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069])")
COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


def ago(ms: int | None, now: int | None = None, short: bool = False) -> str:
    """A moment in words, relative a week: "2 min ago", "yesterday", "Thu", "3 Oct"; short has no "ago"."""
    if ms is None:
        return UNKNOWN
    now = ids.now() if now is None else now
    seconds = max(0, (now - ms) // 1000)
    if seconds < 5:
        return "now"
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"{seconds // size} {unit}" + ("" if short else " ago")
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    if seconds < 2 * 86_400:
        return "1 d" if short else "yesterday"
    if seconds < 7 * 86_400:
        return f"{seconds // 86_400} d" if short else moment.strftime("%a")
    if seconds < 300 * 86_400:
        return f"{moment.day} {moment:%b}"
    return f"{moment.day} {moment:%b %Y}"


def moment(ms: int | None) -> str:
    """A moment in full with its zone, for title attributes: "2026-11-20 14:32:05 UTC"."""
    return UNKNOWN if ms is None else f"{datetime.fromtimestamp(ms // 1000, UTC).isoformat(' ')[:19]} UTC"


def day(ms: int | None) -> str:
    """A moment with its day: "Fri 20 Nov, 14:32"."""
    if ms is None:
        return UNKNOWN
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return f"{at:%a} {at.day} {at:%b, %H:%M}"


def clock(ms: int | None) -> str:
    """The time of day of a moment: "14:32"."""
    return UNKNOWN if ms is None else f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M}"


def iso(ms: int | None) -> str:
    """A moment for the datetime attribute."""
    return "" if ms is None else f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def duration(ms: float | None) -> str:
    """A span of milliseconds in words: "0.2 s", "38 s", "4 min 12 s", "1 h 3 min"."""
    if ms is None:
        return UNKNOWN
    if ms < 10_000:
        return f"{ms / 1000:.1f} s"
    seconds = int(ms // 1000)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min" + (f" {seconds % 60} s" if seconds % 60 else "")
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    return f"{hours} h" + (f" {minutes} min" if minutes else "")


def money(dollars: float | None) -> str:
    """Dollars with cents, "$0.84"; more places where cents would say nothing; unknown is a dash."""
    if dollars is None:
        return UNKNOWN
    return f"${dollars:,.4f}" if 0 < dollars < 0.005 else f"${dollars:,.2f}"


def count(number: int | None) -> str:
    """A whole number with commas at the thousands."""
    return UNKNOWN if number is None else f"{number:,}"


def size(octets: float | None) -> str:
    """A size in bytes in the unit that suits: "41 MB", "1.2 kB"."""
    if octets is None:
        return UNKNOWN
    for unit in ("B", "kB", "MB", "GB"):
        if octets < 1000:
            return f"{octets:.1f} {unit}" if unit != "B" and octets < 10 else f"{octets:.0f} {unit}"
        octets /= 1000
    return f"{octets:.1f} TB"


def lines(added: int | None, removed: int | None = 0) -> Markup:
    """Lines added and removed with a true minus, in their colours."""
    figures = f'<span class="add">+{count(added or 0)}</span> <span class="del">{MINUS}{count(removed or 0)}</span>'
    return Markup(f'<span class="lines">{figures}</span>')  # noqa: S704 (numbers)


def plural(number: int, one: str, many: str = "") -> str:
    """A number with its noun: "1 file", "3 files"."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def short_path(path: str, room: int = 34) -> str:
    """A path that loses its left part when longer than the room in characters, never the file's name."""
    if len(path) <= room:
        return path
    kept = path.rsplit("/", 1)[-1]
    for part in reversed(path.split("/")[:-1]):
        if len(kept) + len(part) + 3 > room:
            break
        kept = f"{part}/{kept}"
    return f"…/{kept}" if kept != path else path


def initials(name: str) -> str:
    """The first letters of the first and the last word of a name."""
    words = name.split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper() or "?"


def ground(name: str) -> int:
    """Which of the five quiet grounds an avatar with this name has, 1 to 5."""
    return sum(name.encode()) % 5 + 1


def marked(text: str, words: str) -> Markup:
    """Text with what of it was searched for marked, each of the words wherever it stands."""
    wanted = sorted({re.escape(word) for word in words.split()}, key=len, reverse=True)
    if not wanted:
        return escape(text)
    pieces = re.split(f"({'|'.join(wanted)})", text, flags=re.IGNORECASE)
    return Markup("").join(
        Markup("<mark>{}</mark>").format(one) if i % 2 else escape(one) for i, one in enumerate(pieces)
    )


def pretty(value: Any, indented: bool = True) -> str:
    """A JSON value as text to read."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indented else None, default=str).decode()


def highlight(code: str, filename: str = "") -> Markup:
    """Code as markup with the five colour classes, by the language of the file's name; too long is plain."""
    if len(code) > HIGHLIGHT_CAP:
        return escape(code)
    return _joined(web_code.pieces(code, web_code.lexer_for(filename)))


def markdown(text: str | None) -> Markup:
    """Foreign Markdown as safe markup: no raw HTML, no image, no attribute of ours, links to the web only."""
    return Markup("").join(blocks(text))


def blocks(text: str | None) -> list[Markup]:
    """The same, one piece per top-level block, so that a growing text replaces only its last one."""
    env: dict[str, Any] = {}
    tokens = _MARKDOWN.parse(BIDI.sub(_bidi_text, text or ""), env)
    cuts = [i + 1 for i, token in enumerate(tokens) if token.level == 0 and token.nesting <= 0]
    return [
        _clean(_MARKDOWN.renderer.render(tokens[start:end], _MARKDOWN.options, env))
        for start, end in zip([0, *cuts], cuts, strict=False)
    ]


def document(text: str | None) -> Markup:
    """A file of Markdown as the same safe markup, each of its headings a level lower: the page has its own."""
    env: dict[str, Any] = {}
    tokens = _MARKDOWN.parse(BIDI.sub(_bidi_text, text or ""), env)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
    return _clean(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, env))


def ending(text: str | None, room: int = 600) -> str:
    """The end of a text: whole lines where some fit into the room, in characters."""
    text = (text or "").strip()
    if len(text) <= room:
        return text
    rest = text[-room:]
    return "…" + (rest.partition("\n")[2] or rest)


def sgr(text: str | None) -> Markup:
    """Terminal output as markup: colours become classes, other sequences go, bidi controls are shown."""
    text = ESCAPES.sub("", (text or "").replace("\r\n", "\n"))
    text = "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
    out: list[str] = []
    state: dict[str, str] = {}
    for i, piece in enumerate(SGR.split(text)):
        if i % 2:
            _paint(state, piece)
        elif piece:
            plain = _visible(CONTROLS.sub("", piece))
            styled = state and i < 2 * SPAN_CAP
            out.append(f'<span class="{" ".join(state.values())}">{plain}</span>' if styled else plain)
    return Markup("".join(out))  # noqa: S704 (every piece was escaped above)


def rendered(html: str) -> Markup:
    """What a template of ours was rendered to, to stand in another one as it is."""
    return Markup(html)  # noqa: S704 (the template has escaped it)


def drawn(form: str, *given: object) -> Markup:
    """Markup of this form of ours, with what is given in the places of its braces, escaped unless it is markup."""
    return Markup(form).format(*given)  # noqa: S704 (the form is a literal of ours)


def icon(name: str, extra: str = "") -> Markup:
    """One symbol of the sprite; without a label of its own it is hidden from readers."""
    return _drawn(web.find_static("icons.svg"), name, extra)


@lru_cache(maxsize=512)  # a long page draws hundreds of a few dozen
def _drawn(sprite: str, name: str, extra: str) -> Markup:
    href = f"{sprite}#{name}"
    return Markup('<svg class="i {}" aria-hidden="true"><use href="{}"></use></svg>').format(extra, href)


def through(via: str) -> str:
    """What people call the API that somebody came by: a dialect, or the server's own shell."""
    return config.DIALECT_NAMES.get(via, via)


def register(app: Flask) -> None:
    """Give the application's templates these words."""
    app.jinja_env.filters.update(FILTERS)
    app.jinja_env.globals.update(icon=icon, lines=lines, now=ids.now)


def _joined(pieces: list[tuple[str, str]]) -> Markup:
    return Markup("").join(
        Markup('<span class="{}">{}</span>').format(kind, text) if kind else escape(text) for kind, text in pieces
    )


def _visible(text: str) -> str:
    shown = BIDI.split(text)
    return "".join(
        f'<span class="ctl">{_bidi_name(part)}</span>' if i % 2 else str(escape(part)) for i, part in enumerate(shown)
    )


def _bidi_name(character: str) -> str:
    return f"U+{ord(character):04X}"


def _bidi_text(match: re.Match[str]) -> str:
    return f"[{_bidi_name(match[0])}]"


def _paint(state: dict[str, str], codes: str) -> None:
    numbers = [int(c) for c in re.split("[;:]", codes) if c.isdigit()] or [0]
    if numbers[0] in (38, 48):  # 256 and true colours have no class
        return
    for number in numbers:
        if number == 0:
            state.clear()
        elif number in (1, 2, 3, 4):
            state[f"w{number}"] = ("", "sgr-b", "sgr-dim", "sgr-i", "sgr-u")[number]
        elif number == 22:
            state.pop("w1", None)
            state.pop("w2", None)
        elif number in (23, 24):
            state.pop(f"w{number - 20}", None)
        elif number == 39:
            state.pop("fg", None)
        elif 30 <= number <= 37 or 90 <= number <= 97:
            state["fg"] = f"sgr-{COLOURS[number % 10]}"


def _allowed(_tag: str, attribute: str, value: str) -> str | None:
    if attribute == "href":
        return value if value.lower().startswith(SCHEMES) else None
    if attribute == "class":
        return value if value in web_code.CLASSES else None
    return value


_CLEANER = nh3.Cleaner(
    tags=set(TAGS),
    attributes=ATTRIBUTES,
    attribute_filter=_allowed,
    url_schemes={"http", "https", "mailto"},
    link_rel="noopener noreferrer nofollow",
    strip_comments=True,
)


def _clean(html: str) -> Markup:
    return Markup(_CLEANER.clean(html))  # noqa: S704 (this is the sanitizer)


def _image(_self: RendererHTML, tokens: list[Token], index: int, _options: Any, _env: Any) -> str:
    """An image is never fetched: it becomes a link that shows where it would have come from."""
    token = tokens[index]
    source = str(token.attrs.get("src", ""))
    try:
        host = urlsplit(source).hostname or "no host"
    except ValueError:
        host = "no host"
    return str(Markup('<a href="{}">{} (image at {})</a>').format(source, token.content or "image", host))


def _fence(_self: RendererHTML, tokens: list[Token], index: int, _options: Any, _env: Any) -> str:
    token = tokens[index]
    language = token.info.strip().split(" ")[0] if token.info else ""
    code = token.content
    lexer = web_code.lexer_named(language)
    marked = _joined(web_code.pieces(code, lexer)) if len(code) < HIGHLIGHT_CAP else escape(code)
    return f"<pre><code>{marked}</code></pre>\n"


def _markdown() -> MarkdownIt:
    md = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    md.add_render_rule("image", _image)
    md.add_render_rule("fence", _fence)
    return md


_MARKDOWN = _markdown()

FILTERS: dict[str, Callable[..., Any]] = {
    "ago": ago,
    "moment": moment,
    "clock": clock,
    "day": day,
    "iso": iso,
    "duration": duration,
    "money": money,
    "count": count,
    "size": size,
    "plural": plural,
    "through": through,
    "short_path": short_path,
    "initials": initials,
    "ground": ground,
    "highlight": highlight,
    "marked": marked,
    "pretty": pretty,
    "markdown": markdown,
    "document": document,
    "blocks": blocks,
    "ending": ending,
    "sgr": sgr,
    "hunks": web_diff.hunks,
}
