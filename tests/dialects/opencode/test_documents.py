"""What we answer holds against the documents of both real servers, on a story with something in every list."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.actor import Actor
from app.projects import service as projects
from tests import repository
from tests.conftest import Caller
from tests.dialects.opencode_schemas import document, faults
from tests.dialects.opencode_turns import idle, said, send, waiting
from tests.model_server import ModelServer

REPAIR = {"filePath": "shop/basket.py", "oldString": repository.BROKEN, "newString": repository.FIXED}
TURN = f"[[think Hm.]]&[[say I will look.]]&[[read shop/basket.py]] [[call edit {json.dumps(REPAIR)}]] [[say Done.]]"
TODOS = {"todos": [{"id": "1", "content": "Look", "status": "pending", "priority": "high"}]}
ASKED = {"questions": [{"question": "Which?", "header": "Which", "options": [{"label": "A", "description": "One"}]}]}


@dataclass(frozen=True)
class Wrong:
    """Where a document is wrong about its own server, or we differ from it, with the reason."""

    generation: str
    route: str
    fault: str
    why: str


WRONG = [
    Wrong("new", "GET /agent", r"\*\.permission: .* is not of type 'array'", "the older document has an object there"),
    Wrong(
        "old",
        "GET /config/providers",
        r"providers\.\*\.models\.[\w-]+\.status: 'active' is not one of .*",
        "the newer server demands a status of every model; the older has no word for one that is well",
    ),
    Wrong(
        "old",
        "POST /session/{id}/shell",
        r"answer: '\w+' is a required property",
        "it claims a bare message; its server answers the message and its parts, as the newer one",
    ),
]


class Story:
    """Calls that are checked against the documents as they are made."""

    def __init__(self, call: Caller) -> None:
        self.call = call
        self.seen: set[tuple[str, str, str]] = set()
        self.faults: set[tuple[str, str, str]] = set()

    def __call__(self, method: str, path: str, body: Any = None, **named: str) -> Any:
        """Call a route of the documents, written as they write it, or with a query behind it; the answer's JSON."""
        plain, _, query = path.partition("?")
        address = plain.format(**named) + (f"?{query.format(**named)}" if query else "")
        answer = self.call(method, f"/opencode{address}", body)
        assert answer.status_code == 200, (method, address, answer.text)
        for generation in ("old", "new"):
            for documented in document(generation)["paths"]:
                if shape(documented) == shape(plain) and method.lower() in document(generation)["paths"][documented]:
                    self.seen.add((generation, method, documented))
                    found = faults(generation, method, documented, answer.json)
                    self.faults |= {(generation, f"{method} {documented}", fault) for fault in found}
        return answer.json


def shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


@pytest.fixture
def story(call: Caller, scripted: ModelServer, alice: Actor, tmp_path: Path) -> Story:
    """A session that read, changed a file after an approval, keeps a list, and was forked, reverted and summed up."""
    root = repository.make(tmp_path / "shop", files=3)
    skill = root / ".opencode" / "skill" / "count" / "SKILL.md"
    skill.parent.mkdir(parents=True)
    skill.write_text("---\nname: count\ndescription: How to count.\n---\nSlowly.")
    projects.add(alice, str(root))
    call.headers["x-opencode-directory"] = str(root)
    tell = Story(call)
    session = tell("POST", "/session", {"title": "Story"})
    one = {"id": session["id"]}
    prompt = said(
        TURN, {"type": "file", "mime": "text/plain", "filename": "a.py", "url": f"file://{root}/shop/basket.py"}
    )
    send(call, session["id"], prompt)
    waiting(call, "permission")
    (asked,) = tell("GET", "/permission")
    tell("GET", "/session/status")
    tell("POST", "/session/{id}/permissions/{permissionID}", {"response": "once"}, **one, permissionID=asked["id"])
    idle(call, session["id"])
    send(call, session["id"], said(f"[[call question {json.dumps(ASKED)}]] [[say Fine.]]"))
    waiting(call, "question")
    (question,) = tell("GET", "/question")
    tell("POST", "/question/{requestID}/reply", {"answers": [["A"]]}, requestID=question["id"])
    idle(call, session["id"])
    tell("POST", "/session/{id}/message", said(f"[[call todowrite {json.dumps(TODOS)}]] [[say Noted.]]"), **one)
    tell("POST", "/session/{id}/message", said("[[bash ls nowhere]] [[say Nothing.]]", agent="plan"), **one)
    send(call, session["id"], said("[[bash touch made]]"))
    waiting(call, "permission")
    (asked,) = tell("GET", "/permission")
    tell("POST", "/permission/{requestID}/reply", {"reply": "reject"}, requestID=asked["id"])
    idle(call, session["id"])
    return tell


