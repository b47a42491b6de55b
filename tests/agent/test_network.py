"""Commands that want to reach hosts: people are asked while the command runs, and their word reaches it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import config, db, gate, ids
from app.actor import Actor
from app.agent import network
from app.agent import service as agent
from app.agent.conversation import INTERRUPTED
from app.approvals import service as approvals
from app.approvals.events import Answered, Asked, Withdrawn
from app.approvals.service import Rule
from app.config import Config
from app.dialects.mount import Cabin
from app.errors import Conflict, Invalid
from app.events import service as events
from app.processes import sandbox
from app.processes.spawn import sandbox_state
from app.sessions import events as told
from app.sessions import models
from app.sessions import service as sessions
from tests.agent.talk import Talk, text_of
from tests.conftest import Caller, member
from tests.model_server import ModelServer
from tests.patience import PATIENCE
from tests.peer import Peer
from tests.visitor import Browser, data_of, frames

BOTH = pytest.mark.parametrize("store", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
FETCH = """\
import concurrent.futures, sys, urllib.error, urllib.request

def fetch(url):
    try:
        return urllib.request.urlopen(url).read().decode()
    except urllib.error.URLError as failure:
        told = failure.read().decode() if isinstance(failure, urllib.error.HTTPError) else ""
        return f"{failure} {told}".strip()

