"""A day with the published Python client (sync): `e2b_story.py cloud|debug`; prints the steps that held."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from e2b import (
    CommandExitException,
    FileNotFoundException,
    InvalidArgumentException,
    NotFoundException,
    PtySize,
    Sandbox,
    SandboxException,
    SandboxNotFoundException,
    SandboxQuery,
    SandboxState,
    TimeoutException,
)

SECONDS = 20
steps: list[str] = []


def step(name: str, seen: Any, wanted: Any = True) -> None:
    """Hold what was seen against what is wanted."""
    assert seen == wanted, f"{name}: {seen!r}, not {wanted!r}"
    steps.append(name)


@contextlib.contextmanager
def refused(name: str, kind: type[Exception], words: str = "") -> Iterator[None]:
    """A step that has to fail in this way."""
    try:
        yield
    except kind as error:
        if words not in str(error):
            raise AssertionError(f"{name}: {error}") from error
        steps.append(name)
    else:
        raise AssertionError(f"{name} did not fail")


def until(name: str, look: Callable[[], Any]) -> Any:
    """Ask until there is an answer: the client itself knows no other way for what it is asked here."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if seen := look():
            steps.append(name)
            return seen
        time.sleep(0.02)
    raise AssertionError(f"{name}: never seen")


def control(sandbox: Sandbox) -> None:
    step("it runs", sandbox.is_running())
    info = sandbox.get_info()
    step("info names it", info.sandbox_id, sandbox.sandbox_id)
    step("info has its metadata", info.metadata, {"who": "sync", "odd": "a&b=c/d e"})
    step("info has its template", (info.template_id, info.state), ("base", SandboxState.RUNNING))
    step("its time is what was asked", round((info.end_at - info.started_at).total_seconds()), 120)
    sandbox.set_timeout(600)
    longer = sandbox.get_info().end_at
    step("it is given more time", (longer - info.end_at).total_seconds() > 400)
    again = Sandbox.connect(sandbox.sandbox_id, timeout=30)
    step("a connect takes no time away", again.get_info().end_at, longer)
    step("whoever connects works in it", again.commands.run("pwd").stdout, "/home/user\n")
    listed = Sandbox.list(SandboxQuery(metadata={"odd": "a&b=c/d e"})).next_items()
    step("it is listed by its metadata", [one.sandbox_id for one in listed], [sandbox.sandbox_id])
    nobody = Sandbox.list(SandboxQuery(metadata={"who": "nobody"})).next_items()
    step("others are not", nobody, [])
    paused = Sandbox.list(SandboxQuery(state=[SandboxState.PAUSED])).next_items()
    step("none is paused", paused, [])
    metrics = sandbox.get_metrics()
    step("metrics are told", len(metrics) == 1 and metrics[0].mem_total > metrics[0].mem_used > 0)


def pages() -> None:
    made = [Sandbox.create(timeout=60, metadata={"page": "yes"}) for _ in range(3)]
    pager = Sandbox.list(SandboxQuery(metadata={"page": "yes"}), limit=2)
    first = pager.next_items()
    step("a page has its limit", (len(first), pager.has_next), (2, True))
    rest = pager.next_items()
    step("the next page has the rest", (len(rest), pager.has_next), (1, False))
    step("the newest come first", [one.sandbox_id for one in first + rest], [one.sandbox_id for one in made[::-1]])
    for one in made:
        one.kill()


def short_lived() -> None:
    brief = Sandbox.create(timeout=1)
    sleeper = brief.commands.run("sleep 300", background=True, timeout=0)
    until("it ends at its time", lambda: not brief.is_running())
    with refused("with what runs in it", SandboxException):
        sleeper.wait()


