"""The one way out of the sandbox: a proxy of a single command, which asks about every host before it connects.

The command sees an HTTP proxy on a port of its own loopback; whoever connects there is accepted here, by the server
(see handover). Each command has a proxy of its own, so that what one was allowed is of no use to another.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from app.gate import Gate, NotAllowed, Resolve
from app.processes import proxy
from app.processes.proxy import Refused, Target

__all__ = ["PORT", "Egress", "Permit", "Reach", "Target"]

PORT = 63128  # above the ports that Linux hands out by itself
CONNECTIONS = 64
CONNECT_SECONDS = 10.0
NOTED = 50
NO_ANSWER, NOT_MADE = "it does not answer", "the connection was not made"
ADDRESS = f"http://127.0.0.1:{PORT}"
DIRECT = "localhost,127.0.0.1,::1"
State = Literal["waiting", "reached", "refused", "failed"]
Permit = Callable[[Target], str]
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reach:
    """How it went with a host (`name:port`): still waits for a word, reached, refused or failed, and why."""

    host: str
    state: State
    why: str = ""


class Egress:
    """The proxy of one command.

    `permit` is asked about each connection's target and may wait for a person; it answers with an empty string, or with
    a clause that says why not. The gate is asked before it, as far as it can tell without the DNS, and after it.
    """

    def __init__(self, permit: Permit, allow: tuple[str, ...] | None = None, resolve: Resolve | None = None) -> None:
        self._permit = permit
        self._gate = Gate.build(http=True, allow=allow, resolve=resolve)
        self._free = threading.Semaphore(CONNECTIONS)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._reached: dict[str, Reach] = {}

    def environment(self) -> dict[str, str]:
        """What tells tools to use the proxy."""
        names = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), ADDRESS) | {"NO_PROXY": DIRECT}
        both = {spelled: value for name, value in names.items() for spelled in (name, name.lower())}
        return {**both, "NODE_USE_ENV_PROXY": "1"}

    def prefix(self, interpreter: Path, channel: int) -> list[str]:
        """What opens the port inside before it becomes the command: a prefix of the command line."""
        return [str(interpreter), "-I", "-S", "-c", _handover(), str(channel), str(PORT)]

    def channel(self) -> socket.socket:
        """Serve what comes, once the listening socket has come through this one; the caller passes and closes it."""
        near, far = socket.socketpair()
        threading.Thread(target=self._serve, args=(near,), name="egress", daemon=True).start()
        return far

    def hosts(self) -> list[Reach]:
        """The hosts that were asked for, in the order of their first time."""
        with self._lock:
            return list(self._reached.values())

    def close(self) -> None:
        """The command has ended: so do its connections."""
        with self._lock:
            self._closed = True
            found = list(self._open)
        for each in found:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._free.release()

    def _serve(self, channel: socket.socket) -> None:
        with self._kept(channel):
            listener = _received(channel)
        if listener is None:
            return
        with self._kept(listener):
            while self._free.acquire() and not self._closed:
                try:
                    client, _ = listener.accept()
                except OSError as failure:
                    if not self._closed:
                        _logger.warning("a command's proxy takes no more connections: %s", failure)
                    return
                threading.Thread(target=self._answer, args=(client,), name="egress", daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        try:
            with self._kept(client), suppress(OSError):
                proxy.answer(client, self._connect)
        except Exception:
            _logger.exception("a connection of a command's proxy broke")
        finally:
            self._free.release()

    @contextmanager
    def _connect(self, target: Target) -> Iterator[socket.socket]:
        """The way to a host, if gate and people let it pass."""
        try:
            addresses = self._judged(target)
        except Refused as refused:
            self._note(target, "refused", refused.why)
            raise Refused(refused.status, f"{target}: {refused.why}.") from None
        for address in addresses:
            if self._closed:
                break
            with self._kept(proxy.socket_for(address)) as made:
                if proxy.reaches(made, address, target.port, CONNECT_SECONDS):
                    self._note(target, "reached")
                    yield made
                    return
        self._note(target, "failed", NO_ANSWER)
        raise Refused(502, f"{target}: {NO_ANSWER}.")

    def _judged(self, target: Target) -> list[str]:
        """The host's addresses, looked up once, after people have let it pass."""
        try:
            self._gate.foresee(target.scheme, target.host, target.port)
            self._note(target, "waiting")
            if why := self._permit(target):
                raise Refused(403, why)
            self._note(target, "failed", NOT_MADE)
            return self._gate.addresses(target.scheme, target.host, target.port)
        except NotAllowed as refused:
            raise Refused(403, refused.why) from None

    @contextmanager
    def _kept(self, one: socket.socket) -> Iterator[socket.socket]:
        """Close a socket afterwards, and at once when the command ends."""
        with self._lock:
            is_late = self._closed
            self._open.add(one)
        try:
            if is_late:
                one.shutdown(socket.SHUT_RDWR)
            yield one
        finally:
            with self._lock:
                self._open.discard(one)
            one.close()

    def _note(self, target: Target, state: State, why: str = "") -> None:
        """Remember how it went; what was reached once stays so."""
        name = str(target)
        with self._lock:
            known = self._reached.get(name)
            if (known is None and len(self._reached) < NOTED) or (known is not None and known.state != "reached"):
                self._reached[name] = Reach(name, state, why)


def _received(channel: socket.socket) -> socket.socket | None:
    """The listening socket that comes through the channel, None if the command ended before or gives something else."""
    try:
        _, found, _, _ = socket.recv_fds(channel, 1, 1, socket.MSG_CMSG_CLOEXEC)
    except OSError:
        return None
    try:
        return socket.socket(fileno=found[0]) if found else None
    except OSError:
        os.close(found[0])
        return None


@cache
def _handover() -> str:
    return Path(__file__).with_name("handover.py").read_text()
