"""Secrets don't leave: live values, plain or encoded, become `[secret:NAME]` in text, data, streams, logs."""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote, quote_plus

from app import unseen

SHORTEST = 8
SHORTEST_LINE = 20
PROBE = 4


class Redactor:
    """Knows secret values and their encodings; values under 8 characters are too common to look for."""

    def __init__(self, secrets: dict[str, str] | None = None) -> None:
        self._lock = threading.RLock()  # a signal's handler may log while its thread is in here
        self._secrets: dict[str, tuple[str, ...]] = {}
        self._built: _Forms | None = None
        for name, value in (secrets or {}).items():
            self.watch(name, value)

    def watch(self, name: str, value: str) -> None:
        """From now on show the value as `[secret:NAME]`; a name may have an old and a new value."""
        with self._lock:
            held = self._secrets.get(name, ())
            if value not in held:
                self._secrets[name] = (*held, value)
                self._built = None

    def unwatch(self, name: str, value: str) -> None:
        """Let one value of this name pass again."""
        with self._lock:
            left = tuple(one for one in self._secrets.get(name, ()) if one != value)
            if left:
                self._secrets[name] = left
            else:
                self._secrets.pop(name, None)
            self._built = None

    def forget(self, name: str) -> None:
        """Let values of this name pass again."""
        with self._lock:
            self._secrets.pop(name, None)
            self._built = None

    @property
    def _forms(self) -> _Forms:
        """What to look for, worked out at the first look after a change: thousands come one by one at a start."""
        found = self._built
        if found is None:
            with self._lock:
                found = self._built = self._built or _Forms.of(self._secrets)
        return found

    def text(self, text: str) -> str:
        """The text without the secrets."""
        if len(text) < SHORTEST:
            return text  # no spelling is shorter
        for form, label in self._forms.labels.items():
            if form in text:
                text = text.replace(form, label)
        return text

    def text_from(self, text: str, shown: int) -> str:
        """What is behind the first characters, which were shown, without the secrets; one that began there ends too."""
        for start in range(shown):
            match = self._forms.pattern.match(text, start)
            if match is not None and match.end() > shown:
                return self._forms.labels[match[0]] + self.text(text[match.end() :])
        return self.text(text[shown:])

    def data(self, value: Any) -> Any:
        """JSON-able data without the secrets, in keys and values."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.data(key): self.data(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(item) for item in value]
        return value

    def stream(self) -> Stream:
        """A redactor of one text that comes in chunks."""
        return Stream(self)

    def ready(self, text: str) -> int:
        """How much of a text that goes on may be shown: up to where a secret may have begun."""
        forms = self._forms
        for start in range(max(0, len(text) - forms.longest + 1), len(text)):
            if text[start : start + PROBE] in forms.begins and forms.may_begin(text[start:]):
                return forms.not_inside_a_match(text, start)
        return len(text)

    def inside(self, text: str, *, begins_cut: bool = False, ends_cut: bool = False) -> str:
        """A piece of a longer text without the secrets, and without parts of them at its cut ends."""
        if ends_cut:
            text = text[: self.ready(text)]
        if begins_cut:
            text = text[self._forms.ends_within(text) :]
        return self.text(text)


class Stream:
    """One text in chunks; holds back at most what may become a secret, so no more than the longest one."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""
        self._shown = 0  # so many characters of what is held were shown, since the text paused behind them

    def feed(self, chunk: str) -> str:
        """Take a chunk; what may be shown now, which can be nothing."""
        whole = self._held + chunk
        ready = self._redactor.ready(whole)
        found = self._redactor.text_from(whole[:ready], self._shown)
        self._held, self._shown = whole[ready:], max(0, self._shown - ready)
        return found

    def pause(self) -> str:
        """Nothing came for a while: the last characters, where they are so few that they tell nobody anything."""
        if len(self._held) >= PROBE:
            return ""
        found, self._shown = self._held[self._shown :], len(self._held)
        return found

    def flush(self) -> str:
        """The text has ended: the rest of it."""
        rest = self._redactor.text_from(self._held, self._shown)
        self._held, self._shown = "", 0
        return rest


