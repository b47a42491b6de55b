"""envd's Process service: streams of commands, what they read, and how they end; each sandbox sees its own."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.actor import Actor
from app.dialects.mount import Cabin
from app.processes import service
from app.processes.spawn import SandboxState
from tests.conftest import member
from tests.dialects.e2b.client import E2B, PROCESS, STREAM, Envd, b64, envelope, frames, printed, text
from tests.dialects.e2b.conftest import envd, key
from tests.patience import PATIENCE

__all__ = ["envd", "key"]


def until(is_so: Any) -> None:
    """Wait until something is so; nothing announces it."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it never was so"
        time.sleep(0.01)


def listed(envd: Envd) -> dict[int, dict[str, Any]]:
    return {one["pid"]: one for one in envd.call(f"{PROCESS}List").json["processes"]}


def refusal(running: Any) -> str:
    """The code with which a stream failed before its first event."""
    events, last = running.rest()
    assert events == []
    code: str = last["error"]["code"]
    return code


def test_a_command_is_told_from_its_start_to_its_end(envd: Envd) -> None:
    events, last = envd.run("echo out; echo err >&2; exit 3")
    assert list(events[0]) == ["start"]
    assert (printed(events), printed(events, "stderr")) == ("out\n", "err\n")
    assert events[-1]["end"] == {"exitCode": 3, "exited": True, "status": "exit status 3", "error": "exit status 3"}
    assert last == {}


def test_a_signal_is_told_as_go_tells_it(envd: Envd) -> None:
    running = envd.start("/bin/sleep", "60")
    pid = running.next()["start"]["pid"]
    assert envd.call(f"{PROCESS}SendSignal", {"process": {"pid": pid}, "signal": 9}).json == {}
    events, last = running.rest()
    end = {"exitCode": -1, "exited": False, "status": "signal: killed", "error": "signal: killed"}
    assert (events[-1]["end"], last) == (end, {})


def test_it_sees_the_sandbox_as_its_home(envd: Envd) -> None:
    events, _last = envd.run("echo $HOME $USER; pwd; echo $XDG_CACHE_HOME; cd /tmp && pwd")
    home, directory, cache, scratch = printed(events).splitlines()
    assert (home, directory, scratch) == ("/home/user user", "/home/user", "/tmp")
    assert not cache.startswith("/home/user")


@pytest.mark.parametrize(("cwd", "wanted"), [("sub", "/home/user/sub"), ("~/sub", "/home/user/sub"), ("/tmp", "/tmp")])
def test_it_starts_in_the_asked_directory(envd: Envd, cwd: str, wanted: str) -> None:
    envd.call("/filesystem.Filesystem/MakeDir", {"path": "sub"})
    events, _last = envd.run("pwd", process={"cwd": cwd})
    assert printed(events) == f"{wanted}\n"


@pytest.mark.parametrize(
    ("cwd", "code"), [("none", "invalid_argument"), ("/etc", "permission_denied"), ("..", "permission_denied")]
)
def test_it_starts_in_no_other_directory(envd: Envd, cwd: str, code: str) -> None:
    assert refusal(envd.start("/bin/true", process={"cwd": cwd})) == code


def test_what_its_maker_gave_is_in_its_environment_and_the_callers_goes_before_it(key: E2B) -> None:
    envd = key.make(envVars={"A": "maker", "B": "maker"})
    assert envd("POST", "/init", json={"envVars": {"C": "later"}}).status_code == 204
    events, _last = envd.run("echo $A $B $C", process={"envs": {"B": "caller"}})
    assert printed(events) == "maker caller later\n"
    assert envd("GET", "/envs").json["A"] == "maker"