def commands(sandbox: Sandbox, home: str) -> None:
    done = sandbox.commands.run("echo out; echo err >&2")
    step("output and errors come apart", (done.stdout, done.stderr, done.exit_code), ("out\n", "err\n", 0))
    with refused("a failure is told", CommandExitException, "exit"):
        sandbox.commands.run("echo half; exit 3")
    with contextlib.suppress(CommandExitException):
        sandbox.commands.run("exit 3")
    try:
        sandbox.commands.run("echo half; exit 7")
    except CommandExitException as error:
        step("with its code and output", (error.exit_code, error.stdout), (7, "half\n"))
    step("HOME is the workspace", sandbox.commands.run("echo $HOME; pwd").stdout, f"/home/user\n{home}\n")
    step("variables arrive", sandbox.commands.run("echo $A-$B", envs={"A": "1", "B": "x y"}).stdout, "1-x y\n")
    sandbox.files.make_dir("sub")
    step("the directory is the asked one", sandbox.commands.run("pwd", cwd="sub").stdout, f"{home}/sub\n")
    step("/tmp is there", sandbox.commands.run("pwd", cwd="/tmp").stdout, "/tmp\n")
    step("the user may be named", sandbox.commands.run("echo me", user="root").stdout, "me\n")
    with refused("a directory that is missing", InvalidArgumentException):
        sandbox.commands.run("true", cwd="/home/user/none")
    heard: list[tuple[str, str]] = []
    sandbox.commands.run(
        "echo 1; echo 2 >&2; echo ünï",
        on_stdout=lambda text: heard.append(("out", text)),
        on_stderr=lambda text: heard.append(("err", text)),
    )
    step("stdout is heard", "".join(text for kind, text in heard if kind == "out"), "1\nünï\n")
    step("stderr is heard", "".join(text for kind, text in heard if kind == "err"), "2\n")
    large = sandbox.commands.run("head -c 3000000 /dev/zero | tr '\\0' x")
    step("a lot of output is whole", len(large.stdout), 3_000_000)
    with refused("a command's time is over", TimeoutException):
        sandbox.commands.run("sleep 30", timeout=1)
    until("then it is ended", lambda: not any("sleep 30" in one.args[-1] for one in sandbox.commands.list()))


def background(sandbox: Sandbox) -> None:
    cat = sandbox.commands.run("cat", background=True, stdin=True)
    listed = {one.pid: one for one in sandbox.commands.list()}
    step("what runs is listed", (listed[cat.pid].cmd, listed[cat.pid].args), ("/bin/bash", ["-l", "-c", "cat"]))
    sandbox.commands.send_stdin(cat.pid, "ping\n")
    out, _, _ = next(iter(cat))
    step("input comes back", out, "ping\n")
    cat.disconnect()
    same = sandbox.commands.connect(cat.pid)
    step("it survives its reader", same.pid, cat.pid)
    same.send_stdin(b"again\n")
    step("and speaks to the next one", next(iter(same))[0], "again\n")
    sandbox.commands.stream_input(cat.pid, iter(["a\n", b"b\n"]))
    sandbox.commands.close_stdin(cat.pid)
    rest = same.wait()
    step("streamed input arrives, and its end", (rest.stdout.endswith("a\nb\n"), rest.exit_code), (True, 0))
    with refused("one that ended is none", NotFoundException):
        sandbox.commands.send_stdin(cat.pid, "x")
    sleeper = sandbox.commands.run("sleep 60", background=True, timeout=0)
    step("it can be killed", sleeper.kill())
    with refused("and says so", CommandExitException):
        sleeper.wait()
    step("twice is once too much", sandbox.commands.kill(sleeper.pid), False)
    with refused("nobody can connect to it", NotFoundException):
        sandbox.commands.connect(sleeper.pid)


