"""CodeBuddy's routes of processes on a real server: its document's own requests, and what its real server does."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.running import TOKEN, Running

ALICE = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
SSE = {"Accept": "text/event-stream"}
START = "/api/v1/process/start"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server on a project with a script."""
    base = tmp_path_factory.mktemp("processes").resolve()
    project = base / "project"
    project.mkdir()
    (project / "script.py").write_text("import sys\nprint('hello from', sys.argv)\n")
    with Running(base / "data", project) as running:
        yield running


@pytest.fixture(autouse=True)
def _leaves_nothing(served: Running) -> Iterator[None]:
    yield
    for one in served.call("GET", "/api/v1/process/list")[1]["data"]["processes"]:
        served.call("POST", "/api/v1/process/signal/send", {"process": {"pid": one["pid"]}, "signal": 9})


Frame = tuple[str, dict[str, Any]]


class Follower:
    """One stream of server-sent events, read as it comes."""

    def __init__(self, served: Running, path: str, body: Any) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        self.connection.request("POST", path, json.dumps(body), {**ALICE, **SSE})
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.read()
        assert self.response.getheader("Content-Type") == "text/event-stream"

    def frames(self) -> Iterator[Frame]:
        name = ""
        for line in self.response:
            if line.startswith(b"event: "):
                name = line[7:].decode().strip()
            elif line.startswith(b"data: "):
                yield name, json.loads(line[6:])
        self.connection.close()

    def until(self, wanted: str) -> str:
        """What is printed up to and with a text."""
        found = ""
        for _name, data in self.frames():
            found += data.get("stdout", "")
            if wanted in found:
                return found
        raise AssertionError(f"{wanted!r} did not come: {found!r}")


def follow(served: Running, path: str, body: Any) -> list[Frame]:
    return list(Follower(served, path, body).frames())


def sh(script: str, **more: Any) -> dict[str, Any]:
    return {"process": {"cmd": "sh", "args": ["-c", script]}, **more}


def printed(frames: list[Frame], stream: str = "stdout") -> str:
    return "".join(data.get(stream, "") for name, data in frames if name == "data")


def start(served: Running, body: Any) -> dict[str, Any]:
    status, answer = served.call("POST", START, body)
    assert status == 202, answer
    data: dict[str, Any] = answer["data"]
    return data


def post(served: Running, path: str, body: Any) -> tuple[int, Any]:
    return served.call("POST", f"/api/v1/process/{path}", body)