print("started", flush=True)
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(*pool.map(fetch, sys.argv[1:]), sep="\\n")
"""


@pytest.fixture(autouse=True)
def works() -> None:
    state = sandbox_state()
    if sys.platform.startswith("linux") and not state.on:
        pytest.fail(f"the sandbox is off: {state.why} Install it: {sandbox.INSTALL}", pytrace=False)


@pytest.fixture
def shop() -> Iterator[Peer]:
    """A server that is called shop.test, which the operator has opened."""
    server = Peer()
    yield server
    server.stop()


@pytest.fixture
def store() -> str:
    """Which database a test runs on."""
    return "sqlite"


@pytest.fixture
def settings(
    settings: Config,
    store: str,
    shop: Peer,
    workspace: Path,
    model_server: ModelServer,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Config:
    """A server on the small project, which has a script that fetches."""
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    monkeypatch.setattr(gate, "resolve_by_system", lambda _host, _port: ["127.0.0.1"])
    (workspace / "fetch.py").write_text(FETCH)
    allow = tuple(f"{name}.test:{shop.server_port}" for name in ("shop", "bank", "post", "mill"))
    settings = replace(settings, project=workspace, model="openai/scripted", outbound_allow=allow)
    if store == "sqlite":
        return settings
    return replace(settings, database_url=request.getfixturevalue("postgres_database"))


@pytest.fixture
def talk(app: Cabin, alice: Actor) -> Talk:
    """A session that may fetch, and asks for every host."""
    made = Talk(alice)
    approvals.add_rule(alice, Rule("bash", "python3 *", "allow"), made.id)
    return made


@pytest.fixture
def url(shop: Peer) -> Callable[..., str]:
    """The addresses of the server, by its names."""
    return lambda name="shop": f"http://{name}.test:{shop.server_port}/"


def asked(talk: Talk) -> dict[str, Any]:
    found: dict[str, Any] = talk.until(Asked).ask
    return found


def state_of(talk: Talk, number: int = -1) -> dict[str, Any]:
    found: dict[str, Any] = talk.tools()[number]["state"]
    return found


@BOTH
def test_a_host_is_asked_for_while_the_command_runs(talk: Talk, shop: Peer, url: Callable[..., str]) -> None:
    talk.say(f"[[bash python3 fetch.py {url()}]]")
    ask = asked(talk)
    place = f"shop.test:{shop.server_port}"
    assert (ask["kind"], ask["tool"], ask["title"], ask["patterns"]) == (
        "approval",
        "network",
        f"Reach {place}",
        [place],
    )
    assert ask["input"] == {"host": "shop.test", "port": shop.server_port, "command": f"python3 fetch.py {url()}"}
    assert ask["always"] == [{"tool": "network", "pattern": place, "action": "allow"}]
    assert (ask["call_id"], ask["part_id"] != "") == (talk.tools()[0]["callID"], True)
    assert (talk.state(), state_of(talk)["status"], shop.hits) == ("running", "running", [])
    approvals.answer(talk.actor, ask["id"], "once")
    talk.until_idle()
    assert "hello" in state_of(talk)["output"]
    assert state_of(talk)["metadata"]["hosts"] == [{"host": place, "state": "reached", "why": ""}]
    assert shop.hits == ["/"]


@BOTH
def test_always_adds_the_rule_that_was_shown_and_asks_no_more(talk: Talk, shop: Peer, url: Callable[..., str]) -> None:
    talk.say(f"[[bash python3 fetch.py {url()}]] [[bash python3 fetch.py {url()}]]")
    approvals.answer(talk.actor, asked(talk)["id"], "always")
    talk.until_idle()
    assert [tool["state"]["metadata"]["hosts"][0]["state"] for tool in talk.tools()] == ["reached", "reached"]
    rules = [(rule.tool, rule.pattern, rule.action) for rule in approvals.rules_of(talk.actor, "session", talk.id)]
    assert rules[-1] == ("network", f"shop.test:{shop.server_port}", "allow")
    assert talk.kinds().count("asked") == 1


def test_once_is_for_this_command_only(talk: Talk, shop: Peer, url: Callable[..., str]) -> None:
    talk.say(f"[[bash python3 fetch.py {url()} {url()}]] [[bash python3 fetch.py {url()}]]")
    approvals.answer(talk.actor, asked(talk)["id"], "once")
    second = asked(talk)
    assert shop.hits == ["/", "/"]
    approvals.answer(talk.actor, second["id"], "reject")
    talk.until_idle()
    assert shop.hits == ["/", "/"]


def test_a_rejection_reaches_command_and_model_with_its_word(
    talk: Talk, model_server: ModelServer, shop: Peer, url: Callable[..., str]
) -> None:
    talk.say(f"[[bash python3 fetch.py {url()}]] [[say Understood.]]")
    approvals.answer(talk.actor, asked(talk)["id"], "reject", "use the mirror")
    talk.until_idle()
    place = f"shop.test:{shop.server_port}"
    assert state_of(talk)["metadata"]["hosts"] == [
        {"host": place, "state": "refused", "why": "Owner rejected it: use the mirror"}
    ]
    output = state_of(talk)["output"]
    assert f"HTTP Error 403: Not Allowed Here {place}: Owner rejected it: use the mirror." in output
    assert output.endswith(f"({place}: Owner rejected it: use the mirror)")
    assert text_of(sessions.transcript(talk.actor, talk.id)[-1]) == "Understood."
    assert shop.hits == []


def test_many_connections_to_a_host_ask_once(talk: Talk, shop: Peer, url: Callable[..., str]) -> None:
    talk.say(f"[[bash python3 fetch.py {' '.join([url()] * 6)}]]")
    approvals.answer(talk.actor, asked(talk)["id"], "once")
    talk.until_idle()
    assert shop.hits == ["/"] * 6
    assert talk.kinds().count("asked") == 1


def test_an_answer_to_one_host_opens_no_other(talk: Talk, shop: Peer, url: Callable[..., str]) -> None:
    talk.say(f"[[bash python3 fetch.py {url()} {url('bank')}]]")
    found = {ask["input"]["host"]: ask["id"] for ask in (asked(talk), asked(talk))}
    approvals.answer(talk.actor, found["bank.test"], "reject")
    approvals.answer(talk.actor, found["shop.test"], "once")
    talk.until_idle()
    states = {one["host"].partition(".")[0]: one["state"] for one in state_of(talk)["metadata"]["hosts"]}
    assert states == {"shop": "reached", "bank": "refused"}
    assert shop.hosts == [f"shop.test:{shop.server_port}"]


def test_a_rule_that_denies_asks_nobody(talk: Talk, shop: Peer, url: Callable[..., str]) -> None:
    approvals.add_rule(talk.actor, Rule("network", "*.test", "deny"), talk.id)
    talk.ask(f"[[bash python3 fetch.py {url()}]]")
    assert state_of(talk)["metadata"]["hosts"][0]["why"] == "session rule: deny *.test"
    assert (shop.hits, talk.kinds().count("asked")) == ([], 0)


def test_the_preset_auto_asks_nobody_and_still_reaches_nothing_inside(
    app: Cabin, alice: Actor, shop: Peer, url: Callable[..., str]
) -> None:
    free = Talk(alice, preset="auto")
    free.ask(f"[[bash python3 fetch.py {url()} http://inner.test:{shop.server_port}/ http://10.0.0.1/]]")
    states = {one["host"].partition(":")[0]: one["state"] for one in state_of(free)["metadata"]["hosts"]}
    assert states == {"shop.test": "reached", "inner.test": "refused", "10.0.0.1": "refused"}
    assert (len(shop.hits), free.kinds().count("asked")) == (1, 0)


def test_stopping_the_run_takes_back_what_it_asked(talk: Talk, url: Callable[..., str]) -> None:
    talk.say(f"[[bash python3 fetch.py {url()}]]")
    ask = asked(talk)
    sessions.abort(talk.actor, talk.id)
    talk.until(Withdrawn)
    talk.until_idle()
    with pytest.raises(Conflict, match="the command has ended"):
        approvals.answer(talk.actor, ask["id"], "once")
    assert approvals.waiting(talk.actor) == []
    assert network._waiting == {}


def test_a_command_waits_no_longer_than_its_own_time(talk: Talk, shop: Peer, url: Callable[..., str]) -> None:
    given = f'{{"command": "python3 fetch.py {url()}", "timeout": 1500}}'
    talk.say(f"[[call bash {given}]]")
    asked(talk)
    talk.until(Withdrawn)
    talk.until_idle()
    place = f"shop.test:{shop.server_port}"
    assert f"({place}: nobody has answered whether it may be reached)" in state_of(talk)["output"]
    assert state_of(talk)["metadata"]["hosts"] == [{"host": place, "state": "waiting", "why": ""}]


def test_a_process_that_dies_while_it_waits_leaves_no_ask_behind(talk: Talk, url: Callable[..., str]) -> None:
    """The next one takes the run over, says that the outcome is unknown, and waits for nothing of the old."""
    talk.say(f"[[bash python3 fetch.py {url()}]] [[bash rm README.md]] [[say Went on.]]")
    ask = asked(talk)
    with db.transaction() as connection:
        lost = {"lease_until": ids.now() - 1, "lease_owner": "another-host|1|0|a"}
        connection.execute(models.runs.update().where(models.runs.c.session_id == talk.id).values(**lost))
    assert sessions.end_lost_leases() == 1
    second = talk.until_asked()
    assert (second["tool"], approvals.get(talk.actor, ask["id"]).state) == ("bash", "withdrawn")
    assert talk.tools()[0]["state"]["error"] == INTERRUPTED
    approvals.answer(talk.actor, second["id"], "once")
    talk.until_idle()
    assert text_of(sessions.transcript(talk.actor, talk.id)[-1]) == "Went on."


def test_a_server_that_goes_down_keeps_no_command_waiting(talk: Talk, shop: Peer, url: Callable[..., str]) -> None:
    talk.say(f"[[bash python3 fetch.py {url()}]] [[say Later.]]")
    ask = asked(talk)
    agent.drain()
    state = talk.until_tool("completed")["state"]
    assert state["metadata"]["hosts"][0]["why"] == "the server went down before anybody answered"
    talk.until(told.SessionUpdated, lambda event: event.session["state"] == "queued")
    assert approvals.get(talk.actor, ask["id"]).state == "withdrawn"
    assert shop.hits == []


def test_a_command_asks_for_so_many_hosts_at_most(
    talk: Talk, url: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "MOST_ASKS", 2)
    talk.say(f"[[bash python3 fetch.py {' '.join(url(name) for name in ('shop', 'bank', 'post', 'mill'))}]]")
    for ask in (asked(talk), asked(talk)):
        approvals.answer(talk.actor, ask["id"], "once")
    talk.until_idle()
    hosts = state_of(talk)["metadata"]["hosts"]
    assert sorted(one["state"] for one in hosts) == ["reached", "reached", "refused", "refused"]
    assert {one["why"] for one in hosts} == {"", "a command asks for 2 hosts at most"}


def test_an_answer_that_came_before_anybody_listened_counts(
    talk: Talk, shop: Peer, url: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = approvals.ask
    answers = events.subscribe(talk.actor, keep=lambda fact: isinstance(fact.event, Answered))

    def ask_and_answer(*given: Any) -> approvals.Ask:
        made = ask(*given)
        approvals.answer(talk.actor, made.id, "once")
        assert next(answers.facts(heartbeat=None, deadline=time.monotonic() + PATIENCE)) is not None
        return made

    monkeypatch.setattr(network.approvals, "ask", ask_and_answer)
    talk.say(f"[[bash python3 fetch.py {url()}]]")
    talk.until_idle()
    assert shop.hits == ["/"]


@pytest.mark.parametrize(
    ("egress", "people", "is_on"),
    [("", 1, True), ("", 2, False), ("ask", 2, True), ("off", 1, False), ("ask", 1, True)],
)
def test_it_is_off_in_a_team_unless_it_is_switched_on(
    app: Cabin, alice: Actor, egress: str, people: int, is_on: bool
) -> None:
    config.use(replace(config.current(), egress=egress))
    if people == 2:
        member(alice, "Bob")
    free = Talk(alice, preset="auto")
    free.ask("[[bash env]]")
    assert ("HTTPS_PROXY" in state_of(free)["output"]) is is_on
    assert network.word("ask") == ("asks for each host" if is_on else "off")


def test_the_setting_is_read_and_checked() -> None:
    assert Config.from_environ({"SIGNALCABIN_EGRESS": "off"}).egress == "off"
    assert Config.from_environ({}).egress == ""
    with pytest.raises(Invalid, match="EGRESS is one of ask, off, not 'on'"):
        Config.from_environ({"SIGNALCABIN_EGRESS": "on"})


def test_the_page_says_what_commands_may_reach(app: Cabin, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [network.word(preset) for preset in ("read-only", "accept-edits", "auto")] == [
        "off",
        "asks for each host",
        "on, without asking",
    ]
    monkeypatch.setattr(network, "sandbox_state", lambda: sandbox.SandboxState(False, "no", ""))
    assert network.word("ask") == "the machine's own, without a sandbox"


def test_opencodes_clients_see_a_permission_of_the_same_call(
    talk: Talk, call: Caller, shop: Peer, url: Callable[..., str]
) -> None:
    talk.say(f"[[bash python3 fetch.py {url()}]]")
    ask = asked(talk)
    (shown,) = call.get("/permission").get_json()
    place = f"shop.test:{shop.server_port}"
    assert (shown["permission"], shown["patterns"], shown["always"]) == ("network", [place], [place])
    assert shown["callID"] == talk.tools()[0]["callID"]
    assert call.post(f"/permission/{ask['id']}/reply", {"reply": "once"}).status_code == 200
    talk.until_idle()
    assert shop.hits == ["/"]


def test_pages_show_the_host_its_command_and_how_it_went(
    app: Cabin, alice: Actor, talk: Talk, shop: Peer, url: Callable[..., str]
) -> None:
    browser, place = Browser(app, alice), f"shop.test:{shop.server_port}"
    talk.say(f"[[bash python3 fetch.py {url()}]]")
    ask = asked(talk)
    page = browser.get(f"/sessions/{talk.id}").text
    assert f"Let this command reach {place}?" in page
    assert "Allow host" in page
    assert "Always allow" in page
    assert f"<code>allow network {place}</code>" in page
    assert f'id="part-{ask["part_id"]}"' in page
    assert "<dt>Network</dt><dd>asks for each host</dd>" in page
    inbox = browser.get("/inbox").text
    assert '<span class="act">Reach</span>' in inbox
    assert f'<code class="call" tabindex="0">python3 fetch.py {url()}</code>' in inbox
    assert f"Let this command reach {place}?" in browser.get(f"/inbox/{ask['id']}").text
    answer = browser.htmx(f"/inbox/{ask['id']}", {"reply": "once"})
    assert "You allowed" in answer.text
    talk.until_idle()
    page = browser.get(f"/sessions/{talk.id}").text
    assert f"Reached <code>{place}</code>" in page
    assert "You allowed" in page


def test_a_page_that_is_open_gets_the_ask_where_the_command_runs(
    app: Cabin, alice: Actor, talk: Talk, url: Callable[..., str]
) -> None:
    browser = Browser(app, alice)
    talk.say(f"[[bash python3 fetch.py {url()}]]")
    ask = asked(talk)
    streamed = frames(browser.get(f"/live?at={talk.id}&lastEventId=0", buffered=False))
    drawn = next(data_of(frame) for frame in streamed if f'class="ask" id="ask-{ask["id"]}"' in frame)
    assert f'id="part-{ask["part_id"]}"' in drawn
    assert "Allow host" in drawn
    approvals.answer(alice, ask["id"], "reject", "not now")
    line = next(data_of(frame) for frame in streamed if f'class="answered" id="ask-{ask["id"]}"' in frame)
    streamed.close()
    assert "“not now”" in line
    talk.until_idle()
    assert "Not reached" in browser.get(f"/sessions/{talk.id}").text


def test_lists_that_are_open_show_that_a_running_session_needs_somebody(
    app: Cabin, alice: Actor, talk: Talk, url: Callable[..., str]
) -> None:
    browser = Browser(app, alice)
    talk.say(f"[[bash python3 fetch.py {url()}]]")
    ask, side = asked(talk), f'id="side-{talk.id}"'
    streamed = frames(browser.get("/live?lastEventId=0", buffered=False))
    row = next(data_of(frame) for frame in streamed if side in frame and ask["title"] in frame)
    assert "#state-needs" in row
    approvals.answer(alice, ask["id"], "reject")
    row = next(data_of(frame) for frame in streamed if side in frame and ask["title"] not in frame)
    streamed.close()
    assert "#state-needs" not in row
