"""What the recordings' model answered: `[[say x]]`, `[[reason x]]`, `[[bash x]]`, `[[write path :: x]]`, `[[todo a, b]]`,
`[[read path]]`, `[[tool name {json}]]`, `[[http 401]]`, `[[slow 10 100]]`; after a tool, and without a directive, a
sentence. It paused before it called a tool.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from tests.model_server import Call, Delay, Fail, Item, Say, Think

PAUSE = Delay(0.15)
DIRECTIVE = re.compile(r"\[\[(\w+) (.*)\]\]", re.DOTALL)


def answer(messages: list[dict[str, str]]) -> Sequence[Item]:
    """The answer to a conversation of {role, content}."""
    prompts = [place for place, message in enumerate(messages) if message["role"] == "user"]
    if any(message["role"] == "assistant" for message in messages[prompts[-1] :]):
        return [Say("Tool finished.", size=5)]
    found = DIRECTIVE.search(messages[prompts[-1]]["content"])
    return _directed(found[1], found[2]) if found else [Say("Hello from the fake model.", size=6)]


def _directed(word: str, rest: str) -> Sequence[Item]:
    if word == "say":
        return [Say(rest, size=6)]
    if word == "reason":
        return [Think(rest), Say("Reasoned.")]
    if word == "http":
        return [Fail(int(rest))]
    if word == "slow":
        count, pause = (int(figure) for figure in rest.split())
        return [item for place in range(count) for item in (Say(f"w{place} "), Delay(pause / 1000))]
    first: list[Item] = [Say("Running it. ", size=8)] if word == "bash" else []
    return [*first, PAUSE, _call(word, rest)]


def _call(word: str, rest: str) -> Call:
    given: dict[str, Any]
    if word == "tool":
        name, _, raw = rest.partition(" ")
        return Call(name, json.loads(raw))
    if word == "write":
        path, _, content = rest.partition(" :: ")
        return Call("write", {"filePath": path, "content": content})
    if word == "todo":
        listed = [one.strip() for one in rest.split(",")]
        states = ["in_progress"] + ["pending"] * (len(listed) - 1)
        todos = [
            {"id": str(place), "content": content, "status": state, "priority": "medium"}
            for place, (content, state) in enumerate(zip(listed, states, strict=True), 1)
        ]
        return Call("todowrite", {"todos": todos})
    given = {"command": rest, "description": "Runs it"} if word == "bash" else {"filePath": rest}
    return Call(word, given)