def error(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["code"]


def ended(served: Running, selector: dict[str, Any]) -> dict[str, Any]:
    """How it ended; waits for that."""
    name, data = follow(served, "/api/v1/process/connect", {"process": selector})[-1]
    assert name == "end"
    return data


def test_the_documents_own_requests_do_as_it_says(served: Running) -> None:
    begun = start(served, {"process": {"cmd": "python3", "args": ["script.py"]}, "tag": "my-script"})
    assert begun["tag"] == "my-script"
    assert psutil.pid_exists(begun["pid"]) or ended(served, {"tag": "my-script"})
    frames = follow(served, START, {"process": {"cmd": "python3", "args": ["script.py"]}})
    assert frames[0][0] == "start"
    assert list(frames[0][1]) == ["pid"]
    assert printed(frames) == "hello from ['script.py']\n"
    assert frames[-1] == ("end", {"exitCode": 0, "exited": True})


def test_what_it_prints_comes_by_stream_with_its_exit_code(served: Running) -> None:
    frames = follow(served, START, sh("echo out; echo err >&2; exit 7"))
    assert [name for name, _data in frames] == ["start", "data", "data", "end"]
    assert (printed(frames), printed(frames, "stderr")) == ("out\n", "err\n")
    assert frames[-1] == ("end", {"exitCode": 7, "exited": True})


def test_arguments_are_never_split_by_a_shell(served: Running) -> None:
    words = ["a b", "$(id)", ";", "*", "'\"", "--", ""]
    frames = follow(served, START, {"process": {"cmd": "printf", "args": ["%s\n", *words]}})
    assert printed(frames).split("\n")[:-1] == words


def test_environment_and_directory_are_as_given(served: Running) -> None:
    for cwd, wanted in (("/tmp", "/tmp"), ("/home/user", None), (None, None)):
        given = {"cmd": "sh", "args": ["-c", "echo $FOO; pwd"], "envs": {"FOO": "bar"}, "cwd": cwd}
        lines = printed(follow(served, START, {"process": given})).splitlines()
        assert lines[0] == "bar"
        assert lines[1] in ([wanted] if wanted else ["/home/user", served.environ["SIGNALCABIN_PROJECT"]])


def test_a_directory_outside_is_refused(served: Running) -> None:
    for cwd in ("/etc", "/none", "../..", "~root"):
        status, answer = served.call("POST", START, {"process": {"cmd": "pwd", "cwd": cwd}})
        assert (status, answer["error"]["code"]) in ((403, "FORBIDDEN"), (400, "BAD_REQUEST")), cwd


def test_a_command_that_is_not_there_ends_with_127_in_the_stream(served: Running) -> None:
    frames = follow(served, START, {"process": {"cmd": "no-such-cmd-zz"}})
    assert "no-such-cmd-zz" in printed(frames, "stderr")
    assert frames[-1] == ("end", {"exitCode": 127, "exited": True})


def test_an_end_by_a_signal_is_named(served: Running) -> None:
    frames = follow(served, START, sh("kill -9 $$"))
    assert frames[-1] == ("end", {"exitCode": 128, "exited": True, "error": "Killed by SIGKILL"})


def test_text_is_never_cut_within_a_character(served: Running) -> None:
    script = "import os,time\nfor b in '→ 中文 🚂'.encode():\n os.write(1, bytes([b])); time.sleep(0.001)\nos.write(1, b'\\xff.')"
    frames = follow(served, START, {"process": {"cmd": "python3", "args": ["-c", script]}})
    assert printed(frames) == "→ 中文 🚂\ufffd."


def test_a_process_without_a_tag_gets_one_and_the_newest_of_a_tag_wins(served: Running) -> None:
    assert start(served, {"process": {"cmd": "true"}})["tag"].startswith("proc-")
    first, second = (start(served, {"process": {"cmd": "sleep", "args": ["60"]}, "tag": "dup"}) for _ in range(2))
    assert post(served, "signal/send", {"process": {"tag": "dup"}, "signal": 9})[0] == 200
    assert ended(served, {"tag": "dup"})["exitCode"] == 128
    assert error(post(served, "signal/send", {"process": {"tag": "dup"}, "signal": 9})) == (404, "PROCESS_NOT_FOUND")
    running = [one["pid"] for one in served.call("GET", "/api/v1/process/list")[1]["data"]["processes"]]
    assert first["pid"] in running
    assert second["pid"] not in running


def test_the_list_shows_what_runs_and_how_it_was_started(served: Running) -> None:
    begun = start(served, {"process": {"cmd": "cat", "args": ["-u"], "envs": {"A": "1"}}, "tag": "cat1"})
    project = served.environ["SIGNALCABIN_PROJECT"]
    config = {"cmd": "cat", "args": ["-u"], "envs": {"A": "1"}, "cwd": project}
    status, answer = served.call("GET", "/api/v1/process/list")
    assert status == 200
    shown = [one for one in answer["data"]["processes"] if one["tag"] == "cat1"]  # others' still run beside it
    assert shown == [{"config": config, "pid": begun["pid"], "tag": "cat1"}]


def test_connecting_brings_what_was_printed_and_goes_on_to_the_end(served: Running) -> None:
    begun = start(served, {"process": {"cmd": "cat"}, "tag": "cat2"})
    assert post(served, "input/send", {"process": {"pid": begun["pid"]}, "input": {"stdin": "before\n"}}) == (
        200,
        {"data": {}},
    )
    follower = Follower(served, "/api/v1/process/connect", {"process": {"tag": "cat2"}})
    follower.until("before\n")
    post(served, "input/send", {"process": {"tag": "cat2"}, "input": {"stdin": "after\n"}})
    follower.until("after\n")
    assert post(served, "stdin/close", {"process": {"tag": "cat2"}}) == (200, {"data": {}})
    assert list(follower.frames()) == [("end", {"exitCode": 0, "exited": True})]
    again = follow(served, "/api/v1/process/connect", {"process": {"tag": "cat2"}})
    assert printed(again) == "before\nafter\n"
    assert again[-1][0] == "end"


def test_signals_go_by_number_and_by_name(served: Running) -> None:
    for named in (15, "SIGTERM", "TERM"):
        begun = start(served, {"process": {"cmd": "sleep", "args": ["60"]}})
        assert post(served, "signal/send", {"process": {"pid": begun["pid"]}, "signal": named}) == (200, {"data": {}})
        assert ended(served, {"pid": begun["pid"]}) == {"exitCode": 128, "exited": True, "error": "Killed by SIGTERM"}


def test_a_terminal_is_written_to_resized_and_read(served: Running) -> None:
    size = {"size": {"cols": 100, "rows": 30}}
    begun = start(served, {"process": {"cmd": "sh"}, "pty": size, "tag": "pt"})
    follower = Follower(served, "/api/v1/process/connect", {"process": {"pid": begun["pid"]}})
    assert post(served, "input/send", {"process": {"tag": "pt"}, "input": {"pty": "stty size\n"}})[0] == 200
    follower.until("30 100\r\n")
    assert post(served, "update", {"process": {"tag": "pt"}, "pty": {"size": {"cols": 150, "rows": 33}}}) == (
        200,
        {"data": {}},
    )
    assert (
        post(served, "input/send", {"process": {"tag": "pt"}, "input": {"stdin": "stty size; echo $TERM; exit 4\n"}})[0]
        == 200
    )
    follower.until("33 150\r\nxterm-256color\r\n")
    assert list(follower.frames())[-1] == ("end", {"exitCode": 4, "exited": True})


def chunked(served: Running, path: str) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", served.port), timeout=30)
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{served.port}",
        f"Authorization: Bearer {TOKEN}",
        "Transfer-Encoding: chunked",
    ]
    raw.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return raw