def test_a_list_shows_what_the_client_said_and_no_more(key: E2B) -> None:
    envd = key.make(envVars={"SECRET": "of its maker"})
    tagged = envd.start("/bin/cat", stdin=True, tag="mine", process={"envs": {"A": "b"}, "cwd": "/tmp"})
    plain = envd.start("/bin/cat", stdin=True)
    first, second = tagged.next()["start"]["pid"], plain.next()["start"]["pid"]
    config = {"cmd": "/bin/cat", "args": [], "envs": {"A": "b"}, "cwd": "/tmp"}
    assert listed(envd)[first] == {"config": config, "pid": first, "tag": "mine"}
    assert "tag" not in listed(envd)[second]
    assert envd.call(f"{PROCESS}CloseStdin", {"process": {"tag": "mine"}}).json == {}
    assert "end" in tagged.rest()[0][-1]
    assert list(listed(envd)) == [second]


def test_it_goes_on_without_its_reader_and_another_one_hears_what_comes(envd: Envd) -> None:
    first = envd.start("/bin/cat", stdin=True)
    pid = first.next()["start"]["pid"]
    selector = {"process": {"pid": str(pid)}}
    envd.call(f"{PROCESS}SendInput", {**selector, "input": {"stdin": b64("one\n")}})
    assert printed(first.until("data")) == "one\n"
    first.close()
    second = envd.stream(f"{PROCESS}Connect", selector)
    assert second.next() == {"start": {"pid": pid}}
    envd.call(f"{PROCESS}SendInput", {**selector, "input": {"stdin": b64("two\n")}})
    assert printed(second.until("data")) == "two\n"
    assert envd.call(f"{PROCESS}CloseStdin", selector).json == {}
    assert second.rest()[0][-1]["end"]["exitCode"] == 0
    for call in ("SendInput", "CloseStdin", "SendSignal", "Update"):
        answer = envd.call(f"{PROCESS}{call}", {**selector, "signal": "SIGNAL_SIGTERM", "input": {"stdin": ""}})
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert refusal(envd.stream(f"{PROCESS}Connect", selector)) == "not_found"


def test_its_time_ends_the_command_and_tells_that(envd: Envd) -> None:
    events, last = envd.start("/bin/sleep", "60", timeout=200).rest()
    assert (list(events[0]), last["error"]["code"]) == (["start"], "deadline_exceeded")
    until(lambda: listed(envd) == {})


def test_a_readers_time_ends_the_stream_alone(envd: Envd) -> None:
    running = envd.start("/bin/sleep", "60")
    pid = running.next()["start"]["pid"]
    reader = envd.stream(f"{PROCESS}Connect", {"process": {"pid": pid}}, **{"Connect-Timeout-Ms": "200"})
    assert reader.rest()[1]["error"]["code"] == "deadline_exceeded"
    assert list(listed(envd)) == [pid]
    envd.call(f"{PROCESS}SendSignal", {"process": {"pid": pid}, "signal": "SIGNAL_SIGTERM"})
    assert running.rest()[0][-1]["end"]["status"] == "signal: terminated"


def test_silence_is_broken_by_signs_of_life(envd: Envd) -> None:
    given = {"process": {"cmd": "/bin/cat"}}
    running = envd.stream(f"{PROCESS}Start", given, **{"Keepalive-Ping-Interval": "1"})
    assert running.until("keepalive")[-1] == {"keepalive": {}}
    envd.call(f"{PROCESS}CloseStdin", {"process": {"pid": next(iter(listed(envd)))}})
    assert "end" in running.rest()[0][-1]


def test_a_terminal_has_a_size_and_reads_what_is_typed(envd: Envd) -> None:
    given = {"process": {"cmd": "/bin/sh"}, "pty": {"size": {"cols": 90, "rows": 20}}}
    running = envd.stream(f"{PROCESS}Start", given)
    pid = running.next()["start"]["pid"]

    def type_in(line: str, wanted: str) -> None:
        answer = envd.call(f"{PROCESS}SendInput", {"process": {"pid": pid}, "input": {"pty": b64(line)}})
        assert answer.json == {}
        said = ""
        while wanted not in said:
            said += text(running.until("data")[-1]["data"]["pty"])

    type_in("stty size\n", "20 90")
    assert (
        envd.call(f"{PROCESS}Update", {"process": {"pid": pid}, "pty": {"size": {"cols": 40, "rows": 10}}}).json == {}
    )
    type_in("stty size\n", "10 40")
    wrong = envd.call(f"{PROCESS}SendInput", {"process": {"pid": pid}, "input": {"stdin": b64("x")}})
    assert (wrong.status_code, wrong.json["code"]) == (400, "invalid_argument")
    type_in("exit 4\n", "exit")
    assert running.rest()[0][-1]["end"]["exitCode"] == 4