def files(sandbox: Sandbox) -> None:
    told = sandbox.files.write("notes/a.txt", "hello ünï")
    step("a file is written", (told.name, told.path), ("a.txt", "/home/user/notes/a.txt"))
    step("and read as text", sandbox.files.read("notes/a.txt"), "hello ünï")
    step("as bytes", bytes(sandbox.files.read("/home/user/notes/a.txt", format="bytes")), "hello ünï".encode())
    step("as a stream", b"".join(sandbox.files.read("~/notes/a.txt", format="stream")), "hello ünï".encode())
    blob = bytes(range(256)) * 4096
    sandbox.files.write("/tmp/blob", blob)
    step("bytes stay bytes", bytes(sandbox.files.read("/tmp/blob", format="bytes")) == blob)
    step("commands see them", sandbox.commands.run("wc -c < /tmp/blob").stdout.strip(), str(len(blob)))
    many = sandbox.files.write_files([{"path": f"many/{n}", "data": str(n)} for n in range(3)])
    step("several at once", [one.path for one in many], [f"/home/user/many/{n}" for n in range(3)])
    step("each with its own", [sandbox.files.read(f"many/{n}") for n in range(3)], ["0", "1", "2"])
    sandbox.files.write("stream.bin", io.BytesIO(blob), use_octet_stream=True)
    step("a stream is written", sandbox.files.get_info("stream.bin").size, len(blob))
    sandbox.files.write("packed.txt", "z" * 100_000, gzip=True)
    step("a packed one is unpacked", sandbox.files.read("packed.txt", gzip=True), "z" * 100_000)
    marked = sandbox.files.write("marked.txt", "m", metadata={"origin": "story"})
    step("a file may be marked", marked.metadata, {"origin": "story"})
    step("and keeps its mark", sandbox.files.get_info("marked.txt").metadata, {"origin": "story"})
    names = [(one.name, one.type.value) for one in sandbox.files.list("many")]  # type: ignore[union-attr]
    step("a folder is listed", sorted(names), [("0", "file"), ("1", "file"), ("2", "file")])
    deep = {one.path for one in sandbox.files.list("/home/user", depth=2)}
    step("two levels deep", {"/home/user/many", "/home/user/many/2"} <= deep)
    flat = {one.path for one in sandbox.files.list("/home/user")}
    step("or one", "/home/user/many" in flat and "/home/user/many/2" not in flat)
    step("it exists", (sandbox.files.exists("many/1"), sandbox.files.exists("many/9")), (True, False))
    info = sandbox.files.get_info("notes/a.txt")
    step("info is told", (info.size, info.permissions[0], info.owner), (11, "-", "user"))
    moved = sandbox.files.rename("notes/a.txt", "new/place/b.txt")
    step("it is renamed", (moved.path, sandbox.files.exists("notes/a.txt")), ("/home/user/new/place/b.txt", False))
    step("a folder is made once", (sandbox.files.make_dir("one"), sandbox.files.make_dir("one")), (True, False))
    sandbox.files.remove("many")
    step("it is removed", sandbox.files.exists("many"), False)
    sandbox.commands.run("ln -s new/place/b.txt link")
    link = sandbox.files.get_info("link")
    step("a link is a link", (link.type.value, link.symlink_target), ("symlink", "new/place/b.txt"))  # type: ignore[union-attr]
    step("and is followed", sandbox.files.read("link"), "hello ünï")
    with refused("a missing file", FileNotFoundException):
        sandbox.files.read("none.txt")
    with refused("a missing folder", FileNotFoundException):
        sandbox.files.list("none")
    with refused("what cannot be removed", FileNotFoundException):
        sandbox.files.remove("none")
    with refused("a folder is no file", InvalidArgumentException, "folder"):
        sandbox.files.write("new", "x")
    with refused("what lies outside is as unknown", FileNotFoundException):
        sandbox.files.read("/etc/passwd")


def watching(sandbox: Sandbox) -> None:
    sandbox.files.make_dir("seen/deep")
    watch = sandbox.files.watch_dir("seen", recursive=True, include_entry=True)
    sandbox.files.write("seen/new.txt", "1")
    found = until("a new file is seen", lambda: [one for one in watch.get_new_events() if one.name == "new.txt"])
    step("with what lies there", found[-1].entry is None or found[-1].entry.path.endswith("seen/new.txt"))
    sandbox.commands.run("echo 2 > seen/deep/x")
    until("deeper ones too", lambda: [one for one in watch.get_new_events() if one.name == "deep/x"])
    watch.stop()
    with refused("one that was stopped", SandboxException):
        watch.get_new_events()
    with refused("a missing folder is not watched", FileNotFoundException):
        sandbox.files.watch_dir("none")


