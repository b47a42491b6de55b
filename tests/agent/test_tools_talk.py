"""The todo list, questions, and the registry itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from app.agent import tools
from app.agent.tools import ToolContext, ToolError


def test_the_todo_list_is_replaced_and_read(context: ToolContext) -> None:
    stored: list[Any] = []
    context = replace(context, set_todos=stored.append)
    todos = [{"content": "look", "status": "completed"}, {"content": "fix", "id": "b", "priority": "high"}]
    written = tools.run("todowrite", context, {"todos": todos})
    assert written.title == "1 todo"
    assert stored == [
        [
            {"content": "look", "status": "completed", "priority": "medium", "id": "1"},
            {"content": "fix", "status": "pending", "priority": "high", "id": "b"},
        ]
    ]
    assert written.metadata == {"todos": stored[0]}
    assert orjson.loads(tools.run("todoread", context, {}).output) == stored[0]


def test_an_unknown_status_is_refused(context: ToolContext) -> None:
    with pytest.raises(ToolError, match=r"todos\.0\.status"):
        tools.run("todowrite", context, {"todos": [{"content": "x", "status": "maybe"}]})


ASKED = {"questions": [{"question": "Which?", "options": [{"label": "A"}, {"label": "B"}]}, {"question": "Why?"}]}


def test_questions_wait_for_a_person(context: ToolContext) -> None:
    prepared = tools.prepare("question", context, ASKED)
    assert prepared.title == "Asked 2 questions"
    assert [one["question"] for one in prepared.questions] == ["Which?", "Why?"]
    with pytest.raises(ToolError, match="Nobody has answered"):
        tools.run("question", context, ASKED)


def test_answers_come_back_in_words(context: ToolContext) -> None:
    result = tools.run("question", replace(context, answers=[["A"]]), ASKED)
    assert '"Which?"="A", "Why?"="Unanswered"' in result.output
    assert result.metadata == {"answers": [["A"], []]}


def test_every_tool_has_words_and_a_schema_for_the_model() -> None:
    names = " ".join(spec.name for spec in tools.specs())
    assert names == (
        "read edit multiedit write patch bash grep glob list webfetch todowrite todoread question skill task "
        "switch_mode new_task"
    )
    for spec in tools.specs():
        assert spec.description
        assert spec.schema["type"] == "object"
        assert "title" not in spec.schema


def test_field_names_are_opencode_s() -> None:
    edit = next(spec for spec in tools.specs() if spec.name == "edit")
    assert list(edit.schema["properties"]) == ["filePath", "oldString", "newString", "replaceAll"]
    assert edit.schema["required"] == ["filePath", "oldString", "newString"]


def test_a_patch_has_one_field_whatever_other_names_it_is_understood_by() -> None:
    patch = next(spec for spec in tools.specs() if spec.name == "patch")
    assert (list(patch.schema["properties"]), patch.schema["required"]) == (["patchText"], ["patchText"])


def test_a_switch_of_a_tool_s_other_name_counts_too() -> None:
    assert "patch" not in [spec.name for spec in tools.specs(None, {"apply_patch": False})]
    assert tools.find("apply_patch") is tools.find("patch")


def test_a_mode_and_switches_choose_tools() -> None:
    assert [spec.name for spec in tools.specs(("read", "bash"))] == ["read", "bash"]
    assert "bash" not in [spec.name for spec in tools.specs(None, {"bash": False})]
    assert [spec.name for spec in tools.specs(None, {"*": False, "read": True})] == ["read"]


def test_an_unknown_tool_is_told(context: ToolContext) -> None:
    with pytest.raises(ToolError, match="There is no tool 'fly'"):
        tools.run("fly", context, {})