def test_input_is_streamed_as_it_comes(served: Running) -> None:
    start(served, {"process": {"cmd": "cat"}, "tag": "live"})
    follower = Follower(served, "/api/v1/process/connect", {"process": {"tag": "live"}})
    with chunked(served, "/api/v1/process/input/stream?tag=live") as raw:
        for line in ("one\n", "two\n", "three\n"):
            raw.sendall(f"{len(line):x}\r\n{line}\r\n".encode())
            follower.until(line)  # before the body has ended
        status, answer = served.call("POST", "/api/v1/process/input/stream?tag=live", {})
        assert status == 409, answer
        raw.sendall(b"0\r\n\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 200")
    post(served, "stdin/close", {"process": {"tag": "live"}})
    assert list(follower.frames())[-1][0] == "end"


def test_five_megabytes_of_input_arrive_whole(served: Running) -> None:
    begun = start(served, {"process": {"cmd": "wc", "args": ["-c"]}})
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    connection.request(
        "POST",
        f"/api/v1/process/input/stream?pid={begun['pid']}",
        os.urandom(5 << 20),
        {**ALICE, "Content-Type": "application/octet-stream"},
    )
    assert json.loads(connection.getresponse().read()) == {"data": {}}
    connection.request("POST", "/api/v1/process/stdin/close", json.dumps({"process": {"pid": begun["pid"]}}), ALICE)
    assert connection.getresponse().read() == b'{"data":{}}'
    connection.close()
    frames = follow(served, "/api/v1/process/connect", {"process": {"pid": begun["pid"]}})
    assert printed(frames).strip() == str(5 << 20)


def test_a_stream_of_input_that_breaks_off_harms_nothing(served: Running) -> None:
    start(served, {"process": {"cmd": "cat"}, "tag": "broken"})
    follower = Follower(served, "/api/v1/process/connect", {"process": {"tag": "broken"}})
    with chunked(served, "/api/v1/process/input/stream?tag=broken") as raw:
        raw.sendall(b"4\r\none\n\r\n")
        follower.until("one\n")
        raw.sendall(b"no chunk at all\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 400")
    post(served, "input/send", {"process": {"tag": "broken"}, "input": {"stdin": "two\n"}})
    follower.until("two\n")


