"""A command line of curl, understood as far as the dialects' documents use it: sent as curl would send it."""

from __future__ import annotations

import http.client
import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

SAFE = "/?&=%*:;,+-_.~"


@dataclass(frozen=True)
class Command:
    """One request: method, address with its query, headers, and the body."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


def read(text: str, directory: Path) -> Command:
    """Read a command; `@file` is looked up in the directory. Raises ValueError for an option it does not know."""
    words = iter(shlex.split(text.replace("\\\n", " "), comments=True))
    if next(words) != "curl":
        raise ValueError(f"no curl: {text}")
    method, url, headers, body = "", "", {}, None
    for word in words:
        if word in ("-X", "--request"):
            method = next(words)
        elif word in ("-H", "--header"):
            name, _, value = next(words).partition(":")
            headers[name.strip()] = value.strip()
        elif word in ("-d", "--data"):
            body = next(words).encode()
        elif word == "--data-binary":
            given = next(words)
            body = (directory / given[1:]).read_bytes() if given.startswith("@") else given.encode()
        elif word.startswith("-"):
            raise ValueError(f"an option of curl that is not known here: {word}")
        else:
            url = word
    return Command(method or ("POST" if body is not None else "GET"), url, headers, body)


def send(command: Command, port: int, token: str, *, until: str = "") -> tuple[int, str, str]:
    """Send it to our server: status, content type, body; of a stream, what comes up to and with `until`."""
    told = urlsplit(command.url)
    path = quote(told.path + (f"?{told.query}" if told.query else ""), safe=SAFE)
    headers = {"Authorization": f"Bearer {token}", **command.headers}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(command.method, path, command.body, headers)
        response = connection.getresponse()
        kind = response.getheader("Content-Type") or ""
        if not until:
            return response.status, kind, response.read().decode()
        text = ""
        while until not in text and (line := response.readline()):
            text += line.decode()
        return response.status, kind, text
    finally:
        connection.close()


def data(answer: tuple[int, str, str]) -> Any:
    """What a successful answer holds in its envelope."""
    status, kind, text = answer
    assert status in (200, 202), answer
    assert kind.startswith("application/json"), answer
    return json.loads(text)["data"]
