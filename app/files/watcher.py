"""Watching directories on Linux: one inotify instance and one thread for all watches of a process.

Directories are nodes, one for each that the kernel watches, whoever wants it: watches of the same directory share its
node, and nodes of a recursive watch hang together as on the disk. A new directory is watched first and looked into
then, so that nothing that was made in it meanwhile is missed; what is found so is told once.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from app import inotify as kernel
from app.errors import Unavailable
from app.files import beneath
from app.files.paths import TEMPORARY
from app.files.watch import Gone, Kind, Resync, Watch
from app.inotify import Event, Inotify

GATHER = 0.01  # seconds between two looks at what the kernel has gathered: a storm of changes is told in groups
ROUNDS = 64
_logger = logging.getLogger(__name__)


class Node:
    """A directory that the kernel watches, where it hangs below another that is watched, and what lies in it."""

    __slots__ = ("children", "fresh", "name", "names", "number", "parent", "watches")

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = ""
        self.parent: Node | None = None
        self.children: dict[str, Node] = {}
        self.names: set[str] = set()
        self.fresh: set[str] = set()  # told when they were found; the kernel tells them too
        self.watches: list[Watch] = []


class KernelWatcher:
    """Tells every watch what happens, in one thread; safe to use from any other."""

    def __init__(self) -> None:
        """Raises Unavailable where the system lets nothing be watched."""
        self._inotify = Inotify()
        self._lock = threading.RLock()
        self._nodes: dict[int, Node] = {}
        self._homes: dict[Watch, Node] = {}
        self._moving: dict[int, Node | None] = {}  # by cookie: what left its directory and may come up in another
        self._moved: dict[int, Node | None] = {}
        self._drafts: set[int] = set()
        self._written: set[tuple[int, str]] = set()
        self._fresh: list[Node] = []
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End every watch and the thread."""
        self._stopping.set()
        self._wake()
        self._thread.join(timeout=5)
        with self._lock:
            watches = list(self._homes)
            self._homes.clear()
            self._nodes.clear()
            self._inotify.close()
        for watch in watches:
            watch.end()
        self._ear.close()
        self._mouth.close()

    def __len__(self) -> int:
        """How many directories are watched."""
        return len(self._nodes)

    def attach(self, watch: Watch) -> None:
        """Begin a watch. Raises Unavailable at the system's limits, OSError if its directory is gone."""
        root = os.open(watch.path, beneath.FOLDER)
        try:
            with self._lock:
                if self._stopping.is_set():
                    raise Unavailable("The server is stopping.")
                node = self._node(self._inotify.add(root))
                node.watches.append(watch)
                self._homes[watch] = node
            self._enter(root, node, "", is_told=False)
        except Exception:
            self.detach(watch)
            raise
        finally:
            os.close(root)

    def extend(self, watch: Watch, names: Iterable[str]) -> None:
        """Enter the directories at these names ("" is its own), and those below, that a recursive watch enters by now.

        Raises Unavailable at the system's limits, OSError if its directory is gone.
        """
        root = os.open(watch.path, beneath.FOLDER)
        try:
            for name in names:
                parent, _, leaf = name.rpartition("/")
                with self._lock:
                    node = self._find(watch, parent)
                if node is not None:
                    self._enter(root, node, name, leaf, is_told=False)
        finally:
            os.close(root)

    def narrow(self, watch: Watch) -> None:
        """Leave the directories that a recursive watch enters no more."""
        with self._lock:
            self._shed(self._homes.get(watch))

    def _find(self, watch: Watch, name: str) -> Node | None:
        node = self._homes.get(watch)
        for part in name.split("/") if name else ():
            node = node.children.get(part) if node is not None else None
        return node

    def detach(self, watch: Watch) -> None:
        """End a watch; one that has ended is fine."""
        with self._lock:
            node = self._homes.pop(watch, None)
            if node is not None:
                node.watches.remove(watch)
                self._shed(node)

    def drain(self) -> None:
        """Tell what has happened by now: whatever was done before this call is told when it returns."""
        with self._lock:
            for _ in range(ROUNDS):
                events = [] if self._stopping.is_set() else self._inotify.read()
                if not events:
                    break
                for event in events:
                    self._handle(event)
            self._settle()

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something short in so many seconds, in the watcher's thread."""
        with self._lock:
            heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), work))
        self._wake()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._inotify.fd, selectors.EVENT_READ, self.drain)
            selector.register(self._ear, selectors.EVENT_READ, self._hear)
            while not self._stopping.is_set():
                for key, _mask in selector.select(self._rest()):
                    _do(key.data)
                while self._timers and self._timers[0][0] <= time.monotonic():
                    with self._lock:
                        work = heapq.heappop(self._timers)[2]
                    _do(work)
                self._stopping.wait(GATHER)

    def _rest(self) -> float | None:
        with self._lock:
            return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _wake(self) -> None:
        try:
            self._mouth.send(b"!")
        except BlockingIOError:
            return  # full of calls already

    def _hear(self) -> None:
        try:
            while self._ear.recv(4096):
                continue
        except BlockingIOError:
            return

    # What the kernel says

    def _handle(self, event: Event) -> None:
        if event.mask & kernel.OVERFLOW:
            self._start_over()
            return
        node = self._nodes.get(event.number)
        if node is None:
            return
        if event.mask & (kernel.DELETE_SELF | kernel.UNMOUNT | kernel.MOVE_SELF):
            for watch in list(node.watches):
                watch.put(Gone())
                watch.end()
                self.detach(watch)
        elif event.mask & kernel.IGNORED:
            self._drop(node)
        else:
            self._handle_name(node, event)

    def _handle_name(self, node: Node, event: Event) -> None:
        name, is_dir = event.name, bool(event.mask & kernel.IS_DIR)
        key = (event.number, name)
        if event.mask & kernel.MODIFY:
            if key not in self._written:
                self._written.add(key)
                self._tell(node, "write", name, is_dir)
            return
        self._written.discard(key)
        if event.mask & kernel.ATTRIB:
            self._tell(node, "chmod", name, is_dir)
        elif event.mask & kernel.CREATE:
            self._appear(node, name, is_dir)
        elif event.mask & kernel.DELETE:
            self._vanish(node, name)
            self._tell(node, "remove", name, is_dir)
        elif event.mask & kernel.MOVED_FROM:
            self._leave(node, event)
            self._tell(node, "rename", name, is_dir)
        elif event.mask & kernel.MOVED_TO:
            self._arrive(node, event)

    def _appear(self, node: Node, name: str, is_dir: bool) -> None:
        if name in node.fresh:
            node.fresh.discard(name)
            return
        node.names.add(name)
        self._tell(node, "create", name, is_dir)
        if is_dir:
            self._enter_new(node, name)

    def _vanish(self, node: Node, name: str) -> Node | None:
        node.names.discard(name)
        node.fresh.discard(name)
        child = node.children.pop(name, None)
        if child is not None:
            child.parent, child.name = None, ""
        return child

    def _leave(self, node: Node, event: Event) -> None:
        if event.name.startswith(TEMPORARY):
            self._drafts.add(event.cookie)
        self._moving[event.cookie] = self._vanish(node, event.name)

    def _arrive(self, node: Node, event: Event) -> None:
        name, is_dir = event.name, bool(event.mask & kernel.IS_DIR)
        came = self._moving.pop(event.cookie, None) or self._moved.pop(event.cookie, None)
        is_told, is_known = name in node.fresh, name in node.names
        node.fresh.discard(name)
        node.names.add(name)
        is_draft = event.cookie in self._drafts
        self._drafts.discard(event.cookie)
        if is_told or (is_draft and is_known):
            self._tell(node, "write", name, is_dir)  # so ends a file of ours that is written anew
        else:
            self._tell(node, "create", name, is_dir)
            if is_draft:
                self._tell(node, "write", name, is_dir)
        if came is not None:
            self._hang(node, name, came)
            self._shed(came)
        elif is_dir:
            self._enter_new(node, name)

    def _settle(self) -> None:
        """After what there was: what left and came up nowhere is watched no more."""
        for left in self._moved.values():
            if left is not None and left.parent is None:
                self._shed(left)
        self._moved, self._moving = self._moving, {}
        self._drafts &= self._moved.keys()
        self._written.clear()
        for node in self._fresh:
            node.fresh.clear()
        self._fresh.clear()

    def _start_over(self) -> None:
        """The kernel lost count: look at every directory anew, and say so."""
        _logger.warning("changes came faster than they could be read; all watches look anew")
        for watch in list(self._homes):
            try:
                self.extend(watch, [""])
            except (OSError, Unavailable) as error:
                watch.put(Resync(str(error)))
            else:
                watch.put(Resync())

    def _tell(self, node: Node, kind: Kind, name: str, is_dir: bool) -> None:
        for above, below in _upwards(node):
            for watch in tuple(above.watches):
                if above is node or watch.recursive:
                    watch.tell(kind, f"{below}/{name}" if below else name, is_dir)

    # Nodes

    def _enter_new(self, node: Node, name: str) -> None:
        """Watch a directory that has just appeared, and all in it, if a recursive watch wants it."""
        for above, below in _upwards(node):
            inside = f"{below}/{name}" if below else name
            for watch in above.watches:
                if watch.enters(inside):
                    self._enter_told(watch, node, name, inside)
                    return

    def _enter_told(self, watch: Watch, node: Node, name: str, inside: str) -> None:
        try:
            root = os.open(watch.path, beneath.FOLDER)
        except OSError:
            return  # the top is gone, which is told next
        try:
            self._enter(root, node, inside, name, is_told=True)
        except Unavailable as error:
            _logger.warning("%s", error.message)
            watch.put(Resync(error.message))
        finally:
            os.close(root)

    def _enter(self, root: int, node: Node, inside: str, name: str = "", *, is_told: bool) -> None:
        """Watch the directory at a name below the root, and look into it and its directories.

        The node is that of the directory itself, or with a name of the one that holds it.
        """
        stack = [(node, name, inside)]
        while stack:
            parent, name, inside = stack.pop()
            try:
                fd = beneath.openat(root, inside.split("/") if inside else (), beneath.FOLDER, links=False)
            except OSError:
                continue  # gone meanwhile, or no directory any more
            try:
                with self._lock:
                    here = self._open(parent, name, fd)
                    if here is not None:
                        stack += [
                            (here, one, f"{inside}/{one}" if inside else one) for one in self._look(here, fd, is_told)
                        ]
            finally:
                os.close(fd)

    def _open(self, parent: Node, name: str, fd: int) -> Node | None:
        if not name:
            return parent if parent.number in self._nodes else None
        if parent.number not in self._nodes or self._stopping.is_set():
            return None
        try:
            node = self._node(self._inotify.add(fd))
        except OSError:
            return None  # removed while it was open
        self._hang(parent, name, node)
        return node

    def _look(self, node: Node, fd: int, is_told: bool) -> Iterator[str]:
        """Learn what lies in a directory; gives the directories that are wanted too."""
        found: set[str] = set()
        with os.scandir(fd) as entries:
            for entry in entries:
                found.add(entry.name)
                is_dir = entry.is_dir(follow_symlinks=False)
                if is_told and entry.name not in node.names:
                    node.fresh.add(entry.name)
                    self._tell(node, "create", entry.name, is_dir)
                    if entry.is_file(follow_symlinks=False):
                        self._tell(node, "write", entry.name, False)
                if is_dir and self._is_wanted(node, entry.name):
                    yield entry.name
        if is_told:
            self._fresh.append(node)
        for gone in node.children.keys() - found:
            self._shed(self._vanish(node, gone))
        node.names = found

    def _node(self, number: int) -> Node:
        return self._nodes.setdefault(number, Node(number))

    def _hang(self, parent: Node, name: str, node: Node) -> None:
        if node is parent or any(above is node for above, _ in _upwards(parent)):
            return
        before = parent.children.get(name)
        if before is not None and before is not node:
            before.parent, before.name = None, ""
            self._shed(before)
        if node.parent is not None:
            node.parent.children.pop(node.name, None)
        node.parent, node.name = parent, name
        parent.children[name] = node

    def _is_wanted(self, parent: Node, name: str) -> bool:
        for above, below in _upwards(parent):
            if above.watches and any(watch.enters(f"{below}/{name}" if below else name) for watch in above.watches):
                return True
        return False

    def _shed(self, node: Node | None) -> None:
        """Drop the node and those below it that no watch wants any more."""
        stack = [node] if node is not None else []
        while stack:
            here = stack.pop()
            stack += here.children.values()
            if not here.watches and (here.parent is None or not self._is_wanted(here.parent, here.name)):
                self._drop(here)
                self._inotify.remove(here.number)

    def _drop(self, node: Node) -> None:
        self._nodes.pop(node.number, None)
        if node.parent is not None:
            node.parent.children.pop(node.name, None)
        node.parent, node.name = None, ""
        for child in node.children.values():
            child.parent, child.name = None, ""
        node.children = {}


def _do(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:
        _logger.exception("a change could not be told")


def _upwards(node: Node) -> Iterator[tuple[Node, str]]:
    """The node and those above it, each with the name that the node has below it."""
    here: Node | None = node
    below = ""
    while here is not None:
        yield here, below
        below = f"{here.name}/{below}" if below else here.name
        here = here.parent