def test_a_slow_reader_is_told_what_it_missed_and_holds_nobody_up(served: Running) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as raw:
        body = json.dumps({"process": {"cmd": "seq", "args": ["2000000"]}, "tag": "flood"})
        head = [
            f"POST {START} HTTP/1.1",
            f"Host: 127.0.0.1:{served.port}",
            f"Authorization: Bearer {TOKEN}",
            "Content-Type: application/json",
        ]
        head += ["Accept: text/event-stream", f"Content-Length: {len(body)}"]
        raw.sendall(("\r\n".join(head) + "\r\n\r\n" + body).encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 200")
        assert ended(served, {"tag": "flood"})["exitCode"] == 0  # though the first reader takes nothing
        told = b""
        while more := raw.recv(1 << 16):
            told += more
    assert b'event: dropped\ndata: {"bytes":' in told
    assert b"2000000\\n" in told[-400:]
    assert told.count(b"event: dropped") < 5
    assert told.endswith(b'event: end\ndata: {"exitCode":0,"exited":true}\n\n')


def test_the_first_words_come_at_once_and_cost_no_thread(served: Running) -> None:
    assert served.process is not None
    worker = psutil.Process(served.process.pid).children()[0]
    start(served, {"process": {"cmd": "sleep", "args": ["60"]}, "tag": "quiet"})
    before = worker.num_threads()
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            began = time.monotonic()
            follower = Follower(served, "/api/v1/process/connect", {"process": {"tag": "quiet"}})
            stack.callback(follower.connection.close)
            assert next(follower.frames())[0] == "start"
            assert time.monotonic() - began < 10
        assert worker.num_threads() < before + 10


NOTHING = [
    ("connect", {}),
    ("input/send", {}),
    ("input/send", {"input": {"stdin": "x"}}),
    ("input/send", {"process": {"pid": 1}}),
    ("input/send", {"process": {"pid": 1}, "input": {}}),
    ("input/stream", None),
    ("signal/send", {"process": {"pid": 1}}),
    ("signal/send", {"process": {"pid": 1}, "signal": []}),
    ("stdin/close", {}),
    ("update", {"process": {"pid": 1}}),
    ("update", {"process": {"pid": 1}, "pty": {"cols": 1, "rows": 1}}),
    ("update", {"process": {"pid": 1}, "pty": {"size": {"cols": 0, "rows": -1}}}),
    ("start", {}),
    ("start", {"process": {}}),
    ("start", {"process": {"cmd": ""}}),
    ("start", {"process": {"cmd": "true", "args": "x"}}),
    ("start", {"process": {"cmd": "true", "envs": {"A=B": "x"}}}),
    ("start", {"process": {"cmd": "true"}, "pty": {"size": {"cols": 99999, "rows": 1}}}),
    ("start", {"process": {"cmd": "true", "args": ["x" * 200_000]}}),
]


@pytest.mark.parametrize(("path", "body"), NOTHING)
def test_a_request_that_lacks_something_is_told_so(served: Running, path: str, body: Any) -> None:
    assert error(post(served, path, body)) == (400, "BAD_REQUEST")


MISSING = [
    ("connect", {}),
    ("input/send", {"input": {"stdin": "x"}}),
    ("signal/send", {"signal": 15}),
    ("stdin/close", {}),
    ("update", {"pty": {"size": {"cols": 80, "rows": 24}}}),
]


@pytest.mark.parametrize(("path", "body"), MISSING)
@pytest.mark.parametrize("selector", [{"pid": 999999}, {"tag": "zz"}, {"pid": 1}])
def test_a_process_that_is_not_there_is_not_found(served: Running, path: str, body: Any, selector: Any) -> None:
    assert error(post(served, path, {"process": selector, **body})) == (404, "PROCESS_NOT_FOUND")
    status, answer = served.call("POST", "/api/v1/process/input/stream?pid=999999")
    assert (status, answer["error"]["code"]) == (404, "PROCESS_NOT_FOUND")


def test_what_suits_only_pipes_or_only_terminals_is_not_found_at_the_other(served: Running) -> None:
    start(served, {"process": {"cmd": "cat"}, "tag": "piped"})
    start(served, {"process": {"cmd": "cat"}, "pty": {"size": {"cols": 80, "rows": 24}}, "tag": "screen"})
    size = {"pty": {"size": {"cols": 80, "rows": 24}}}
    assert error(post(served, "update", {"process": {"tag": "piped"}, **size})) == (404, "PROCESS_NOT_FOUND")
    assert error(post(served, "stdin/close", {"process": {"tag": "screen"}})) == (404, "PROCESS_NOT_FOUND")
    assert post(served, "stdin/close", {"process": {"tag": "piped"}})[0] == 200
    assert error(post(served, "stdin/close", {"process": {"tag": "piped"}})) == (404, "PROCESS_NOT_FOUND")


def test_strangers_get_nothing(served: Running) -> None:
    for method, path in (("POST", START), ("GET", "/api/v1/process/list"), ("POST", "/api/v1/process/connect")):
        status, answer = served.call(method, path, {}, Authorization="Bearer wrong")
        assert (status, answer["error"]["code"]) == (401, "AUTH_REQUIRED")


def test_the_twenty_first_at_once_is_refused_with_a_time_to_come_back(served: Running) -> None:
    for _ in range(20):
        start(served, {"process": {"cmd": "sleep", "args": ["60"]}})
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.request("POST", START, json.dumps({"process": {"cmd": "true"}}), ALICE)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["error"]["code"]) == (429, "RATE_LIMITED")
    assert int(response.getheader("Retry-After") or 0) > 0
    connection.close()


def test_many_at_once_all_come_to_their_end(served: Running) -> None:
    found: list[list[Frame]] = []
    callers = [threading.Thread(target=lambda: found.append(follow(served, START, sh("seq 2000")))) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert len(found) == 8
    assert {printed(frames) for frames in found} == {"".join(f"{number}\n" for number in range(1, 2001))}