def test_our_answers_are_those_of_the_documents(story: Story, call: Caller) -> None:
    (session,) = story("GET", "/session?limit=5")
    one = {"id": session["id"]}
    messages = story("GET", "/session/{id}/message", **one)
    assert {part["type"] for message in messages for part in message["parts"]} >= {
        "text",
        "reasoning",
        "tool",
        "file",
        "patch",
        "step-start",
        "step-finish",
    }
    last = messages[-1]["info"]["id"]
    first = messages[0]["info"]["id"]
    story("GET", "/session/{id}/message?limit=1", **one)
    story("GET", "/session/{id}/message/{messageID}", **one, messageID=last)
    story("GET", "/session/{id}", **one)
    story("PATCH", "/session/{id}", {"title": "Renamed"}, **one)
    assert story("GET", "/session/{id}/todo", **one)
    assert story("GET", "/session/{id}/diff?messageID={first}", **one, first=first)
    fork = story("POST", "/session/{id}/fork", {"messageID": last}, **one)
    child = story("POST", "/session", {"parentID": session["id"]})
    shared = story("POST", "/session/{id}/share", **one)["share"]
    assert story("GET", "/session/{id}", **one)["share"] == shared
    assert "share" not in story("DELETE", "/session/{id}/share", **one)
    assert story("GET", "/session/{id}/children", **one)
    story("GET", "/session")
    story("PATCH", "/config", {"theme": "dark", "agent": {"look": {"prompt": "Look.", "mode": "subagent"}}})
    story("POST", "/session/{id}/revert", {"messageID": first}, **one)
    story("POST", "/session/{id}/unrevert", **one)
    story("POST", "/session/{id}/summarize", {"providerID": "openai", "modelID": "scripted"}, **one)
    ran = story("POST", "/session/{id}/shell", {"agent": "build", "command": "ls; touch made"}, **one)
    assert {part["type"] for part in ran["parts"]} == {"tool", "patch"}
    story("POST", "/session/{id}/abort", **one)
    story(
        "DELETE",
        "/session/{sessionID}/message/{messageID}",
        sessionID=fork["id"],
        messageID=story("GET", "/session/{id}/message", id=fork["id"])[0]["info"]["id"],
    )
    story("DELETE", "/session/{id}", id=child["id"])
    for path in GETS:
        story("GET", path)
    project = story("GET", "/project/current")["id"]
    assert story("GET", "/project/{projectID}/directories", projectID=project)
    pty = story("POST", "/pty", {"command": "cat"})
    assert story("GET", "/pty")
    story("GET", "/pty/{ptyID}", ptyID=pty["id"])
    story("PUT", "/pty/{ptyID}", {"title": "T"}, ptyID=pty["id"])
    story("DELETE", "/pty/{ptyID}", ptyID=pty["id"])
    story("POST", "/log", {"service": "s", "level": "info", "message": "m"})
    unknown = {fault for fault in story.faults if not any(covers(wrong, fault) for wrong in WRONG)}
    assert unknown == set()
    assert [wrong for wrong in WRONG if not any(covers(wrong, fault) for fault in story.faults)] == []
    assert len(story.seen) >= 70


def covers(wrong: Wrong, fault: tuple[str, str, str]) -> bool:
    """Whether the line speaks of this fault."""
    generation, route, what = fault
    return (wrong.generation, wrong.route) == (generation, route) and bool(re.fullmatch(wrong.fault, what, re.DOTALL))


GETS = [
    "/project",
    "/project/current",
    "/config",
    "/path",
    "/config/providers",
    "/provider",
    "/agent",
    "/vcs",
    "/vcs/status",
    "/vcs/diff?mode=git",
    "/skill",
    "/formatter",
    "/find?pattern=def",
    "/find/file?query=basket",
    "/file?path=.",
    "/file/content?path=shop/basket.py",
    "/file/status",
    "/global/health",
    "/global/config",
    "/experimental/capabilities",
    "/experimental/console",
    "/experimental/workspace",
    "/experimental/workspace/status",
    "/api/location",
    "/api/model",
    "/api/provider",
    "/api/agent",
    "/api/skill",
    "/api/command",
    "/api/integration",
    "/pty/shells",
]
