"""Whole turns with the tools that change several files, reach out or load skills: asked, decided, run, told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.actor import Actor
from app.agent.calls import STALE
from app.approvals import service as approvals
from app.checkpoints import service as checkpoints
from app.config import Config
from app.dialects.mount import Cabin
from app.processes import service as processes
from app.processes.sandbox import SandboxState
from app.sessions import service as sessions
from tests.agent.talk import Talk
from tests.conftest import member
from tests.model_server import Call, ModelServer, Say
from tests.test_outbound import Peer, reply


@pytest.fixture
def page() -> Iterator[Peer]:
    """A web server that the operator has opened by hand; /away leads to another host."""

    def answer(visit: Any) -> None:
        if visit.path == "/away":
            reply(visit, 302, Location="https://elsewhere.example/x")
        else:
            reply(visit, 200, b"<h1>Prices</h1><p>All free.", Content_Type="text/html")

    peer = Peer(answer)
    yield peer
    peer.stop()


@pytest.fixture
def settings(
    settings: Config,
    workspace: Path,
    model_server: ModelServer,
    page: Peer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Config:
    """A server on the small project, whose model is the model server and whose user has no skills."""
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    monkeypatch.setenv("HOME", str(tmp_path))
    return replace(settings, project=workspace, model="openai/scripted", outbound_allow=(page.place,))


@pytest.fixture
def talk(app: Cabin, alice: Actor) -> Talk:
    """A session that asks before it changes anything."""
    return Talk(alice)


def results(request: dict[str, Any]) -> list[str]:
    return [str(message["content"]) for message in request["messages"] if message["role"] == "tool"]


def patch(*lines: str) -> str:
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"])


MULTIEDIT = Call(
    "multiedit",
    {
        "filePath": "shop/tax.py",
        "edits": [
            {"oldString": "RATE = 19", "newString": "RATE = 7"},
            {"oldString": "def tax", "newString": "def vat"},
        ],
    },
)
PATCH = patch(
    "*** Update File: shop/tax.py",
    "*** Move to: shop/vat.py",
    "@@",
    "-RATE = 19",
    "+RATE = 7",
    "*** Add File: docs/tax.md",
    "+Seven.",
    "*** Delete File: README.md",
)


def test_a_multiedit_is_asked_about_once_with_its_whole_diff(
    talk: Talk, model_server: ModelServer, workspace: Path
) -> None:
    model_server.script = [[Call("read", {"filePath": "shop/tax.py"})], [MULTIEDIT], [Say("Done.")]]
    prompt = talk.say("go")
    ask = talk.until_asked()
    assert (ask["title"], ask["patterns"]) == ("Edit shop/tax.py", ["shop/tax.py"])
    assert "-RATE = 19\n+RATE = 7\n" in ask["metadata"]["diff"]
    assert "+def vat(total):\n" in ask["metadata"]["diff"]
    assert "RATE = 19" in (workspace / "shop/tax.py").read_text()
    approvals.answer(talk.actor, ask["id"], "once")
    talk.until_idle()
    assert (workspace / "shop/tax.py").read_text().startswith("RATE = 7\n\n\ndef vat(total)")
    step = talk.answers(prompt)[1]
    assert [part.type for part in step.parts] == ["step-start", "tool", "step-finish", "patch"]
    session = sessions.get(talk.actor, talk.id)
    assert (session.additions, session.deletions, session.files) == (2, 2, 1)


@pytest.mark.parametrize("name", ["patch", "apply_patch"])
def test_a_patch_is_asked_about_with_every_file_and_can_be_undone(
    talk: Talk, model_server: ModelServer, workspace: Path, name: str
) -> None:
    model_server.script = [
        [Call("read", {"filePath": "shop/tax.py"}), Call("read", {"filePath": "README.md"})],
        [Call(name, {"patchText": PATCH})],
        [Say("Done.")],
    ]
    prompt = talk.say("go")
    ask = talk.until_asked()
    assert ask["patterns"] == ["shop/tax.py", "shop/vat.py", "docs/tax.md", "README.md"]
    assert ask["title"] == "Apply a patch to shop/tax.py, shop/vat.py, docs/tax.md, README.md"
    assert ask["metadata"]["filepath"] == "shop/tax.py, shop/vat.py, docs/tax.md, README.md"
    assert [one["type"] for one in ask["metadata"]["files"]] == ["move", "add", "delete"]
    assert all(one["diff"] in ask["metadata"]["diff"] for one in ask["metadata"]["files"])
    assert {rule["pattern"] for rule in ask["always"]} == {"shop/tax.py", "shop/vat.py", "docs/tax.md", "./README.md"}
    before = {path: path.read_bytes() for path in workspace.rglob("*.*") if path.is_file()}
    approvals.answer(talk.actor, ask["id"], "once")
    talk.until_idle()
    assert (workspace / "shop/vat.py").read_text().startswith("RATE = 7")
    assert (workspace / "docs/tax.md").read_text() == "Seven.\n"
    assert not (workspace / "README.md").exists()
    assert not (workspace / "shop/tax.py").exists()
    step = talk.answers(prompt)[1]
    assert step.parts[1].data["tool"] == name
    assert step.parts[1].data["state"]["status"] == "completed"
    assert sorted(step.parts[3].data["files"]) == sorted(
        str(workspace / path) for path in ("README.md", "docs/tax.md", "shop/tax.py", "shop/vat.py")
    )
    checkpoints.revert(talk.actor, talk.id, prompt)
    assert {path: path.read_bytes() for path in workspace.rglob("*.*") if path.is_file()} == before


def test_one_protected_file_makes_a_whole_patch_ask(
    app: Cabin, alice: Actor, model_server: ModelServer, workspace: Path
) -> None:
    talk = Talk(alice, preset="auto")
    text = patch("*** Add File: a.txt", "+a", "*** Add File: .opencode/agent/x.md", "+You may all.")
    model_server.script = [[Call("patch", {"patchText": text})], [Say("Well.")]]
    talk.say("go")
    ask = talk.until_asked()
    assert [(part["text"], part["action"]) for part in ask["parts"]] == [
        ("a.txt", "allow"),
        (".opencode/agent/x.md", "ask"),
    ]
    approvals.answer(alice, ask["id"], "reject", "Not the rules.")
    talk.until_idle()
    assert not (workspace / "a.txt").exists()
    assert "Not the rules." in results(model_server.requests[1])[0]


@pytest.mark.parametrize("path", ["../out.txt", "/etc/passwd"])
def test_a_patch_that_leads_out_asks_nobody_and_is_told(talk: Talk, model_server: ModelServer, path: str) -> None:
    model_server.script = [[Call("patch", {"patchText": patch(f"*** Add File: {path}", "+x")})], [Say("Well.")]]
    talk.ask("go")
    assert "outside the workspace" in talk.tools()[0]["state"]["error"]
    assert approvals.of_session(talk.actor, talk.id) == []


def test_without_walls_a_team_s_agents_run_no_command(
    talk: Talk, model_server: ModelServer, alice: Actor, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "sandbox_state", lambda: SandboxState(False, "it is missing.", ""))
    member(alice, "Bob")
    talk.ask("[[bash touch made]] [[say Then not]]")
    assert not (workspace / "made").exists()
    assert "a team's server runs no commands: it is missing." in results(model_server.requests[-1])[-1]
    assert approvals.waiting(alice) == []


def test_plan_mode_has_neither(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [
        [Call("patch", {"patchText": patch("*** Add File: a", "+x")}), Call("apply_patch", {"patchText": "x"})],
        [Say("A plan.")],
    ]
    talk.ask("go", mode="plan")
    assert [tool["state"]["status"] for tool in talk.tools()] == ["error", "error"]
    names = {tool["function"]["name"] for tool in model_server.requests[0]["tools"]}
    assert "webfetch" in names
    assert not names & {"multiedit", "patch", "edit", "write"}


def remove(path: Path) -> None:
    path.unlink()


def change(path: Path) -> None:
    path.write_text("theirs\n")


@pytest.mark.parametrize("meanwhile", [change, remove])
@pytest.mark.parametrize(
    "call",
    [
        MULTIEDIT,
        Call("edit", {"filePath": "shop/tax.py", "oldString": "RATE = 19", "newString": "RATE = 7"}),
        Call("write", {"filePath": "shop/tax.py", "content": "mine\n"}),
        Call("patch", {"patchText": PATCH}),
    ],
    ids=lambda value: value.name if isinstance(value, Call) else value.__name__,
)
def test_what_changes_between_the_answer_and_the_deed_is_not_written_over(
    talk: Talk, model_server: ModelServer, workspace: Path, call: Call, meanwhile: Callable[[Path], None]
) -> None:
    reads = [Call("read", {"filePath": name}) for name in ("shop/tax.py", "README.md")]
    model_server.script = [reads, [call], [Say("Well.")]]
    talk.say("go")
    ask = talk.until_asked()
    meanwhile(workspace / "shop/tax.py")
    approvals.answer(talk.actor, ask["id"], "once")
    talk.until_idle()
    state = talk.tools()[2]["state"]
    assert state["status"] == "error"
    assert (
        "has changed since you read it" in state["error"]
        or "There is no file" in state["error"]
        or state["error"] == STALE
    )
    assert (workspace / "README.md").exists()
    path = workspace / "shop/tax.py"
    assert (path.read_text() if path.exists() else "") == ("theirs\n" if meanwhile is change else "")


def test_a_new_file_does_not_take_the_place_of_one_that_came_meanwhile(
    talk: Talk, model_server: ModelServer, workspace: Path
) -> None:
    model_server.script = [[Call("write", {"filePath": "new.txt", "content": "mine"})], [Say("Well.")]]
    talk.say("go")
    ask = talk.until_asked()
    (workspace / "new.txt").write_text("theirs")
    approvals.answer(talk.actor, ask["id"], "once")
    talk.until_idle()
    assert "Read new.txt first" in talk.tools()[0]["state"]["error"]
    assert (workspace / "new.txt").read_text() == "theirs"


def test_a_fetch_is_asked_about_by_host_and_always_opens_just_that_host(
    talk: Talk, model_server: ModelServer, page: Peer
) -> None:
    model_server.script = [
        [Call("webfetch", {"url": f"{page.url}/a", "format": "markdown"})],
        [Call("webfetch", {"url": f"{page.url}/b"}), Call("webfetch", {"url": f"{page.url}/away"})],
        [Call("webfetch", {"url": "https://elsewhere.example/x"})],
        [Say("Well.")],
    ]
    talk.say("go")
    ask = talk.until_asked()
    assert (ask["title"], ask["metadata"]["host"]) == (f"Fetch {page.url}/a", "127.0.0.1")
    assert approvals.is_legible(approvals.get(talk.actor, ask["id"]))
    assert page.hits == []
    approvals.answer(talk.actor, ask["id"], "always")
    elsewhere = talk.until_asked()
    assert elsewhere["title"] == "Fetch https://elsewhere.example/x"
    assert page.hits == ["/a", "/b", "/away"]
    assert "# Prices\n\nAll free." in results(model_server.requests[1])[0]
    assert "was not followed: https://elsewhere.example/x" in results(model_server.requests[2])[2]
    approvals.answer(talk.actor, elsewhere["id"], "reject", "No.")
    talk.until_idle()
    assert [tool["state"]["metadata"].get("status") for tool in talk.tools()] == [200, 200, 302, None]


def test_a_fetch_that_may_not_be_is_told_to_the_model(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Call("webfetch", {"url": "http://169.254.169.254/latest"})], [Say("Well.")]]
    talk.say("go")
    talk.answer()
    talk.until_idle()
    assert "This URL is not allowed" in results(model_server.requests[1])[0]


def test_a_skill_is_offered_by_its_words_and_loaded_without_asking(
    talk: Talk, model_server: ModelServer, workspace: Path
) -> None:
    (workspace / ".claude/skills/release").mkdir(parents=True)
    head = "---\nname: release\ndescription: Cuts a release.\n---\n"
    (workspace / ".claude/skills/release/SKILL.md").write_text(f"{head}Tag it.\n")
    model_server.script = [[Call("skill", {"name": "release"})], [Say("Done.")]]
    talk.ask("go")
    offered = {tool["function"]["name"]: tool["function"]["description"] for tool in model_server.requests[0]["tools"]}
    assert "<skill name='release'>Cuts a release.</skill>" in offered["skill"]
    assert "Tag it." in results(model_server.requests[1])[0]
    assert approvals.of_session(talk.actor, talk.id) == []


def test_a_rule_can_forbid_a_skill(talk: Talk, model_server: ModelServer, workspace: Path) -> None:
    (workspace / ".claude/skills/release").mkdir(parents=True)
    (workspace / ".claude/skills/release/SKILL.md").write_text("---\nname: release\ndescription: d\n---\nTag it.\n")
    approvals.add_rule(talk.actor, approvals.Rule("skill", "release", "deny", "session"), talk.id)
    model_server.script = [[Call("skill", {"name": "release"})], [Say("Done.")]]
    talk.ask("go")
    assert talk.tools()[0]["state"]["error"].startswith("Not allowed here")


def test_a_long_output_is_read_on_without_asking(app: Cabin, alice: Actor, model_server: ModelServer) -> None:
    talk = Talk(alice, preset="auto")
    talk.ask("[[bash seq 1 20000]] [[say Much.]]")
    path = talk.tools()[0]["state"]["metadata"]["outputPath"]
    assert path in results(model_server.requests[1])[0]
    sessions.update(alice, talk.id, preset="ask")
    talk.ask(
        f'[[call read {{"filePath": "{path}", "offset": 10000}}]]&[[call grep {{"pattern": "^777$", "path": "{path}"}}]] [[say Read.]]'
    )
    assert [tool["state"]["status"] for tool in talk.tools()[1:]] == ["completed", "completed"]
    assert "10000| 10000" in talk.tools()[1]["state"]["output"]
    assert "777: 777" in talk.tools()[2]["state"]["output"]
    assert approvals.of_session(alice, talk.id) == []


def test_a_tool_that_does_not_exist_becomes_opencodes_invalid_part(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Call("fly", {"to": "the moon"})], [Say("Sorry.")]]
    talk.ask("go")
    [tool] = talk.tools()
    state = tool["state"]
    assert (tool["tool"], state["status"], state["title"]) == ("invalid", "completed", "Invalid Tool")
    assert state["input"]["tool"] == "fly"
    assert state["input"]["error"] == state["output"]
    assert state["output"].startswith("There is no tool 'fly'; there are bash, edit, ")
    assert results(model_server.requests[1]) == [state["output"]]
