"""A task by opencode-ai of PyPI, whose API is that of mid-2025: what OpenCode 1.0 still answers to it, we do.

Usage: python -m tests.clients.opencode_story URL TOKEN; prints one line of JSON with what was seen.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import opencode_ai
from opencode_ai import Opencode

MODEL = {"model_id": "scripted", "provider_id": "openai"}
PROMPT = "[[say I will look.]]&[[bash touch three && ls three]] [[say It is done.]] Go"


def main(url: str, token: str) -> dict[str, Any]:
    """Everything it can do here, in the order in which a person would."""
    client = Opencode(base_url=url, default_headers={"Authorization": f"Bearer {token}"}, max_retries=0)
    session = client.session.create()
    seen: dict[str, Any] = {
        "providers": [provider.id for provider in client.app.providers().providers],
        "log": client.app.log(service="story", level="info", message="It begins."),
        "config": client.config.get().model,
        "found": client.find.text(pattern="rounded to cents")[0].path.text,
        "files": client.find.files(query="basket"),
        "symbols": client.find.symbols(query="no_such_name"),
        "help": client.tui.open_help(),
        "append": client.tui.append_prompt(text="Hello"),
        "listed": session.id in [one.id for one in client.session.list()],
        "gone": missing(client),
    }
    seen |= task(client, session.id)
    messages = client.session.messages(session.id)
    first = messages[0].info.id
    seen |= {
        "tools": [[part.tool, part.state.status] for one in messages for part in one.parts if part.type == "tool"],
        "changed": [[one.path, one.status] for one in client.file.status()],
        "reverted": client.session.revert(session.id, message_id=first).revert is not None,
        "unreverted": client.session.unrevert(session.id).revert is None,
        "idle_abort": client.session.abort(session.id),
        "summarized": summarized(client),
        "init": client.session.init(session.id, message_id=f"msg_ffffffffffff{session.id[-14:]}", **MODEL),
        "deleted": client.session.delete(session.id),
    }
    return seen


def task(client: Opencode, session_id: str) -> dict[str, Any]:
    """A prompt, followed on the stream until it is idle; what it asks is answered where this client has no method."""
    types: Counter[str] = Counter()
    asked = []
    with client.event.list() as stream, ThreadPoolExecutor(1) as pool:
        said = {"type": "text", "text": PROMPT}
        answer = None
        for event in stream:
            types[event.type] += 1
            if event.type == "server.connected":
                answer = pool.submit(client.session.chat, session_id, parts=[said], **MODEL)
            if event.type == "permission.updated":
                asked.append(event.properties.title)
                path = f"/session/{session_id}/permissions/{event.properties.id}"
                client.post(path, body={"response": "once"}, cast_to=bool)
            if event.type == "session.idle":
                break
        assert answer is not None
        parts = answer.result().model_extra["parts"]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    return {"types": types, "asked": asked, "answer": texts}


def summarized(client: Opencode) -> bool:
    """Whether a short session has a summary now."""
    session = client.session.create()
    client.session.chat(session.id, parts=[{"type": "text", "text": "[[say The basket adds up.]]"}], **MODEL)
    return client.session.summarize(session.id, **MODEL)


def missing(client: Opencode) -> list[str]:
    """The methods whose routes are gone from OpenCode 1.0 too."""
    gone = []
    for name, call in (("get", client.app.get), ("init", client.app.init), ("modes", client.app.modes)):
        try:
            call()
        except opencode_ai.NotFoundError:
            gone.append(name)
    try:
        client.file.read(path="README.md")
    except opencode_ai.NotFoundError:
        gone.append("read")
    return gone


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