def test_input_comes_as_a_stream(envd: Envd) -> None:
    running = envd.start("/bin/cat", stdin=True)
    pid = running.next()["start"]["pid"]
    messages = [
        {"start": {"process": {"pid": pid}}},
        {"data": {"input": {"stdin": b64("a\n")}}},
        {"keepalive": {}},
        {"data": {"input": {"stdin": b64("b\n")}}},
    ]
    answer = envd("POST", f"{PROCESS}StreamInput", data=b"".join(map(envelope, messages)), content_type=STREAM)
    assert list(frames(answer.iter_encoded())) == [(0, {}), (2, {})]
    said = ""
    while said != "a\nb\n":
        said += printed(running.until("data"))
    nobody = envd("POST", f"{PROCESS}StreamInput", data=envelope(messages[1]), content_type=STREAM)
    [(_flags, last)] = frames(nobody.iter_encoded())
    assert last["error"]["code"] == "invalid_argument"
    envd.call(f"{PROCESS}CloseStdin", {"process": {"pid": pid}})
    assert envd.call(f"{PROCESS}CloseStdin", {"process": {"pid": pid}}).status_code in (200, 404)
    running.rest()


def test_a_sandbox_sees_only_its_own_processes(app: Cabin, alice: Actor, key: E2B) -> None:
    mine, other = key.make(), key.make()
    bobs = E2B(app, member(alice, "Bob")).make()
    running = mine.start("/bin/sleep", "60", tag="mine")
    pid = running.next()["start"]["pid"]
    for stranger in (other, bobs):
        assert listed(stranger) == {}
        for selector in ({"pid": pid}, {"tag": "mine"}):
            kill = {"process": selector, "signal": "SIGNAL_SIGKILL"}
            assert stranger.call(f"{PROCESS}SendSignal", kill).json["code"] == "not_found"
            assert refusal(stranger.stream(f"{PROCESS}Connect", {"process": selector})) == "not_found"
    assert list(listed(mine)) == [pid]
    assert key("DELETE", f"/sandboxes/{mine.id}").status_code == 204
    events, last = running.rest()
    # Either the end of the command is told first, or that of the access to it.
    assert events[-1]["end"]["exited"] is False if events else last["error"]["code"] == "unavailable"


def test_killing_a_sandbox_ends_what_runs_in_it(key: E2B, alice: Actor) -> None:
    envd = key.make()
    running = envd.start("/bin/bash", "-c", "sleep 600 & sleep 600")
    running.next()
    assert key("DELETE", f"/sandboxes/{envd.id}").status_code == 204
    assert [live for live in service.list_all(alice) if live.ended is None] == []
    running.rest()


def test_the_wish_for_no_network_is_kept(key: E2B, alice: Actor) -> None:
    for wish, has_way in ((False, False), (None, True)):
        envd = key.make(**({} if wish is None else {"allow_internet_access": wish}))
        running = envd.start("/bin/cat", stdin=True)
        running.next()
        live = service.list_all(alice)[-1]
        assert (live.spec.egress is not None) is has_way
        key("DELETE", f"/sandboxes/{envd.id}")
        running.rest()


def test_without_a_sandbox_that_wish_cannot_be_kept(key: E2B, monkeypatch: pytest.MonkeyPatch) -> None:
    envd = key.make(allow_internet_access=False)
    monkeypatch.setattr(service, "sandbox_state", lambda: SandboxState(False, "it is switched off.", ""))
    assert refusal(envd.start("/bin/true")) == "unavailable"


