"""What is spoken on a terminal's WebSocket: what it shows goes out at the client's pace, what is typed comes in.

Two clients speak it: CodeBuddy's in its own messages, our page in the same with a few of its own on top. How fast
output goes is bounded twice: by what the connection takes, and by what the client says it has dealt with.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, Field, StrictInt, StrictStr, TypeAdapter, ValidationError

from app import sockets
from app.actor import Actor
from app.errors import Problem
from app.sockets import Speaker
from app.terminals import service
from app.terminals.service import Dropped, Ended, Look, Output, Size, Tap, Terminal, Viewer, Word

WINDOW = 256 * 1024  # bytes that may be on their way to the connection
PAUSE_AT, RESUME_AT = 1 << 20, 256 * 1024  # characters that the client has not said it dealt with
SAFETY = 5.0  # seconds after which a client that says nothing gets more all the same
TYPED = 4 << 20  # bytes that may wait for what runs to read them
TYPE_WAIT = 10.0
REPLACED = 4000
_logger = logging.getLogger(__name__)
_aside = ThreadPoolExecutor(4, thread_name_prefix="typist")


class Input(BaseModel):
    """Something was typed."""

    type: Literal["input"]
    data: StrictStr


class Resize(BaseModel):
    """The window has another size."""

    type: Literal["resize"]
    cols: StrictInt
    rows: StrictInt


class Ping(BaseModel):
    """Is anybody there?"""

    type: Literal["ping"]
    nonce: StrictStr | StrictInt | None = None


class Ack(BaseModel):
    """So much more was dealt with, in characters as the client counts them."""

    type: Literal["ack"]
    received: float = Field(alias="bytesReceived", ge=0, allow_inf_nan=False)


class Take(BaseModel):
    """Give me the keyboard."""

    type: Literal["take"]


_Message = Annotated[Input | Resize | Ping | Ack | Take, Field(discriminator="type")]
_messages: TypeAdapter[Any] = TypeAdapter(_Message)


class Conversation:
    """A seat at a terminal with a reader of what it shows; what the words look like is the subclass's."""

    def __init__(self, actor: Actor, terminal_id: str, after: int | None = None, client: str = "") -> None:
        self.actor = actor
        self._terminal_id = terminal_id
        self._after = after
        self._client = client
        self._lock = threading.RLock()
        self._speaker: Speaker | None = None
        self._viewer: Viewer | None = None
        self._tap: Tap | None = None
        self._typed: deque[bytes] = deque()
        self._is_typing = False
        self._is_over = False

    @property
    def terminal(self) -> Terminal:
        """The terminal; Raises NotFound when it is gone."""
        return service.get(self.actor, self._terminal_id)

    def begin(self, speaker: Speaker) -> None:
        """Sit down and read."""
        with self._lock:
            self._speaker = speaker
            try:
                terminal = self.terminal
                self._tap = service.attach(self.actor, terminal, self._after, window=WINDOW, is_acked=True)
                self._viewer = service.join(
                    self.actor, terminal.id, client=self._client, changed=self.changed, replaced=self._on_replaced
                )
            except Problem as problem:
                speaker.bye(sockets.TRY_AGAIN, problem.message)
                return
            self.greet(terminal)
        self._tap.pour(self._put, self._on_over)

    def ended(self) -> None:
        """Stand up."""
        with self._lock:
            self._is_over = True
            self._typed.clear()
            tap, viewer = self._tap, self._viewer
        if tap is not None:
            tap.close()
        if viewer is not None:
            service.leave(viewer)

    def tick(self) -> None:
        """Nothing hangs on the time."""

    def greet(self, terminal: Terminal) -> None:
        """Say something first."""

    def changed(self) -> None:
        """People came or went, or the size is another one."""

    def show(self, word: Output) -> None:
        """Say what the terminal shows; `taken` must be called when it has been dealt with."""
        raise AssertionError(word)

    def tell_end(self, word: Ended) -> None:
        """Say how it ended; the connection is closed after that."""

    def type(self, data: bytes) -> None:
        """What the client typed; it waits aside for a command that does not read."""
        viewer = self._viewer
        if viewer is None or not data or self._is_over:
            return
        with self._lock:
            if not self._is_typing and self._try(viewer, data, 0):
                return
            self._typed.append(data)
            if sum(map(len, self._typed)) > TYPED:
                self.say_bye(sockets.TRY_AGAIN, "What runs here does not read its input")
                return
            if self._is_typing:
                return
            self._is_typing = True
        _aside.submit(self._type_aside, viewer)

    def taken(self, count: int) -> None:
        """So many bytes of what was shown have been dealt with."""
        if self._tap is not None:
            self._tap.taken(count)

    def say_bye(self, code: int, reason: str = "") -> None:
        """Close the connection."""
        if self._speaker is not None:
            self._speaker.bye(code, reason)

    def _put(self, words: Sequence[Word]) -> None:
        """In the pump's thread: words of the tap."""
        with self._lock:
            for word in words:
                if self._is_over:
                    return
                if isinstance(word, Output):
                    self.show(word)
                elif isinstance(word, Dropped):
                    self.show(Output("pty", word.marker, word.offset - len(word.marker)))
                else:
                    self.tell_end(word)
                    self._is_over = True
                    self.say_bye(sockets.NORMAL, "PTY exited")

    def _on_over(self) -> None:
        """The tap has ended: with the terminal, or because this client is too far behind or may read no more."""
        if not self._is_over:
            self.say_bye(sockets.TRY_AGAIN, "Too slow; connect again")

    def _on_replaced(self) -> None:
        self.say_bye(REPLACED, "Replaced by new connection")

    def _try(self, viewer: Viewer, data: bytes, wait: float) -> bool:
        """Whether it was typed, or cannot be; False when there is no room for it yet."""
        try:
            service.type_in(self.actor, self.terminal, viewer, data, wait)
        except Problem as problem:
            return problem.code != service.NOT_READ
        return True

    def _type_aside(self, viewer: Viewer) -> None:
        while True:
            with self._lock:
                if not self._typed:
                    self._is_typing = False
                    return
                data = self._typed[0]
            if not self._try(viewer, data, TYPE_WAIT):
                self.say_bye(sockets.TRY_AGAIN, "What runs here does not read its input")
                return
            with self._lock:
                if self._typed:
                    self._typed.popleft()


