"""A transcript as the model sees it."""

from __future__ import annotations

from typing import Any

from app.agent.conversation import turns
from app.agent.providers import AssistantTurn, Image, Text, Thought, ToolCall, ToolResult, ToolResults, UserTurn
from app.sessions.service import Message, Part

PNG = "data:image/png;base64,AAAA"
HI = ("text", {"text": "hi"})


def message(role: str, *parts: tuple[str, dict[str, Any]], **data: Any) -> Message:
    made = [Part(f"prt_{place}", "msg", "ses", kind, given) for place, (kind, given) in enumerate(parts)]
    return Message("msg_1" if role == "user" else "msg_2", "ses", role, data, 0, 0, made)


def answered(*parts: tuple[str, dict[str, Any]], model: str = "m") -> Message:
    return message("assistant", *parts, parentID="msg_1", providerID="lab", modelID=model)


def tool(call_id: str, state: dict[str, Any], **more: Any) -> tuple[str, dict[str, Any]]:
    return "tool", {"callID": call_id, "tool": "read", "state": {"input": {"path": "a"}, **state}, **more}


def test_a_step_keeps_its_order_and_its_signatures() -> None:
    step = answered(
        ("step-start", {}),
        ("reasoning", {"text": "hm ", "signature": "s1"}),
        ("reasoning", {"text": "", "signature": "s2", "redacted": True}),
        ("text", {"text": "I look.", "signature": "s3"}),
        tool("c1", {"status": "completed", "output": "A", "attachments": [{"url": PNG, "mime": "image/png"}]}, signature="s4"),
        tool("c2", {"status": "error", "error": "gone"}),
    )  # fmt: skip
    said, did, given = turns([message("user", HI), step], "lab", "m")
    assert said == UserTurn((Text("hi"),))
    assert did == AssistantTurn(
        (
            Thought("hm ", "s1"),
            Thought("", "s2", redacted=True),
            Text("I look.", "s3"),
            ToolCall("c1", "read", {"path": "a"}, "s4"),
            ToolCall("c2", "read", {"path": "a"}),
        )
    )
    images = (Image(PNG, "image/png"),)
    assert given == ToolResults(
        (ToolResult("c1", "read", "A", images=images), ToolResult("c2", "read", "gone", is_error=True))
    )


def test_another_model_s_thoughts_are_foreign_and_bring_no_signature() -> None:
    step = answered(("reasoning", {"text": "hm", "signature": "s1"}), ("text", {"text": "Yes.", "signature": "s2"}))
    for asked in (("lab", "other"), ("elsewhere", "m")):
        assert turns([message("user", HI), step], *asked)[1] == AssistantTurn(
            (Thought("hm", foreign=True), Text("Yes."))
        )


def test_what_was_retried_is_not_shown_to_the_model() -> None:
    mark = {"metadata": {"retried": True}}
    step = answered(
        ("reasoning", {"text": "hm", **mark}),
        ("text", {"text": "Half", **mark}),
        tool("c1", {"status": "error", "error": "Not run"}, **mark),
        ("retry", {"attempt": 1}),
        ("text", {"text": "Whole"}),
    )
    assert turns([message("user", HI), step], "lab", "m")[1:] == [AssistantTurn((Text("Whole"),))]


def test_a_step_of_thoughts_alone_is_no_step() -> None:
    step = answered(("reasoning", {"text": "hm", "signature": "s1"}), tool("c1", {"status": "pending"}))
    assert turns([message("user", HI), step], "lab", "m") == [UserTurn((Text("hi"),))]


def test_pictures_and_other_files_of_a_prompt_are_told() -> None:
    prompt = message(
        "user",
        ("file", {"mime": "image/png", "url": PNG}),
        ("file", {"mime": "application/pdf", "url": "file:///a.pdf", "filename": "a.pdf"}),
        ("text", {"text": "hidden", "ignored": True}),
    )
    assert turns([prompt]) == [UserTurn((Image(PNG, "image/png"), Text("[file attached: a.pdf]")))]
