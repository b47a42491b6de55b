"""Commands that live on beside requests: what they print reaches every reader, and they end as one."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import psutil
import pytest

from app import config
from app.errors import Conflict, Invalid, NotFound
from app.processes import cgroups
from app.processes import child as children
from app.processes import live as lives
from app.processes.live import Dropped, Ended, Live, Output, Size, Spec, Tap, Word, launch
from tests.processes.conftest import World
from tests.processes.test_spawn import bearers, until

both = pytest.mark.parametrize("walled", [True, False], ids=["sandboxed", "plain"])
Run = Callable[..., Live]
SECONDS = 20


@pytest.fixture
def run(world: World) -> Iterator[Run]:
    """Starts commands in the world; all end with the test."""

    def start(*argv: str, **options: object) -> Live:
        place = {"cwd": world.workspace, "workspace": world.workspace, "private": world.private}
        return launch(Spec(argv=argv, **{"sandbox": False, **place, **options}))  # type: ignore[arg-type]

    yield start
    lives.stop()


def told(tap: Tap) -> list[Word]:
    """All that a reader is told, up to the end."""
    found = []
    for word in tap.facts(None, time.monotonic() + SECONDS):
        assert word is not None
        found.append(word)
    assert isinstance(found[-1], Ended), found[-3:]
    return found


def text(words: list[Word], stream: str = "") -> str:
    data = b"".join(word.data for word in words if isinstance(word, Output) and stream in ("", word.stream))
    return data.decode()


def read_until(tap: Tap, wanted: str) -> str:
    """What is printed up to and with a text."""
    found, asked = bytearray(), wanted.encode()
    for word in tap.facts(None, time.monotonic() + SECONDS):
        if isinstance(word, Output):
            seen = max(0, len(found) - len(asked))
            found += word.data
            if asked in found[seen:]:
                return found.decode()
    raise AssertionError(f"{wanted!r} did not come: {found[-500:]!r}")


@both
def test_a_reader_is_told_both_outputs_and_the_end(run: Run, walled: bool) -> None:
    words = told(run("sh", "-c", "echo out; echo err >&2; exit 7", sandbox=walled).attach())
    assert (text(words, "stdout"), text(words, "stderr")) == ("out\n", "err\n")
    assert isinstance(words[-1], Ended)
    assert (words[-1].exit_code, words[-1].signal) == (7, None)


@both
def test_a_reader_that_comes_late_is_told_all_that_is_kept(run: Run, walled: bool) -> None:
    live = run("sh", "-c", "echo one; echo two", sandbox=walled)
    assert live.wait(SECONDS) is not None
    assert text(told(live.attach())) == "one\ntwo\n"
    assert text(told(live.attach(after=4))) == "two\n"
    assert text(told(live.attach(after=live.ring.end))) == ""


@both
def test_the_end_names_the_signal(run: Run, walled: bool) -> None:
    live = run("sleep", "60", sandbox=walled)
    tap = live.attach()
    live.signal(signal.SIGTERM)
    end = told(tap)[-1]
    assert isinstance(end, Ended)
    assert (end.exit_code, end.signal) == (143, "SIGTERM")


@both
def test_a_command_that_is_not_there_ends_with_127(run: Run, walled: bool) -> None:
    words = told(run("no-such-command", sandbox=walled).attach())
    assert isinstance(words[-1], Ended)
    assert words[-1].exit_code == 127
    assert "no-such-command" in text(words, "stderr")


@both
def test_it_reads_what_it_is_given_and_ends_when_that_is_closed(run: Run, walled: bool) -> None:
    live = run("cat", sandbox=walled)
    tap = live.attach()
    live.write(b"hello\n")
    assert read_until(tap, "hello\n") == "hello\n"
    live.close_stdin()
    assert isinstance(told(tap)[-1], Ended)
    with pytest.raises(NotFound):
        live.write(b"more")


def test_five_megabytes_go_through_in_order(run: Run) -> None:
    live, given = run("cat"), os.urandom(5 << 20)
    tap, found = live.attach(), bytearray()

    def feed() -> None:
        for at in range(0, len(given), 100_000):
            live.write(given[at : at + 100_000])
        live.close_stdin()

    feeder = threading.Thread(target=feed)
    feeder.start()
    for word in told(tap):
        assert not isinstance(word, Dropped)
        found += word.data if isinstance(word, Output) else b""
    feeder.join()
    assert found == given


def test_a_command_that_does_not_read_holds_nobody_up(run: Run) -> None:
    live = run("sleep", "60")
    for _ in range(4):
        live.write(bytes(100_000), wait=0.0)
    with pytest.raises(Conflict):
        live.write(b"more", wait=0.0)


@both
def test_a_terminal_has_the_size_it_is_given(run: Run, walled: bool) -> None:
    live = run("sh", "-c", "stty size; read -r _; stty size; echo $TERM", sandbox=walled, size=Size(91, 31))
    tap = live.attach()
    read_until(tap, "31 91\r\n")
    live.resize(120, 40)
    live.write(b"\n")
    assert "40 120\r\nxterm-256color\r\n" in text(told(tap))
    with pytest.raises(NotFound):
        live.resize(80, 24)


@both
def test_a_shell_in_a_terminal_manages_jobs_without_complaint(run: Run, walled: bool) -> None:
    live = run("bash", "--norc", "-i", sandbox=walled, size=Size(80, 24))
    tap = live.attach()
    live.write(b"sleep 60 & jobs; kill %1; wait; echo do''ne\n")
    printed = read_until(tap, "done\r\n")
    assert "Running" in printed
    assert "job control" not in printed
    assert "ioctl" not in printed


@both
def test_ctrl_c_takes_effect_under_a_flood(run: Run, walled: bool) -> None:
    live = run("bash", "--norc", "-i", sandbox=walled, size=Size(80, 24))
    tap = live.attach()
    live.write(b"yes\n")
    read_until(tap, "y\r\ny\r\ny\r\n" * 10_000)
    live.write(b"\x03echo do''ne\n")
    began = time.monotonic()
    read_until(tap, "done\r\n")
    assert time.monotonic() - began < 20


def test_every_reader_is_told_the_same(run: Run) -> None:
    live = run("sh", "-c", "read -r _; seq 20000")
    found: list[str] = []
    readers = [
        threading.Thread(target=lambda tap=tap: found.append(text(told(tap))))
        for tap in [live.attach() for _ in range(4)]
    ]  # type: ignore[misc]
    for reader in readers:
        reader.start()
    live.write(b"\n")
    for reader in readers:
        reader.join(SECONDS)
    assert found == ["".join(f"{number}\n" for number in range(1, 20001))] * 4


def test_a_command_waits_for_a_slow_reader_but_not_for_ever(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lives, "PATIENCE", 0.3)
    live = run("seq", "1000000", kept=100_000)
    tap = live.attach()
    assert live.wait(0.1) is None
    assert live.wait(SECONDS) is not None
    words = told(tap)
    drops = [word for word in words if isinstance(word, Dropped)]
    assert drops[0].marker == f"[… {drops[0].count} bytes dropped]\r\n".encode()
    assert sum(word.count for word in drops) + len(text(words)) == live.ring.end
    assert text(words).endswith("1000000\n")


def test_without_readers_the_last_is_kept(run: Run) -> None:
    live = run("seq", "1000000", kept=100_000)
    assert live.wait(SECONDS) is not None
    first, *words = told(live.attach())
    assert isinstance(first, Dropped)
    assert first.count == live.ring.start > 6_000_000
    assert text(words).endswith("999999\n1000000\n")


def test_a_reader_that_says_nothing_is_given_no_more_than_its_window(run: Run) -> None:
    live = run("sh", "-c", "seq 100000; read -r _")
    given: list[Word] = []
    full, go_on = threading.Event(), threading.Event()

    def take(words: Sequence[Word]) -> None:
        given.extend(words)
        (go_on if full.is_set() else full).set()

    tap = live.attach(window=1000, is_acked=True)
    tap.pour(take, lambda: None)
    assert full.wait(SECONDS)
    before = len(given)
    assert tap.untaken >= 1000
    tap.taken(tap.untaken)
    assert go_on.wait(SECONDS)
    assert len(given) == before + 1


def test_a_reader_can_be_ended_from_our_side(run: Run) -> None:
    live, over = run("sleep", "60"), threading.Event()
    poured, waiting = live.attach(principals=("usr_bob",)), live.attach(principals=("usr_bob",))
    poured.pour(lambda _words: None, over.set)
    assert live.end_taps("usr_bob") == 2
    assert over.wait(SECONDS)
    assert list(waiting.facts(None)) == []


@both
def test_its_end_takes_along_what_it_started(run: Run, walled: bool, world: World) -> None:
    mark = f"mark-{world.data.parent.name}-{walled}"
    daemon = f"setsid sh -c 'exec -a {mark} sleep 61' & exec -a {mark} sleep 60 & echo ready; wait"
    live = run("bash", "-c", daemon, sandbox=walled)
    tap = live.attach()
    read_until(tap, "ready")
    assert until(lambda: len(bearers(mark)) >= 2)
    live.end(grace=0.5)
    assert isinstance(told(tap)[-1], Ended)
    assert until(lambda: not bearers(mark))


@both
def test_the_end_of_the_command_itself_ends_its_daemons(run: Run, walled: bool, world: World) -> None:
    mark = f"daemon-{world.data.parent.name}-{walled}"
    script = f"(setsid bash -c 'exec -a {mark} sleep 61' &) ; sleep 0.3; echo started"
    assert text(told(run("bash", "-c", script, sandbox=walled).attach())) == "started\n"
    assert until(lambda: not bearers(mark))


def test_nothing_is_left_of_commands_that_ended(run: Run) -> None:
    children.drop_spare()
    files = psutil.Process().num_fds()
    for _ in range(5):
        told(run("true").attach())
        told(run("true", size=Size(80, 24)).attach())
    children.drop_spare()
    assert until(lambda: psutil.Process().num_fds() <= files + 4)
    assert until(lambda: not [one for one in psutil.Process().children() if one.status() == psutil.STATUS_ZOMBIE])


def test_stopping_ends_every_command(run: Run) -> None:
    stubborn = run("sh", "-c", "trap '' TERM HUP; echo ready; sleep 60; sleep 60")
    read_until(stubborn.attach(), "ready")
    others = [run("sleep", "60"), run("bash", "-i", size=Size(80, 24))]
    lives.stop()
    assert [live.ended is not None for live in (stubborn, *others)] == [True] * 3


def test_a_signal_or_a_size_that_does_not_exist_is_refused(run: Run) -> None:
    live = run("sleep", "60")
    for wrong in (
        lambda: live.signal(999),
        lambda: live.resize(80, 24),
        lambda: Size(0, 10),
        lambda: Size(80, 100_000),
    ):
        with pytest.raises(Invalid):
            wrong()


def test_without_control_groups_its_daemons_end_too(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "make", lambda _server: None)
    mark = f"groupless-{world.data.parent.name}"
    script = f"(setsid bash -c 'exec -a {mark} sleep 61' &) ; echo started; exit 3"
    words = told(run("bash", "-c", script).attach())
    assert text(words) == "started\n"
    assert isinstance(words[-1], Ended)
    assert words[-1].exit_code == 3
    assert until(lambda: not bearers(mark))
    assert text(told(run("sh", "-c", "ulimit -n; ulimit -c").attach())) == f"{config.current().limits.files}\n0\n"


@both
def test_what_uses_up_its_memory_is_told_why(run: Run, walled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not cgroups.parents_of(cgroups.ROOT):
        pytest.fail("this machine lets nobody make control groups; run the tests as root", pytrace=False)
    settings = dataclasses.replace(config.current(), limits=dataclasses.replace(config.current().limits, memory=60))
    monkeypatch.setattr(config, "_current", settings)
    end = told(run("python3", "-I", "-c", "x = bytearray(200 << 20)", sandbox=walled).attach())[-1]
    assert isinstance(end, Ended)
    assert end.signal == "SIGKILL"
    assert end.why == "a command may use 60 MiB of memory"


def test_a_reader_that_takes_nothing_for_long_is_let_go(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lives, "PATIENCE", 0.05)
    monkeypatch.setattr(lives, "LET_GO", 0.05)
    live, over = run("sh", "-c", "seq 200000; sleep 60", kept=100_000), threading.Event()
    live.attach().pour(lambda _words: None, over.set)
    assert over.wait(SECONDS)
    assert live.ended is None
