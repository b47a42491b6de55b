"""Answers that leave in one piece: gunicorn sends the header, then the body, and each send costs its thread the GIL."""

from __future__ import annotations

import functools

from gunicorn import util
from gunicorn.http import wsgi

GATHERED = 256 * 1024  # bytes of a body that are worth a copy behind their header


class Answer(wsgi.Response):  # type: ignore[misc]
    """gunicorn's answer, whose header waits for a body that is there as a whole."""

    headers_sent: bool

    def write(self, data: bytes) -> None:
        """Send a piece of the body; the whole of a short one together with the header."""
        if self.headers_sent or self._omits_body or self.response_length != len(data) or len(data) > GATHERED:
            super().write(data)
            return
        lines = [*self.default_headers(), *(f"{name}: {value}\r\n" for name, value in self.headers), "\r\n"]
        self.headers_sent, self.sent = True, len(data)
        util.write(self.sock, "".join(lines).encode("latin-1") + data)


def use() -> None:
    """Let gunicorn's worker make its answers of this kind."""
    if not isinstance(wsgi.create, functools.partial):
        wsgi.create = functools.partial(wsgi.create, response_class=Answer)
