"""A small SMTP server on a real socket: it keeps what it takes, and refuses what a test wants it to."""

from __future__ import annotations

import base64
import email
import queue
import socketserver
import ssl
import threading
from email.message import Message
from typing import Any

from tests.patience import PATIENCE


class Post(socketserver.ThreadingTCPServer):
    """Takes mail in plain words, by STARTTLS, or in TLS from the first byte; `refuses` answers a command instead."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, tls: ssl.SSLContext | None = None, *, from_first_byte: bool = False, user: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Visit)
        self.tls = tls
        self.from_first_byte = from_first_byte
        self.user = user
        self.refuses: dict[str, str] = {}
        self.heard: list[str] = []
        self.taken: queue.Queue[Message] = queue.Queue()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def next(self) -> Message:
        """The next mail, as soon as it comes."""
        return self.taken.get(timeout=PATIENCE)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""

    def stop(self) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


def text_of(message: Message) -> str:
    """The words of a mail."""
    raw = message.get_payload(decode=True)
    assert isinstance(raw, bytes)
    return raw.decode().replace("\r\n", "\n")


class _Visit(socketserver.StreamRequestHandler):
    server: Post

    def setup(self) -> None:
        if self.server.tls and self.server.from_first_byte:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def handle(self) -> None:
        self.say("220 post ready")
        is_secured = self.server.from_first_byte
        for line in self.rfile:
            words = line.decode().strip()
            verb = words.split(" ")[0].upper()
            self.server.heard.append(words if verb != "AUTH" else f"AUTH {'in TLS' if is_secured else 'in plain'}")
            if verb in self.server.refuses:
                self.say(self.server.refuses[verb])
            elif verb == "EHLO":
                more = ["250-post"] + (["250-STARTTLS"] if self.server.tls and not is_secured else [])
                self.say(*more, *(["250-AUTH PLAIN"] if self.server.user else []), "250 8BITMIME")
            elif verb == "STARTTLS":
                self.say("220 go ahead")
                is_secured = True
                self.rfile.close()
                self.request = self.server.tls.wrap_socket(self.request, server_side=True)  # type: ignore[union-attr]
                super().setup()
                return self.handle_secured()
            elif verb == "DATA":
                self.take()
            elif verb == "QUIT":
                self.say("221 bye")
                return None
            elif verb == "AUTH":
                given = base64.b64decode(words.split(" ")[2]).decode()
                self.say("235 in" if given == self.server.user else "535 wrong")
            else:
                self.say("250 fine")
        return None

    def handle_secured(self) -> None:
        """Go on in TLS, where a client greets anew."""
        for line in self.rfile:
            words = line.decode().strip()
            verb = words.split(" ")[0].upper()
            self.server.heard.append(f"{verb} in TLS")
            if verb == "EHLO":
                self.say("250-post", *(["250-AUTH PLAIN"] if self.server.user else []), "250 8BITMIME")
            elif verb == "DATA":
                self.take()
            elif verb == "QUIT":
                self.say("221 bye")
                return
            elif verb == "AUTH":
                given = base64.b64decode(words.split(" ")[2]).decode()
                self.say("235 in" if given == self.server.user else "535 wrong")
            else:
                self.say("250 fine")

    def take(self) -> None:
        self.say("354 go on")
        lines = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            lines.append(line.removeprefix(b"."))
        self.server.taken.put(email.message_from_bytes(b"".join(lines)))
        self.say("250 taken")

    def say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())
        self.wfile.flush()