def test_what_a_slow_reader_missed_is_told(envd: Envd) -> None:
    running = envd.start("/bin/bash", "-c", "head -c 4000000 /dev/zero | tr '\\0' x")
    running.next()
    until(lambda: listed(envd) == {})  # it did not wait for ever
    events, last = running.rest()
    assert "bytes dropped" in printed(events, "stderr")
    assert printed(events).endswith("xxx")
    assert (events[-1]["end"]["exitCode"], last) == (0, {})


@pytest.mark.parametrize("call", ["Start", "Connect"])
@pytest.mark.parametrize("kind", ["application/connect+proto", "application/json", "application/grpc-web+proto"])
def test_another_codec_is_told_which_are_spoken(envd: Envd, call: str, kind: str) -> None:
    answer = envd("POST", PROCESS + call, data=envelope({}), content_type=kind)
    assert (answer.status_code, answer.mimetype) == (415, "application/json")
    assert "application/connect+json" in answer.json["message"]
    assert STREAM in answer.headers["Accept-Post"]


def test_a_unary_call_takes_no_protobuf_either(envd: Envd) -> None:
    for kind in ("application/proto", STREAM, "text/plain"):
        answer = envd("POST", f"{PROCESS}List", data=b"", content_type=kind)
        assert answer.status_code == 415
        assert "protobuf" in answer.json["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"process": {}},
        {"process": {"cmd": ""}},
        {"process": {"cmd": "a\0b"}},
        {"process": {"cmd": "/bin/true", "envs": {"A=B": "c"}}},
        {"process": {"cmd": "/bin/true", "args": "x"}},
        {"process": {"cmd": "/bin/cat"}, "pty": {"size": {"cols": -1}}},
        [],
    ],
)
def test_a_bad_start_is_told_in_the_streams_own_way(envd: Envd, body: Any) -> None:
    assert refusal(envd.stream(f"{PROCESS}Start", body)) == "invalid_argument"


def test_a_command_that_is_not_there_ends_with_127(envd: Envd) -> None:
    events, last = envd.start("/bin/nothing-such").rest()
    assert (events[-1]["end"]["exitCode"], last) == (127, {})


def test_an_unknown_signal_is_none(envd: Envd) -> None:
    answer = envd.call(f"{PROCESS}SendSignal", {"process": {"pid": 1}, "signal": "SIGNAL_SIGHUP"})
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_argument")


def test_strangers_and_the_dead_see_the_same(app: Cabin, key: E2B) -> None:
    dead, living = key.make(), key.make()
    key("DELETE", f"/sandboxes/{dead.id}")
    forged = Envd(app, living.id, "sce_" + "0" * 64)
    elsewhere = Envd(app, living.id, dead.headers["X-Access-Token"])
    unknown = Envd(app, "inobody", "sce_" + "0" * 64)
    swapped = Envd(app, "inobody", living.headers["X-Access-Token"])
    for one in (dead, forged, elsewhere, unknown, swapped):
        for answer in (one.call(f"{PROCESS}List"), one("GET", "/health"), one("GET", "/files?path=x")):
            assert (answer.status_code, answer.json["message"]) == (502, "The sandbox was not found")
    nameless = Envd(app, "inobody", None)
    for answer in (nameless.call(f"{PROCESS}List"), nameless("POST", f"{PROCESS}Start", data=b"", content_type=STREAM)):
        assert (answer.status_code, answer.json["code"]) == (401, "unauthenticated")


def test_the_user_to_work_as_proves_nothing(app: Cabin, envd: Envd) -> None:
    basic = {"Authorization": f"Basic {b64('root:')}"}
    assert envd("POST", f"{PROCESS}List", json={}, headers=basic).status_code == 200
    stranger = Envd(app, "debug_sandbox_id", None)
    assert stranger("POST", f"{PROCESS}List", json={}, headers=basic).status_code == 401