@dataclass(frozen=True)
class _Forms:
    """All spellings to look for, longest first, each with its label."""

    labels: dict[str, str]
    begins: frozenset[str]  # the first characters of each, up to PROBE
    longest: int

    @classmethod
    def of(cls, secrets: dict[str, tuple[str, ...]]) -> _Forms:
        found = {
            form: f"[secret:{name}]"
            for name, values in secrets.items()
            for value in values
            if len(value) >= SHORTEST
            for form in _spellings(value)
        }
        forms = sorted(found, key=len, reverse=True)
        begins = frozenset(form[:size] for form in forms for size in range(1, PROBE + 1))
        return cls({form: found[form] for form in forms}, begins, len(forms[0]) if forms else 0)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """All of them as one; who looks through no stream needs none."""
        return re.compile("|".join(map(re.escape, self.labels)) or r"(?!)")

    def may_begin(self, end: str) -> bool:
        return any(len(form) > len(end) and form.startswith(end) for form in self.labels)

    def ends_within(self, text: str) -> int:
        """How many characters at the beginning of a text are the end of a secret; of three or less nobody can tell."""
        probe, longest = text[:PROBE], 0
        if len(probe) < PROBE:
            return 0
        for form in self.labels:
            at = form.find(probe, 1)
            while at > 0:
                if text.startswith(form[at:]):
                    longest = max(longest, len(form) - at)
                at = form.find(probe, at + 1)
        return longest

    def not_inside_a_match(self, text: str, cut: int) -> int:
        """The cut, or the beginning of the complete secret that it would cut in two."""
        at = max(0, cut - self.longest)
        while at < cut:
            match = self.pattern.match(text, at) if text[at : at + PROBE] in self.begins else None
            if match is not None and match.end() > cut:
                return at
            at = match.end() if match is not None else at + 1
        return cut


def _spellings(value: str) -> Iterator[str]:
    yield value
    for escaped in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        yield escaped[1:-1]
        yield escaped[1:-1].replace("/", "\\/")
    for quoted in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield quoted
        yield re.sub("%..", lambda code: code[0].lower(), quoted)
    yield from filter(lambda form: len(form) >= SHORTEST, _in_base64(value.encode()))
    lines = value.splitlines() if "\n" in value else []
    yield from (line for line in lines if len(line) >= SHORTEST_LINE and not line.startswith("-----"))


def _in_base64(raw: bytes) -> Iterator[str]:
    """The value encoded alone, and what of it stays the same inside something longer, at 3 offsets."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(raw).decode()
        yield from (whole, whole.rstrip("="))
        for offset in range(3):
            padded = encode(b"\0" * offset + raw).decode().rstrip("=")
            first = (0, 2, 3)[offset]
            yield padded[first : (offset + len(raw)) * 8 // 6]


class LogFilter(logging.Filter):
    """Put on a handler: log lines and their tracebacks without secrets, and without what a terminal would act on."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record in place; always True."""
        record.msg, record.args = unseen.one_line(text(record.getMessage())), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = unseen.escaped(text(record.exc_text))
        if record.stack_info:
            record.stack_info = unseen.escaped(text(record.stack_info))
        return True


def guard_logs() -> None:
    """Put the filter on every handler that writes log lines now; one that has it keeps it."""
    named = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    for handler in {handler for logger in (logging.root, *named) for handler in logger.handlers}:
        if not any(isinstance(one, LogFilter) for one in handler.filters):
            handler.addFilter(LogFilter())


_live = Redactor()


def watch(name: str, value: str) -> None:
    """Hide this live value in all that the process shows or stores from now on."""
    _live.watch(name, value)


def unwatch(name: str, value: str) -> None:
    """Stop hiding one value of this name."""
    _live.unwatch(name, value)


def forget(name: str) -> None:
    """Stop hiding values of this name."""
    _live.forget(name)


def text(text: str) -> str:
    """The text without live secrets."""
    return _live.text(text)


def data(value: Any) -> Any:
    """JSON-able data without live secrets."""
    return _live.data(value)


def stream() -> Stream:
    """A redactor of one text in chunks that knows the live secrets."""
    return _live.stream()


def inside(text: str, *, begins_cut: bool = False, ends_cut: bool = False) -> str:
    """A piece of a longer text without live secrets, and without parts of those at its cut ends."""
    return _live.inside(text, begins_cut=begins_cut, ends_cut=ends_cut)