def terminal(sandbox: Sandbox) -> None:
    pty = sandbox.pty.create(PtySize(rows=24, cols=80), envs={"HELLO": "there"})
    seen = bytearray()

    def read(wanted: bytes) -> bool:
        if wanted in seen:  # it may have come with what was waited for before
            return True
        for _, _, data in pty:
            seen.extend(data or b"")
            if wanted in seen:
                return True
        return False

    sandbox.pty.send_stdin(pty.pid, b"echo hi-$HELLO; stty size\n")
    step("a terminal answers", read(b"hi-there") and read(b"24 80"))
    sandbox.pty.resize(pty.pid, PtySize(rows=30, cols=100))
    sandbox.pty.send_stdin(pty.pid, b"stty size\n")
    step("it takes another size", read(b"30 100"))
    pty.disconnect()
    pty = sandbox.pty.connect(pty.pid)
    sandbox.pty.send_stdin(pty.pid, b"echo back-$((40+2))\n")
    step("it survives its reader too", read(b"back-42"))
    step("it is killed", sandbox.pty.kill(pty.pid))
    with contextlib.suppress(CommandExitException):
        pty.wait()
    with refused("and gone", NotFoundException):
        sandbox.pty.send_stdin(pty.pid, b"x")


def addresses(sandbox: Sandbox) -> None:
    sandbox.files.write("shared.txt", "by address")
    with urllib.request.urlopen(sandbox.download_url("shared.txt", use_signature_expiration=60)) as answer:
        step("a signed address is enough", answer.read(), b"by address")
    wrong = sandbox.download_url("shared.txt").replace("shared", "stream")
    try:
        urllib.request.urlopen(wrong)
        raise AssertionError("another file was given")
    except urllib.error.HTTPError as error:
        step("for that file alone", error.code, 401)


def endings(sandbox: Sandbox) -> None:
    sleeper = sandbox.commands.run("sleep 300", background=True, timeout=0)
    step("it is paused", Sandbox.pause(sandbox.sandbox_id))
    step("a paused one does not run", sandbox.is_running(), False)
    step("paused twice is once", sandbox.pause(), False)
    step("it is listed as paused", Sandbox.get_info(sandbox.sandbox_id).state, SandboxState.PAUSED)
    woken = Sandbox.connect(sandbox.sandbox_id, timeout=60)
    step("its files are kept", woken.files.read("stream.bin", format="bytes")[:3], bytearray(b"\0\1\2"))
    step("its processes are not", sleeper.pid in [one.pid for one in woken.commands.list()], False)
    step("it is killed at last", woken.kill())
    step("then it does not run", woken.is_running(), False)
    step("killed twice is once", woken.kill(), False)
    with refused("nobody knows it", SandboxNotFoundException):
        Sandbox.get_info(woken.sandbox_id)
    with refused("nor works in it", SandboxException, "not found"):
        woken.commands.run("true")
    with refused("an unknown template", SandboxException, "404"):
        Sandbox.create("no-such-template")


def main(mode: str) -> None:
    sandbox = Sandbox.create(timeout=120, metadata={"who": "sync", "odd": "a&b=c/d e"}, envs={"GIVEN": "by its maker"})
    if mode == "cloud":
        control(sandbox)
        pages()
        short_lived()
        step("its maker's variables", sandbox.commands.run("echo $GIVEN").stdout, "by its maker\n")
    commands(sandbox, "/home/user")
    background(sandbox)
    files(sandbox)
    watching(sandbox)
    terminal(sandbox)
    if mode == "cloud":
        addresses(sandbox)
        endings(sandbox)
    sys.stdout.write(json.dumps(steps))


main(sys.argv[1])