class Talk(Conversation):
    """The conversation in JSON messages. `is_page` adds what our page wants to know beside CodeBuddy's messages:

    `hello` (the offset up to which what follows is replayed), `people` (who is here, who has the keyboard, the size),
    and on each output the offset behind it, to come back with; `front` (what runs in it now).
    """

    def __init__(
        self, actor: Actor, terminal_id: str, after: int | None = None, client: str = "", *, is_page: bool = False
    ) -> None:
        super().__init__(actor, terminal_id, after, client)
        self._is_page = is_page
        self._unacked = 0.0
        self._owed = 0
        self._paused_at: float | None = None
        self._has_acked = self._is_deaf = False
        self._look: Look | None = None
        self._ticks = 0

    def greet(self, terminal: Terminal) -> None:
        """Where the replay ends, and who is here."""
        if self._is_page:
            ring = terminal.live.ring
            self._say({"type": "hello", "start": ring.start, "end": ring.end})
            self.changed()

    def changed(self) -> None:
        """Tell the page who is here."""
        viewer = self._viewer
        if not self._is_page or viewer is None:
            return
        terminal = viewer.terminal
        writer = terminal.seats.writer
        others = [one for one in terminal.seats.viewers if one is not viewer]
        self._say(
            {
                "type": "people",
                "mine": writer is viewer,
                "own": writer is not None and writer.user == viewer.user,
                "mayWrite": viewer.may_write,
                "writer": writer.actor.name if writer is not None else None,
                "others": [one.actor.name for one in others if one.user != viewer.user],
                "elsewhere": sum(one.user == viewer.user for one in others),
                "cols": terminal.size.cols,
                "rows": terminal.size.rows,
            }
        )

    def show(self, word: Output) -> None:
        """One output message; a pause when the client says nothing of so much."""
        text = word.data.decode("utf-8", "replace")
        message: dict[str, Any] = {"type": "output", "data": text}
        if self._is_page:
            message["end"] = word.end
        self._unacked += len(text)
        self._say(message, functools.partial(self._on_sent, len(word.data)))
        if self._unacked >= PAUSE_AT and self._paused_at is None and not self._is_deaf:
            self._paused_at = time.monotonic()
            self._say({"type": "pause"})

    def tell_end(self, word: Ended) -> None:
        """The exit message."""
        self._say({"type": "exit", "code": word.exit_code})

    def tick(self) -> None:
        """Let it go on after a pause that nobody ends; a client that never says what it got is asked no more."""
        with self._lock:
            if self._paused_at is not None and time.monotonic() - self._paused_at >= SAFETY:
                self._is_deaf = not self._has_acked
                self._unacked = 0
                self._resume()
        self._ticks += 1
        if self._is_page and self._viewer is not None and not self._viewer.terminal.ended and self._ticks % 2:
            self._tell_look(self._viewer.terminal)

    def heard(self, message: str | bytes) -> None:
        """One message; what is none of ours is passed over."""
        try:
            said = _messages.validate_python(orjson.loads(message))
        except (ValidationError, orjson.JSONDecodeError):
            return
        if isinstance(said, Input):
            self.type(said.data.encode("utf-8", "replace"))
        elif isinstance(said, Ack):
            self._on_ack(said.received)
        elif isinstance(said, Ping):
            self._say({"type": "pong"} if said.nonce is None else {"type": "pong", "nonce": said.nonce})
        else:
            self._act(said)

    def _tell_look(self, terminal: Terminal) -> None:
        """What runs in front is told by no event: it is looked at while somebody watches."""
        look = terminal.look()
        if look != self._look:
            self._look = look
            self._say({"type": "front", "words": look.words, "cwd": look.cwd, "busy": look.is_busy})

    def _act(self, said: Resize | Take) -> None:
        viewer = self._viewer
        if viewer is None or self._is_over:
            return
        if isinstance(said, Take):  # it is written down, which may take its time
            _aside.submit(_told, lambda: service.take_keyboard(self.actor, viewer.terminal, viewer))
        else:
            size = said.cols, said.rows
            _told(lambda: service.resize(self.actor, viewer.terminal.id, Size(*size), viewer=viewer))

    def _on_sent(self, count: int) -> None:
        with self._lock:
            if self._paused_at is not None:
                self._owed += count
                return
        self.taken(count)

    def _on_ack(self, count: float) -> None:
        with self._lock:
            self._has_acked, self._is_deaf = True, False
            self._unacked = max(0.0, self._unacked - count)
            if self._paused_at is not None and self._unacked <= RESUME_AT:
                self._resume()

    def _resume(self) -> None:
        self._paused_at = None
        self._say({"type": "resume"})
        owed, self._owed = self._owed, 0
        self.taken(owed)

    def _say(self, message: dict[str, Any], then: sockets.Then = None) -> None:
        if self._speaker is not None:
            self._speaker.say_text(orjson.dumps(message), then)


def _told(act: Callable[[], object]) -> None:
    """Do what a client asks for; one that may not is not answered, as its protocol has no word for it."""
    try:
        act()
    except Problem as problem:
        _logger.debug("a viewer of a terminal may not: %s", problem.message)
