"""What a summary stands for, what stays beside it, and what it is made from."""

from __future__ import annotations

from typing import Any

from app.agent import summaries
from app.agent.conversation import BEGUN, SUMMED_UP, turns
from app.agent.providers import AssistantTurn, Text, ToolCall, ToolResult, ToolResults, UserTurn
from app.sessions.service import Message, Part


def said(number: int, text: str = "", *, created: int | None = None, **data: Any) -> Message:
    role = "assistant" if "parentID" in data else "user"
    part = Part(f"prt_{number}", f"msg_{number}", "ses", "text", {"text": text or f"words {number}"})
    at = number if created is None else created
    return Message(f"msg_{number}", "ses", role, data, at, at, [part])


def asked(number: int, **told: Any) -> Message:
    part = Part(f"prt_{number}", f"msg_{number}", "ses", "compaction", {"auto": False, "done": 1, **told})
    return Message(f"msg_{number}", "ses", "user", {}, number, None, [part])


def summary(number: int, of: int, **data: Any) -> Message:
    return said(number, "The summary.", parentID=f"msg_{of}", summary=True, **data)


def texts(messages: list[Message]) -> list[str]:
    return ["\n".join(part.text for part in turn.parts if isinstance(part, Text)) for turn in turns(messages)]


TOLD = f"{SUMMED_UP}\n\nThe summary."
BEFORE = [said(1), said(2, parentID="msg_1"), said(3), said(4, parentID="msg_3")]


def test_it_stands_for_all_that_came_before_it() -> None:
    after = [said(7), said(8, parentID="msg_7")]
    assert texts([*BEFORE, asked(5), summary(6, 5), *after]) == [TOLD, "words 7", "words 8"]


def test_the_tail_is_told_beneath_its_prompt() -> None:
    assert texts([*BEFORE, asked(5, tail_start_id="msg_4"), summary(6, 5)]) == [TOLD, "words 3", "words 4"]


def test_a_prompt_whose_first_steps_are_covered_says_so() -> None:
    steps = [said(1), said(2, parentID="msg_1"), said(3, parentID="msg_1")]
    assert texts([*steps, asked(5, tail_start_id="msg_3"), summary(6, 5)]) == [TOLD, f"words 1\n{BEGUN}", "words 3"]
    assert texts([*steps, asked(5, beside=["msg_1"]), summary(6, 5)]) == [TOLD, f"words 1\n{BEGUN}"]


def test_a_later_prompt_with_an_id_from_before_is_not_covered() -> None:
    late = said(0, "late", created=99)
    assert texts([late, *BEFORE, asked(5), summary(6, 5)]) == [TOLD, "late"]


def test_what_is_put_aside_unfinished_or_failed_stands_for_nothing() -> None:
    for part, data in (({"undone": 1}, {}), ({"done": None}, {}), ({}, {"error": {"name": "APIError"}})):
        plain = texts([*BEFORE, asked(5, **part), summary(6, 5, **data)])
        assert plain == ["words 1", "words 2", "words 3", "words 4"]


def test_an_earlier_one_is_in_force_while_the_later_is_put_aside() -> None:
    later = [said(7), asked(8, undone=1), summary(9, 8)]
    assert texts([*BEFORE, asked(5), summary(6, 5), *later]) == [TOLD, "words 7"]


def test_a_tail_whose_message_is_gone_begins_at_the_summary() -> None:
    assert texts([*BEFORE, asked(5, tail_start_id="msg_gone"), summary(6, 5)]) == [TOLD]


def test_the_tail_takes_its_prompts_into_account() -> None:
    messages = [said(1, "x" * 4_000), said(2, "y" * 40, parentID="msg_1"), said(3, "z" * 40, parentID="msg_1")]
    assert summaries.tail_of(messages, 1_020) == messages
    assert summaries.tail_of(messages, 1_019) == messages[2:]
    assert summaries.tail_of(messages, 500) == []


def test_the_script_is_cut_at_outputs_before_texts() -> None:
    step = AssistantTurn((Text("t" * 3_000), ToolCall("c", "read", {"filePath": "a"})))
    conversation = [UserTurn((Text("Read."),)), step, ToolResults((ToolResult("c", "read", "o" * 9_000),))]
    whole = summaries.script(conversation, 100_000)
    assert whole.startswith("User: Read.\n\nAgent: ttt")
    assert '[calls read {"filePath":"a"}]' in whole
    assert "t" * 3_000 in whole
    assert "o" * 4_001 not in whole
    shorter = summaries.script(conversation, 4_500)
    assert "t" * 3_000 in shorter
    assert "o" * 1_001 not in shorter
    assert "[... left out ...]" in summaries.script(conversation, 200)
    assert len(summaries.script(conversation, 200)) < 230
