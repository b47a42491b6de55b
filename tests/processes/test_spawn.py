"""Commands run with exactly what they are given, inside walls, and leave nothing behind."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from app import config
from app.errors import Invalid, Unavailable
from app.processes import child as children
from app.processes import orphans, sandbox, seccomp
from app.processes.spawn import start
from tests.patience import PATIENCE
from tests.processes.conftest import World

both = pytest.mark.parametrize("walled", [True, False], ids=["sandboxed", "plain"])


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.02)  # nothing tells of the end of a process that is not ours
    return True


def bearers(mark: str) -> list[int]:
    """The living processes whose command line has this word in it."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line, status = process.info["cmdline"] or [], process.info["status"]
        if status != psutil.STATUS_ZOMBIE and process.pid != os.getpid() and any(mark in word for word in line):
            found.append(process.pid)
    return found


def variables(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


@both
def test_it_gives_exit_code_and_both_outputs(world: World, walled: bool) -> None:
    done = world.sh("echo out; echo err >&2; exit 7", sandbox=walled)
    assert (done.exit_code, done.stderr) == (7, "err\n")
    assert sorted(done.output.splitlines()) == ["err", "out"]
    assert [done.truncated, done.timed_out, done.cancelled, done.spilled] == [False, False, False, None]


@both
def test_it_tells_a_signal_and_a_missing_command_by_code(world: World, walled: bool) -> None:
    assert world.sh("kill -9 $$", sandbox=walled).exit_code == 137
    missing = world.run("no-such-command", sandbox=walled)
    assert missing.exit_code == 127
    assert "no-such-command" in missing.output


@both
def test_it_passes_arguments_as_they_are(world: World, walled: bool) -> None:
    words = ["$(id)", "a b", "-x", "'\"", "line\nbreak", "*", ""]
    done = world.python("import sys; print(sys.argv[1:])", sandbox=walled)
    assert done.output == "[]\n"
    done = world.run("python3", "-I", "-c", "import sys; print(sys.argv[1:])", *words, sandbox=walled)
    assert done.output == f"{words}\n"


@both
def test_it_gives_exactly_the_allowed_environment(world: World, walled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-server-only")
    monkeypatch.setenv("TZ", "UTC")
    seen = variables(world.run("env", env={"GRANTED": "yes"}, sandbox=walled).output)
    extra = {"PWD"} if walled else {orphans.VARIABLE}
    assert set(seen) - {"RUSTUP_HOME"} == {"PATH", "HOME", "LANG", "TERM", "TZ", "GRANTED"} | extra
    assert seen["HOME"] == str(world.private / "home")
    assert seen["GRANTED"] == "yes"


def test_it_shows_no_server_secret_in_the_first_process(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-server-only")
    done = world.sh("cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'", env={"TOKEN": "granted-token"})
    assert "sk-server-only" not in done.output
    assert "TOKEN=granted-token" in done.output
    assert "granted-token" not in world.sh("cat /proc/*/cmdline", env={"TOKEN": "granted-token"}).output


def test_its_environment_steers_nothing_outside(world: World, tmp_path: Path) -> None:
    traced = {"LD_DEBUG": "libs", "LD_DEBUG_OUTPUT": str(tmp_path / "traced")}
    done = world.run("env", env={**traced, "BASH_FUNC_shift%%": f"() {{ touch {tmp_path}/traced; }}"})
    assert done.exit_code == 0
    assert f"LD_DEBUG_OUTPUT={tmp_path}/traced" in done.output.splitlines()
    assert not list(tmp_path.glob("traced*"))


@pytest.mark.parametrize(
    ("argv", "env"),
    [(["true", "x" * 131_072], {}), (["true"], {"X": "x" * 131_072}), (["true", *["x"] * 9_000], {}),
     (["true"], {f"X{number}": "x" * 100_000 for number in range(100)})],
    ids=["one word", "one variable", "many words", "all together"],
)  # fmt: skip
def test_it_refuses_what_is_too_long(world: World, argv: list[str], env: dict[str, str]) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.E2BIG)):
        world.run(*argv, env=env)


@both
def test_it_leaks_no_descriptors(world: World, walled: bool) -> None:
    leak = os.open("/etc/shadow" if os.geteuid() == 0 else "/etc/passwd", os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        done = world.python("import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))", sandbox=walled)
    finally:
        os.close(leak)
    assert done.output == "[0, 1, 2, 3]\n"  # 3 is the listing itself


@both
def test_it_feeds_stdin(world: World, walled: bool) -> None:
    text = b"line\n" * 100_000
    assert world.run("wc", "-c", stdin=text, sandbox=walled).output.strip() == str(len(text))
    assert world.run("true", stdin=text, sandbox=walled).exit_code == 0
    assert world.run("cat", sandbox=walled).output == ""


@both
def test_it_replaces_what_is_not_text(world: World, walled: bool) -> None:
    heard: list[str] = []
    done = world.python(
        "import os; os.write(1, b'a\\xff\\xe2\\x82'); os.write(1, b'\\xacz')",
        sandbox=walled,
        on_output=lambda text, _stream: heard.append(text),
    )
    assert done.output == "a�€z"
    assert "".join(heard) == "a�€z"


@both
def test_it_tells_output_as_it_comes(world: World, walled: bool) -> None:
    heard: list[tuple[str, str]] = []
    world.sh("echo out; echo err >&2", sandbox=walled, on_output=lambda text, stream: heard.append((stream, text)))
    assert sorted(heard) == [("stderr", "err\n"), ("stdout", "out\n")]


@both
def test_it_ends_the_child_when_the_listener_fails(world: World, walled: bool) -> None:
    def fail(_text: str, _stream: str) -> None:
        raise RuntimeError("the page has gone")

    with pytest.raises(RuntimeError, match="the page has gone"):
        world.run("sh", "-c", "echo x; sleep 30", "listener-fails", sandbox=walled, on_output=fail)
    assert until(lambda: not bearers("listener-fails"))


@both
def test_it_keeps_both_ends_of_long_output_and_spills_all(world: World, walled: bool) -> None:
    done = world.python("print('first' + 'x' * 300_000 + 'last')", output_limit=1000, sandbox=walled)
    assert done.truncated
    assert done.output.startswith("firstx")
    assert done.output.endswith("xlast\n")
    assert "bytes left out" in done.output
    assert len(done.output) < 1100
    assert done.spilled is not None
    assert done.spilled.read_text() == "first" + "x" * 300_000 + "last\n"
    assert world.run("wc", "-c", f"/tmp/{done.spilled.name}").output.split()[0] == "300010"


@both
def test_it_ends_everything_at_the_time_out(world: World, walled: bool) -> None:
    script = "(trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 60 & wait' grandchild-t & sleep 60) & sleep 60"
    done = world.run("sh", "-c", script, "group-t", timeout=0.5, grace=0.2, sandbox=walled)
    assert done.timed_out
    assert done.exit_code in (137, 143)
    assert done.duration < 20
    assert until(lambda: not bearers("grandchild-t") and not bearers("group-t"))


@both
def test_it_lets_a_command_clean_up_after_sigterm(world: World, walled: bool) -> None:
    done = world.sh("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done", timeout=3, sandbox=walled)
    assert done.timed_out
    assert done.exit_code == 3
    assert done.output.startswith("up\n")
    assert done.output.endswith("bye\n")


@both
def test_it_ends_everything_on_cancel(world: World, walled: bool) -> None:
    cancel = threading.Event()
    done = world.run(
        *("sh", "-c", "sleep 60 & echo up; sleep 60", "group-c"),
        sandbox=walled, cancel=cancel, on_output=lambda _text, _stream: cancel.set(),
    )  # fmt: skip
    assert done.cancelled
    assert not done.timed_out
    assert until(lambda: not bearers("group-c"))


@both
def test_it_ends_what_a_command_leaves_behind(world: World, walled: bool) -> None:
    fork = "if os.fork(): sys.exit()\n"
    daemon = f"import os, sys, time\n{fork}os.setsid()\n{fork}time.sleep(60)"
    done = world.run("python3", "-I", "-c", daemon, "daemon-x", sandbox=walled)
    assert done.exit_code == 0
    assert done.duration < 10
    assert until(lambda: not bearers("daemon-x"))


TAKE = """
import os, socket, time
with socket.socket(socket.AF_UNIX) as door:
    door.bind("door")
    door.listen()
    print("ready", flush=True)
    taken = socket.recv_fds(door.accept()[0], 1, 1)[1][0]
end = time.monotonic() + 12
while time.monotonic() < end:
    os.write(taken, b"x" * 65536)
print("over", flush=True)
time.sleep(60)
"""
GIVE = """
import socket
with socket.socket(socket.AF_UNIX) as line:
    line.connect("door")
    socket.send_fds(line, [b"."], [1])
    print(line.recv(1))
"""


def test_a_command_that_gave_its_output_to_another_ends_all_the_same(world: World) -> None:
    place = {"cwd": world.workspace, "workspace": world.workspace, "private": world.private}
    other = start(["python3", "-c", TAKE], sandbox=True, **place)  # type: ignore[arg-type]
    try:
        assert other.stdout is not None
        assert other.stdout.read(6) == b"ready\n"
        # Who listens takes longer than the other needs to fill the pipe again.
        done = world.python(GIVE, on_output=lambda _text, _stream: threading.Event().wait(0.02))
        assert (done.exit_code, done.timed_out) == (0, False)
        os.set_blocking(other.stdout.fileno(), False)
        assert other.stdout.read(5) != b"over\n"  # it writes still, or has just found that nobody reads any more
    finally:
        other.close()


@both
def test_it_leaves_no_child_when_the_server_is_killed(world: World, walled: bool) -> None:
    server = (
        "import sys, threading\nfrom pathlib import Path\nfrom app import config\n"
        "from app.processes.spawn import start\ndata, workspace, private = map(Path, sys.argv[1:4])\n"
        "config.use(config.Config(data_dir=data))\n"
        "def go():\n  child = start(['sh', '-c', 'echo up; exec sleep 60', 'orphan-k'], cwd=workspace,"
        f" workspace=workspace, private=private, sandbox={walled})\n"
        "  print(child.stdout.read(3), flush=True)\n"
        "thread = threading.Thread(target=go); thread.start(); thread.join()\nthreading.Event().wait()\n"
    )
    argv = [sys.executable, "-c", server, *map(str, (world.data, world.workspace, world.private))]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        argv, cwd=root, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"b'up\\n'\n"
        children = psutil.Process(process.pid).children(recursive=True)
        assert children  # the thread that started it is gone, the child is not
        process.send_signal(signal.SIGKILL)
    assert until(lambda: not any(child.is_running() for child in children))


@both
def test_it_leaves_nothing_that_a_child_has_started_either(world: World, walled: bool) -> None:
    ours = [f"{seconds}.{os.getpid()}" for seconds in (61, 62, 63)]
    script = f"(setsid sleep {ours[0]} &) ; sleep {ours[1]} & echo up; exec sleep {ours[2]}"
    server = (
        "import sys, threading\nfrom pathlib import Path\nfrom app import config\n"
        "from app.processes.spawn import start\ndata, workspace, private = map(Path, sys.argv[1:4])\n"
        "config.use(config.Config(data_dir=data))\n"
        f"child = start(['sh', '-c', {script!r}], cwd=workspace,"
        f" workspace=workspace, private=private, sandbox={walled})\n"
        "print(child.stdout.read(3), flush=True)\nthreading.Event().wait()\n"
    )
    argv = [sys.executable, "-c", server, *map(str, (world.data, world.workspace, world.private))]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        argv, cwd=root, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"b'up\\n'\n"

        def sleepers() -> list[psutil.Process]:
            found = psutil.process_iter(["cmdline", "create_time"])
            return [one for one in found if one.info["cmdline"] in [["sleep", number] for number in ours]]

        assert until(lambda: len(sleepers()) == 3)
        started = sleepers()
        process.send_signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs(started, PATIENCE)
    assert len(gone) == 3
    assert alive == []


def test_it_sweeps_what_earlier_servers_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = orphans.mark().split(".")
    stale = {**os.environ, orphans.VARIABLE: ".".join([mark[0], "1", "0", "1"])}
    own = {**os.environ, orphans.VARIABLE: ".".join(mark)}
    with (
        subprocess.Popen(["sleep", "60"], env=stale) as old,
        subprocess.Popen(["sleep", "60"], env=own) as new,
    ):
        assert orphans.sweep() == 1
        assert old.wait(10) == -signal.SIGKILL
        assert new.poll() is None
        new.kill()


def test_what_begins_while_its_parent_ends_is_found_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen(["sleep", "60"])
    looks = iter([[(1, ""), (child.pid - 1, None)], [(1, ""), (child.pid, "mine")], [(1, ""), (child.pid, "other")]])
    monkeypatch.setattr(orphans, "_marks", lambda: next(looks))
    assert orphans.kill("mine") == 1
    assert child.wait(PATIENCE) == -signal.SIGKILL
    assert next(looks, None) is None


def test_what_a_process_starts_just_before_it_dies_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is still listed as dead, without an environment to read, until somebody collects it."""
    mark = orphans.mark()
    dead, left = subprocess.Popen(["true"]), []
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    mark_of = orphans._mark_of

    def die(pid: int) -> str | None:
        if pid == dead.pid and not left:
            left.append(subprocess.Popen(["sleep", "60"], env={**os.environ, orphans.VARIABLE: mark}))
        return mark_of(pid)

    monkeypatch.setattr(orphans, "_mark_of", die)
    assert orphans.kill(mark) == 1
    assert left[0].wait(PATIENCE) == -signal.SIGKILL
    assert mark_of(dead.pid) == ""  # it keeps nobody: each command is dead when this is asked
    dead.wait()


def test_a_process_that_stays_without_an_environment_keeps_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def look() -> list[tuple[int, str | None]]:
        looks.append(1)
        return [(1, ""), (2, None)]

    monkeypatch.setattr(orphans, "_marks", look)
    assert orphans.kill("mine") == 0
    assert len(looks) == orphans.UNCLEAR_LOOKS + 1


def test_a_server_that_nobody_has_collected_yet_is_gone() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as server:
        name = f"{server.pid}.{Path(f'/proc/{server.pid}/stat').read_text().rpartition(')')[2].split()[19]}"
        assert not orphans.is_gone(name)
        assert server.stdin is not None
        server.stdin.close()
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
        assert orphans.is_gone(name)


def test_it_terminates_a_started_child(world: World) -> None:
    child = start(["sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"],
                  cwd=world.workspace, workspace=world.workspace, private=world.private)  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.read(3) == b"up\n"
    assert not child.exited()
    with pytest.raises(TimeoutError):
        child.wait(0.01)
    assert child.terminate() == 5
    assert child.wait() == 5
    child.close()


def test_it_runs_on_a_terminal(world: World) -> None:
    ours, theirs = os.openpty()
    script = "test -t 0 && test -t 1 && : > /dev/tty && echo terminal"
    child = start(["sh", "-c", script], cwd=world.workspace,
                  workspace=world.workspace, private=world.private, tty=theirs)  # fmt: skip
    os.close(theirs)
    assert child.wait(10) == 0
    assert os.read(ours, 100) == b"terminal\r\n"
    os.close(ours)


def test_it_has_no_network_unless_asked(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as canary, socket.socket(socket.AF_UNIX) as abstract:
        name = f"signalcabin-canary-{os.getpid()}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        dial = f"import socket; socket.create_connection({canary.getsockname()!r}, 2)"
        hidden = f"import socket; socket.socket(socket.AF_UNIX).connect('\\0{name}')"
        assert "refused" in world.python(dial).stderr
        assert "refused" in world.python(hidden).stderr
        assert world.python(dial, network=True).exit_code == 0


@pytest.mark.parametrize("path", ["/etc/shadow", "/root/.bashrc", "/proc/1/root/etc/shadow", "/proc/kmsg"])
def test_it_reads_nothing_of_the_machine(world: World, path: str) -> None:
    assert world.run("cat", path).exit_code != 0


def test_it_never_sees_the_data_directory(world: World) -> None:
    (world.data / "private" / "prj_2").mkdir(parents=True)
    assert world.run("cat", str(world.data / "master.key")).exit_code != 0
    assert world.run("ls", str(world.data / "private")).output == "prj_1\n"
    assert world.run("ls", str(world.private)).output == "home\n"


def test_it_hides_a_data_directory_inside_the_workspace(world: World) -> None:
    workspace = world.data.parent
    inside = World(world.data, workspace, world.private)
    deep = workspace / "a" / "b" / "data"
    deep.mkdir(parents=True)
    (deep / "master.key").write_text("the key")
    config.use(config.Config(data_dir=deep, testing=True))
    inside = World(deep, workspace, deep / "private" / "prj_1")
    for name in (str(workspace), "/home/user"):
        assert inside.run("cat", f"{name}/a/b/data/master.key").exit_code != 0
        assert inside.sh(f"mv {name}/a {name}/c || mv {name}/a/b {name}/d || rm -rf {name}/a/b/data").exit_code != 0
    assert (deep / "master.key").read_text() == "the key"
    assert inside.sh("echo kept > $HOME/note; echo x > /home/user/a/file").exit_code == 0
    assert (deep / "private" / "prj_1" / "home" / "note").read_text() == "kept\n"


def test_it_shows_only_the_workspace_of_a_data_directory(world: World) -> None:
    sample = world.data / "sample"
    sample.mkdir()
    within = World(world.data, sample, world.private)
    assert within.sh("echo hi > file; ls ..; cat ../master.key").output.startswith("private\nsample\n")
    assert (sample / "file").read_text() == "hi\n"


@pytest.mark.parametrize("path", ["/usr/x", "/x", "/etc/x", "/dev/x", "/bin/x", f"{sys.prefix}/x", "/home/x"])
def test_it_writes_nothing_outside(world: World, path: str) -> None:
    assert world.run("touch", path).exit_code != 0


def test_it_opens_no_kernel_setting_for_writing(world: World) -> None:
    tried = (
        "import os\nfound = []\nfor top, _, names in os.walk('/proc/sys'):\n  for name in names:\n    try:\n"
        "      os.close(os.open(os.path.join(top, name), os.O_WRONLY)); found.append(name)\n"
        "    except OSError: pass\nprint(found)"
    )
    assert world.python(tried).output == "[]\n"


def test_it_writes_the_workspace_at_both_names(world: World) -> None:
    (world.workspace / "given").write_text("before\n")
    done = world.sh("cat given; echo one > one; echo two > /home/user/two; echo three >> given; cat /home/user/one")
    assert done.output == "before\none\n"
    assert (world.workspace / "two").read_text() == "two\n"
    assert (world.workspace / "given").read_text() == "before\nthree\n"
    assert (world.workspace / "one").stat().st_uid == os.geteuid()
    assert world.run("pwd", cwd=Path("/home/user")).output == "/home/user\n"


def test_it_writes_other_directories_it_is_given(world: World, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    assert world.run("touch", str(repository / "x")).exit_code != 0
    assert world.run("touch", str(repository / "x"), also=[repository]).exit_code == 0
    assert (repository / "x").exists()


def test_what_is_kept_in_a_further_directory_stays_as_it_is(world: World, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    for name in ("hooks", "trees/own", "trees/other"):
        (shared / name).mkdir(parents=True)
    (shared / "config").write_text("[core]\n")
    given = {
        "also": [shared, shared / "trees/own"],
        "keep": [shared / "config", shared / "hooks", shared / "trees", shared / "never-there"],
    }
    for name in ("objects", "trees/own/index"):
        assert world.run("touch", str(shared / name), **given).exit_code == 0
    for script in ("> config", "> hooks/pre-commit", "> trees/other/x", "mv hooks gone", "rm config", "mv x config"):
        done = world.sh(f"cd {shared}; touch x; {script.replace('>', 'echo evil >')}", **given)
        assert done.exit_code != 0, script
    assert (shared / "config").read_text() == "[core]\n"
    assert sorted(path.name for path in shared.iterdir()) == ["config", "hooks", "objects", "trees", "x"]


def test_it_keeps_home_and_tmp_from_one_command_to_the_next(world: World) -> None:
    world.sh("echo home > $HOME/note; echo tmp > /tmp/note")
    assert world.sh("cat $HOME/note /tmp/note").output == "home\ntmp\n"
    assert not Path("/tmp/note").exists()


def test_it_is_nobody_without_rights(world: World) -> None:
    done = world.sh("id -u; grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status; ulimit -n; ulimit -c")
    lines = done.output.split()
    assert lines[0] == "65534"
    assert lines[lines.index("CapEff:") + 1] == "0" * 16
    assert lines[lines.index("NoNewPrivs:") + 1] == "1"
    assert lines[lines.index("Seccomp:") + 1] == ("2" if seccomp.program() else "0")
    assert lines[-2:] == ["256", "0"]


@pytest.mark.parametrize(
    "call",
    [
        "libc.unshare(0x10000000)",
        "libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)", "libc.ptrace(0, 0, 0, 0)",
        "libc.syscall(435, 0, 0)", "libc.setns(0, 0)", "libc.ioctl(0, 0x5412, b'x')",
        "libc.syscall(425, 1, 0)",
    ],
    ids=["unshare", "mount", "ptrace", "clone3", "setns", "tiocsti", "io_uring"],
)  # fmt: skip
def test_it_refuses_system_calls_of_escapes(world: World, call: str) -> None:
    script = f"import ctypes; libc = ctypes.CDLL(None, use_errno=True); print({call}, ctypes.get_errno())"
    assert world.python(script).output in ("-1 1\n", "-1 38\n")


def test_it_opens_no_socket_that_leads_past_its_network(world: World) -> None:
    script = (
        "import errno, socket\nfor family in range(1, 46):\n"
        "  try: socket.socket(family, socket.SOCK_DGRAM).close()\n"
        "  except OSError as failure:\n    if failure.errno == errno.EAFNOSUPPORT: continue\n"
        "  print(family)"
    )
    assert world.python(script).output.split() == ["1", "2", "10", "16"]


def test_it_starts_threads_and_processes_all_the_same(world: World) -> None:
    script = (
        "import subprocess, threading\n"
        "thread = threading.Thread(target=print, args=('thread',))\nthread.start();"
        "thread.join()\nprint(subprocess.check_output(['echo', 'process'], text=True))"
    )
    assert world.python(script).output == "thread\nprocess\n\n"


def test_it_refuses_links_and_the_wrong_directories(world: World, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/etc")
    for workspace in (link, Path("/"), Path("/proc"), world.data, tmp_path / "none"):
        with pytest.raises(Invalid):
            World(world.data, workspace, world.private).run("true")
    for cwd in (tmp_path, world.data, Path("/etc"), world.workspace / "none"):
        with pytest.raises(Invalid):
            world.run("true", cwd=cwd)


@pytest.mark.parametrize("argv", [[], [""], ["a\0b"]], ids=["none", "empty", "nul"])
def test_it_refuses_what_is_no_command(world: World, argv: list[str]) -> None:
    with pytest.raises(Invalid):
        world.run(*argv)


def test_it_says_when_there_is_no_sandbox(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    off = ("", sandbox.SandboxState(False, "bubblewrap is missing.", ""))
    monkeypatch.setattr(sandbox, "_probe", lambda: off)
    with pytest.raises(Unavailable) as refusal:
        world.run("true", sandbox=True)
    assert refusal.value.code == "SANDBOX_UNAVAILABLE"
    assert world.run("true", sandbox=None).exit_code == 0


def test_it_gives_back_all_descriptors_and_processes(world: World) -> None:
    world.run("true", sandbox=False)
    children.drop_spare()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for walled in (True, False, True):
        world.run("true", stdin=b"x", sandbox=walled)
    children.drop_spare()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert not [child for child in psutil.Process().children() if child.name() in ("true", "bwrap")]
