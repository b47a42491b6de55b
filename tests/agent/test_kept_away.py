"""What .rooignore lists is kept from agents, in whatever way they come at it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from app.actor import Actor
from app.agent import tools
from app.agent.tools import ToolContext
from app.approvals.rules import Ground, Rule, Stance, decide
from app.approvals.service import ROOIGNORE, hides_in
from app.dialects.mount import Cabin
from app.projects import service as projects
from tests.agent.talk import Talk
from tests.model_server import ModelServer
from tests.patience import PATIENCE

LIST = "secrets/\n*.pem\n!ok.pem\n/top\nx/**/deep\n# secret.md\n\\#odd\nlogs/**\n[ab].key\n"


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        ("secrets/a", True), ("src/secrets/a/b", True), ("secret.md", False), ("a.pem", True), ("deep/a.PEM", True),
        ("ok.pem", False), ("secrets/ok.pem", True), ("top", True), ("top/a", True), ("src/top", False),
        ("x/deep", True), ("x/1/2/deep/a", True), ("x/deeper", False), ("#odd", True), ("logs/a", True), ("logs", False),
        ("a.key", True), ("ab.key", False), ("README.md", False), (".", False), ("", False),
    ],
)  # fmt: skip
def test_patterns_mean_what_they_mean_in_gitignore(tmp_path: Path, path: str, hidden: bool) -> None:
    (tmp_path / ROOIGNORE).write_text(LIST)
    assert hides_in(tmp_path)(path) is hidden


def test_without_a_list_or_with_one_that_leads_out_nothing_is_hidden(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "list").write_text("*\n")
    assert not hides_in(tmp_path / "project")("a")
    (tmp_path / "project" / ROOIGNORE).symlink_to(tmp_path / "list")
    assert not hides_in(tmp_path / "project")("a")


def test_a_path_may_be_as_deep_as_it_likes(tmp_path: Path) -> None:
    (tmp_path / ROOIGNORE).write_text("*.pem\n")
    assert hides_in(tmp_path)("a/" * 2000 + "b.pem")
    assert not hides_in(tmp_path)("a/" * 2000 + "b")


def test_a_hostile_list_takes_no_time(tmp_path: Path) -> None:
    (tmp_path / ROOIGNORE).write_text(
        "\n".join(["*a" * 200 + "b", "**/" * 100 + "x", "[" * 400, "a**" * 150 + "b", "*a" * 8 + "b"]) + "\n"
    )
    began = time.monotonic()
    assert not hides_in(tmp_path)("/".join(["a" * 200] * 15))
    assert time.monotonic() - began < PATIENCE


def test_a_path_that_a_long_list_would_take_its_time_over_is_hidden_unread(tmp_path: Path) -> None:
    lines = [f"**/*/**/a/**/{'a' * 80}*{number}" for number in range(130)]
    (tmp_path / ROOIGNORE).write_text("\n".join(lines) + "\n")
    hides = hides_in(tmp_path)
    assert hides("/".join(["a" * 20] * 100))
    assert not hides("src/app/main.py")


@pytest.mark.parametrize(
    ("tool", "given"),
    [
        ("read", {"filePath": "secrets/key"}),
        ("read", {"filePath": "./src/../secrets/key"}),
        ("list", {"path": "secrets"}),
        ("grep", {"pattern": "x", "path": "secrets"}),
        ("edit", {"filePath": "secrets/key", "oldString": "a", "newString": "b"}),
        ("write", {"filePath": "secrets/new", "content": "b"}),
        ("bash", {"command": "cat secrets/key"}),
        ("bash", {"command": "cd secrets && cat key"}),
        ("bash", {"command": "true && cp secrets/key x"}),
        ("bash", {"command": "sort < secrets/key"}),
        ("bash", {"command": "echo x > secrets/key"}),
    ],
)
def test_nothing_opens_it(tmp_path: Path, tool: str, given: dict[str, Any]) -> None:
    (tmp_path / ROOIGNORE).write_text(LIST)
    ground = Ground(str(tmp_path), hides=hides_in(tmp_path))
    found = decide(tool, given, ground, Stance("auto"), [Rule("*", "*", "allow")])
    assert (found.action, found.why.endswith(".rooignore keeps it from agents")) == ("deny", True), found


def test_a_search_from_above_does_not_show_it(workspace: Path, context: ToolContext) -> None:
    (workspace / "secrets").mkdir()
    (workspace / "secrets/key.py").write_text("RATE = 7\n")
    (workspace / ROOIGNORE).write_text("secrets/\nshop/tax.py\n")
    context.hides = hides_in(workspace)
    for name, given in (
        ("grep", {"pattern": "RATE"}),
        ("grep", {"pattern": "RATE", "include": "*.py", "path": "shop"}),
        ("glob", {"pattern": "**/*.py"}),
        ("glob", {"pattern": "*.py", "path": "shop"}),
        ("list", {}),
        ("list", {"path": "shop"}),
    ):
        output = tools.run(name, context, given).output
        assert "key.py" not in output, name
        assert "tax.py" not in output, name
    assert "cart.py" in tools.run("list", context, {"path": "shop"}).output


def test_an_agent_is_told_why_and_goes_on(app: Cabin, alice: Actor, scripted: ModelServer) -> None:
    directory = projects.resolve(alice, None).directory
    (directory / ROOIGNORE).write_text("secrets/\n")
    talk = Talk(alice, preset="auto")
    talk.ask("[[read secrets/key]] [[bash cat secrets/key]] [[write secrets/new x]] [[say Done]]")
    told = [one["state"]["error"] for one in talk.tools()]
    assert all(".rooignore keeps it from agents" in error for error in told), told
    assert len(told) == 3
    assert "secrets/" in str(scripted.requests[-1]["messages"][0])
