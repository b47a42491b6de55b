"""A language server that behaves as its first argument says; what it finds is every line that has the word `wrong`."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any


def send(message: dict[str, Any], separator: str = "\r\n", name: str = "Content-Length") -> None:
    """Write a message, perhaps with an unusual but readable header."""
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    sys.stdout.buffer.write(f"{name}: {len(body)}{separator}{separator}".encode() + body)
    sys.stdout.buffer.flush()


def receive() -> dict[str, Any] | None:
    """Read a message."""
    length = 0
    while line := sys.stdin.buffer.readline().strip():
        length = int(line.partition(b":")[2])
    body = sys.stdin.buffer.read(length)
    return json.loads(body) if body else None


def findings(text: str) -> list[dict[str, Any]]:
    """A diagnostic for each line with the word, and one thing that is none."""
    lines = [number for number, line in enumerate(text.split("\n")) if "wrong" in line]
    places = [{"start": {"line": n, "character": 0}, "end": {"line": n, "character": 1}} for n in lines]
    return [*({"range": place, "severity": 1, "message": "wrong\nword"} for place in places), {"message": "no range"}]


HEADS = {
    "garbage": b"Welcome to the server!\n\n",
    "huge": b"Content-Length: 99999999999\r\n\r\n{}",
    "negative": b"Content-Length: -5\r\n\r\n{}",
    "nameless": b"X: 1\r\n\r\n{}",
}
Given = dict[str, Any]


class Fake:
    """One manner, and the text that it was told of last."""

    def __init__(self, manner: str) -> None:
        self.manner = manner
        self.text = ""

    def serve(self) -> None:
        """Answer until told to exit."""
        sys.stdout.buffer.write(HEADS.get(self.manner, b""))
        sys.stdout.buffer.flush()
        while self.manner == "endless":
            sys.stdout.buffer.write(b"a" * 65536)
        if self.manner == "deaf":
            threading.Event().wait()
        answers = {
            "initialize": self.initialize,
            "workspace/symbol": self.symbol,
            "textDocument/didOpen": self.told,
            "textDocument/didChange": self.told,
            "textDocument/diagnostic": self.diagnostic,
            "textDocument/documentSymbol": self.file_symbols,
            "shutdown": lambda message: send({"id": message["id"], "result": None}),
        }
        while (message := receive()) is not None and message["method"] != "exit":
            answers.get(message["method"], lambda _message: None)(message)

    def initialize(self, message: Given) -> None:
        """Shake hands; a chatty one asks first, and writes lines."""
        if self.manner == "chatty":
            send({"id": "mine", "method": "workspace/configuration", "params": {"items": [{}, {}]}})
            assert (receive() or {})["result"] == [None, None]
            send({"id": 900, "method": "workspace/unheard", "params": {}})
            assert (receive() or {})["error"]["code"] == -32601
            sys.stderr.write("hello from the server\n" * 50)
        if self.manner == "says_why":
            sys.stderr.write("<b>no memory</b>\n")
            sys.stderr.flush()
            os._exit(3)
        can = {
            "workspaceSymbolProvider": True,
            "documentSymbolProvider": self.manner != "no_symbols",
            **({"diagnosticProvider": {}} if self.manner == "pull" else {}),
        }
        plain = ("\n", "content-length") if self.manner == "odd" else ("\r\n", "Content-Length")
        send({"id": message["id"], "result": {"capabilities": can}}, *plain)

    def symbol(self, message: Given) -> None:
        """One symbol and something that is none, or a refusal."""
        refusal = {"error": {"code": -1, "message": "not now"}}
        answer = refusal if self.manner == "refuses" else {"result": [{"name": "one"}, 5]}
        send({"id": message["id"], **answer})

    def file_symbols(self, message: Given) -> None:
        """One with another inside, one beside it, and something that is none; or a refusal."""
        refusal = {"error": {"code": -1, "message": "not now"}}
        given = [{"name": "Cart", "children": [{"name": "total"}]}, {"name": "<i>total"}, 5]
        send({"id": message["id"], **(refusal if self.manner == "refuses" else {"result": given})})

    def told(self, message: Given) -> None:
        """Take a text, and tell what is wrong in it."""
        given = message["params"]
        document = given["textDocument"]
        self.text = given["contentChanges"][0]["text"] if "contentChanges" in given else document["text"]
        if self.manner == "crashes":
            os._exit(3)
        if self.manner in ("mute", "pull"):
            return
        found = {"uri": document["uri"], "diagnostics": findings(self.text), "version": document["version"]}
        for _ in range(2000 if self.manner == "floods" else 0):
            send({"method": "textDocument/publishDiagnostics", "params": {**found, "version": -1}})
        send({"method": "textDocument/publishDiagnostics", "params": found})

    def diagnostic(self, message: Given) -> None:
        """Tell it when asked."""
        send({"id": message["id"], "result": {"kind": "full", "items": findings(self.text)}})


if __name__ == "__main__":
    Fake(sys.argv[1]).serve()
