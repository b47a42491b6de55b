"""One running language server: asked, told of files, and heard."""

from __future__ import annotations

import io
import os
import select
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, cast
from urllib.parse import quote, unquote, urlsplit

from app.languages import wire
from app.processes.spawn import Child

READY_WAIT = 30.0  # seconds for the answer to `initialize`
END_WAIT = 2.0
WRITE_WAIT = 2.0
LINES_WAIT = 0.5
DEAF = "The language server takes nothing any more."
MOST_OPEN = 50
MOST_FOUND = 500  # diagnostics kept of one file
LAST_LINES = 20
NO_METHOD = -32601
ERROR = 1  # the protocol's number for a diagnostic that says that something is wrong
Diagnostic = dict[str, Any]
OnFound = Callable[[str], None]
OnOver = Callable[[], None]


class Failed(Exception):
    """The server ended, was too slow, or refused; the message says which."""


class _Open:
    """A file that the server was told of: its version, its text, and what was found in which version."""

    def __init__(self) -> None:
        self.version = 0
        self.text: str | None = None
        self.told = 0
        self.found: list[Diagnostic] = []


class Client:
    """Speaks with a started server over its pipes; safe to use from any thread.

    `settings` are what it is given when it asks, by section. `on_found(path)` is called when what is known of a file
    changes, `on_over()` once, at the end; both in a thread of the client.
    """

    def __init__(
        self,
        child: Child,
        root: Path,
        on_found: OnFound,
        on_over: OnOver,
        settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.child = child
        self.root = root
        self._settings = settings
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self.why = ""
        self._on_found, self._on_over = on_found, on_over
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._files: OrderedDict[str, _Open] = OrderedDict()
        self._answers: dict[int, dict[str, Any] | None] = {}
        self._number = self._heard = 0
        self._begun = 0.0
        self._over = False
        self.was_stopped = False
        self._can: dict[str, Any] = {}
        os.set_blocking(cast("IO[bytes]", child.stdin).fileno(), False)
        self._lines = threading.Thread(target=self._keep_lines, name="language-lines", daemon=True)
        self._lines.start()
        threading.Thread(target=self._hear, name="language-hear", daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._over

    def begin(self, wait: float = READY_WAIT) -> None:
        """Shake hands; raises Failed."""
        uri = uri_of(str(self.root))
        answer = self.ask(
            "initialize",
            {
                # Its own process number would tell nothing inside of a sandbox.
                "processId": None,
                "rootUri": uri,
                "workspaceFolders": [{"uri": uri, "name": self.root.name}],
                "capabilities": {
                    "general": {"positionEncodings": ["utf-16"]},
                    "workspace": {"configuration": True, "workspaceFolders": True, "symbol": {}},
                    "textDocument": {
                        "synchronization": {"didSave": True},
                        "publishDiagnostics": {"versionSupport": True},
                        "diagnostic": {},
                        "documentSymbol": {},
                    },
                },
            },
            wait,
        )
        self._can = (answer or {}).get("capabilities") or {}
        self._begun = time.monotonic()
        self.tell("initialized", {})

    def ask(self, method: str, given: Any, wait: float) -> Any:
        """The result of a request; raises Failed for an error, its end, or none in so many seconds."""
        deadline = time.monotonic() + wait
        with self._changed:
            self._number += 1
            number = self._number
            self._answers[number] = None
        try:
            self._send({"id": number, "method": method, "params": given})
            with self._changed:
                while (answer := self._answers[number]) is None:
                    left = deadline - time.monotonic()
                    if self._over or left <= 0:
                        raise Failed(self.why or f"{method} was not answered within {wait:g} s.")
                    self._changed.wait(left)
        finally:
            with self._changed:
                del self._answers[number]
        if "error" in answer:
            error = answer["error"]
            raise Failed(str(error.get("message") if isinstance(error, dict) else error)[:500])
        return answer.get("result")

    def tell(self, method: str, given: Any) -> None:
        """Say something that has no answer; raises Failed when it has ended."""
        self._send({"method": method, "params": given})

    def diagnose(self, path: str, text: str, language: str, wait: float) -> list[Diagnostic]:
        """What it finds in this text of a file (absolute path); raises Failed if that does not come in time."""
        deadline = time.monotonic() + wait
        version = self._show(path, text, language)
        if self._offers("diagnosticProvider"):
            answer = self.ask("textDocument/diagnostic", {"textDocument": {"uri": uri_of(path)}}, wait)
            if isinstance(answer, dict) and answer.get("kind") == "full":
                self._take(path, answer.get("items"), version)
        with self._changed:
            while (opened := self._files.get(path)) is not None and opened.told < version:
                left = deadline - time.monotonic()
                if self._over or left <= 0:
                    raise Failed(self.why or "What is wrong in the file was not told in time.")
                self._changed.wait(left)
            return list(opened.found) if opened is not None else []

    def forget(self, path: str) -> None:
        """Close a file that is gone or is not wanted any more."""
        with self._changed:
            opened = self._files.pop(path, None)
        if opened is not None:
            self.tell("textDocument/didClose", {"textDocument": {"uri": uri_of(path)}})
            if opened.found:
                self._on_found(path)

    def symbols(self, query: str, wait: float) -> list[dict[str, Any]]:
        """The workspace's symbols that fit; none if the server cannot tell. Raises Failed.

        One that has just begun may still be reading the project: as long as it finds nothing it is asked again
        whenever it says anything, until so many seconds after its beginning.
        """
        if not self._offers("workspaceSymbolProvider"):
            return []
        while True:
            heard = self._heard
            answer = self.ask("workspace/symbol", {"query": query}, wait)
            if answer or not self._hears_more(heard, self._begun + wait):
                break
        return [one for one in answer if isinstance(one, dict)] if isinstance(answer, list) else []

    def file_symbols(self, path: str, text: str, language: str, wait: float) -> list[dict[str, Any]]:
        """The symbols of a file (absolute path), nested or not, as it tells them; raises Failed."""
        if not self._offers("documentSymbolProvider"):
            raise Failed("It cannot tell the symbols of a file.")
        self._show(path, text, language)
        answer = self.ask("textDocument/documentSymbol", {"textDocument": {"uri": uri_of(path)}}, wait)
        return [one for one in answer if isinstance(one, dict)] if isinstance(answer, list) else []

    def found_now(self) -> tuple[int, int, int]:
        """How many errors it finds now, how much else, and in how many open files it looks."""
        with self._changed:
            told = [one.get("severity", ERROR) for opened in self._files.values() for one in opened.found]
            return told.count(ERROR), len(told) - told.count(ERROR), len(self._files)

    @property
    def uptime(self) -> float:
        """Seconds since it could first be asked."""
        return time.monotonic() - self._begun

    def _hears_more(self, heard: int, deadline: float) -> bool:
        """Wait for a notification behind that many; False at the deadline, or when it has ended."""
        with self._changed:
            while self._heard == heard and not self._over:
                if (left := deadline - time.monotonic()) <= 0:
                    return False
                self._changed.wait(left)
            return not self._over and time.monotonic() < deadline

    def end(self) -> None:
        """Ask it to end, and kill what has not ended soon."""
        self.was_stopped = True
        with suppress(Failed):
            self.ask("shutdown", None, END_WAIT)
            self.tell("exit", None)
        self.kill()

    def kill(self) -> None:
        """End it at once, with all that it has started."""
        self.was_stopped = True
        self._finish("It was stopped.")
        self.child.kill()

    def give_up(self, why: str) -> None:
        """End it at once as failed."""
        self._finish(why)
        self.child.kill()

    def _offers(self, what: str) -> bool:
        """Whether it said that it can do this: true, or an object of options, which may be empty."""
        return self._can.get(what) not in (None, False)

    # What follows is of the threads that read.

    def _hear(self) -> None:
        source = io.BufferedReader(cast("io.RawIOBase", self.child.stdout), 1 << 16)
        why = "The language server ended."
        try:
            while (message := wire.read(source)) is not None:
                self._handle(message)
        except wire.Garbled as wrong:
            why = f"It does not speak the protocol: {wrong}."
        except (OSError, ValueError, Failed) as failure:
            why = f"It cannot be heard any more: {failure}"
        self._lines.join(LINES_WAIT)  # what it wrote last may say why
        self._finish(why)
        self.child.close()
        self._on_over()

    def _keep_lines(self) -> None:
        source = cast("IO[bytes]", self.child.stderr)
        rest = b""
        with suppress(OSError, ValueError):
            while piece := source.read(4096):
                *lines, rest = (rest + piece).split(b"\n")
                self.last_lines.extend(line[:500].decode("utf-8", "replace") for line in lines)
                rest = rest[:4096]

    def _handle(self, message: dict[str, Any]) -> None:
        method, number = message.get("method"), message.get("id")
        if isinstance(method, str) and number is not None:
            self._send({"id": number, **self._reply(method, message.get("params"))})
            self._note()
        elif method == "textDocument/publishDiagnostics":
            self._published(message.get("params"))
            self._note()
        elif isinstance(method, str):
            self._note()
        elif method is None and isinstance(number, int):
            with self._changed:
                if number in self._answers:
                    self._answers[number] = message
                    self._changed.notify_all()

    def _setting(self, item: Any) -> Any:
        section = item.get("section") if isinstance(item, dict) else None
        return self._settings.get(section) if isinstance(section, str) else None

    def _note(self) -> None:
        with self._changed:
            self._heard += 1
            self._changed.notify_all()

    def _reply(self, method: str, given: Any) -> dict[str, Any]:
        """The answer to what a server asks: it is given only our settings, and may change nothing."""
        if method == "workspace/configuration":
            items = given.get("items") if isinstance(given, dict) else None
            return {"result": [self._setting(item) for item in items] if isinstance(items, list) else []}
        if method == "workspace/workspaceFolders":
            return {"result": [{"uri": uri_of(str(self.root)), "name": self.root.name}]}
        if method in ("client/registerCapability", "client/unregisterCapability", "window/workDoneProgress/create",
                      "workspace/diagnostic/refresh", "window/showMessageRequest"):  # fmt: skip
            return {"result": None}
        if method == "workspace/applyEdit":
            return {"result": {"applied": False}}
        return {"error": {"code": NO_METHOD, "message": "not offered by this client"}}

    def _published(self, given: Any) -> None:
        if isinstance(given, dict) and isinstance(given.get("uri"), str):
            version = given.get("version")
            self._take(path_of(given["uri"]), given.get("diagnostics"), version if isinstance(version, int) else None)

    def _take(self, path: str, items: Any, version: int | None) -> None:
        found = [one for one in items if is_diagnostic(one)][:MOST_FOUND] if isinstance(items, list) else []
        with self._changed:
            opened = self._files.get(path)
            if opened is None:
                return
            of = opened.version if version is None else version
            if of < opened.told or of > opened.version:
                return  # late, or of a version that never was
            is_other, opened.found, opened.told = opened.found != found, found, of
            self._changed.notify_all()
        if is_other:
            self._on_found(path)

    def _show(self, path: str, text: str, language: str) -> int:
        """Tell it the text of a file; the version that this is. The file longest unused is closed when many are."""
        uri = uri_of(path)
        with self._changed:
            opened = self._files.setdefault(path, _Open())
            self._files.move_to_end(path)
            is_new, is_same = opened.version == 0, opened.text == text
            if not is_same:
                opened.version, opened.text = opened.version + 1, text
            version = opened.version
            oldest = next(iter(self._files)) if len(self._files) > MOST_OPEN else None
        if oldest is not None:
            self.forget(oldest)
        if is_new:
            document = {"uri": uri, "languageId": language, "version": version, "text": text}
            self.tell("textDocument/didOpen", {"textDocument": document})
        elif not is_same:
            changed = {"uri": uri, "version": version}
            self.tell("textDocument/didChange", {"textDocument": changed, "contentChanges": [{"text": text}]})
        self.tell("textDocument/didSave", {"textDocument": {"uri": uri}})
        return version

    def _send(self, message: dict[str, Any]) -> None:
        data = wire.encode({"jsonrpc": "2.0", **message})
        pipe = cast("IO[bytes]", self.child.stdin)
        deadline = time.monotonic() + WRITE_WAIT
        if not self._writing.acquire(timeout=WRITE_WAIT):
            raise Failed(self.why or DEAF)
        try:
            room = select.poll()
            room.register(pipe, select.POLLOUT)
            while data:
                if not room.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    self.give_up(DEAF)  # half a message is on its way, and nothing can follow it
                    raise Failed(DEAF)
                data = data[pipe.write(data) or 0 :]
        except (OSError, ValueError):
            raise Failed(self.why or DEAF) from None
        finally:
            self._writing.release()

    def _finish(self, why: str) -> None:
        with self._changed:
            if not self._over:
                self._over, self.why = True, why
            self._changed.notify_all()


def is_diagnostic(one: Any) -> bool:
    """Whether it has what a diagnostic must have."""
    if not isinstance(one, dict) or not isinstance(one.get("message"), str):
        return False
    return is_range(one.get("range"))


def is_range(one: Any) -> bool:
    """Whether it is a range: two places, each a line and a character from 0."""
    if not isinstance(one, dict):
        return False
    places = [one.get("start"), one.get("end")]
    return all(
        isinstance(place, dict) and all(isinstance(place.get(key), int) for key in ("line", "character"))
        for place in places
    )


def uri_of(path: str) -> str:
    """The file: address of an absolute path."""
    return f"file://{quote(path)}"


def path_of(uri: str) -> str:
    """The path in a file: address; an empty string for any other."""
    parts = urlsplit(uri)
    return unquote(parts.path) if parts.scheme == "file" and parts.netloc in ("", "localhost") else ""
