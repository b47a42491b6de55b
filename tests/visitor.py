"""A browser without scripts: it signs in, keeps its cookie, and sends forms with their token."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from app import csrf
from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from tests.patience import PATIENCE

ORIGIN = "http://localhost"
T = TypeVar("T")


class Browser:
    """Somebody's browser before the app."""

    def __init__(self, app: Cabin, actor: Actor) -> None:
        self.client = app.test_client()
        code = accounts.sign_in_code(accounts.local_owner(), actor.user)
        answer = self.client.post("/signin", data={"code": code}, headers={"Origin": ORIGIN})
        assert answer.status_code == 303, answer.text

    @property
    def token(self) -> str:
        """What the forms of its pages carry; it changes with the cookie."""
        cookie = self.client.get_cookie("sid")
        return csrf.csrf_token(cookie.value) if cookie is not None else ""

    def get(self, path: str, **more: Any) -> Any:
        """Open a page."""
        headers = {"Accept": "text/html", **more.pop("headers", {})}
        return self.client.get(path, headers=headers, **more)

    def post(self, path: str, data: dict[str, Any] | None = None, **more: Any) -> Any:
        """Send a form as its page would, with the page's token unless told otherwise."""
        headers = {"Accept": "text/html", "Origin": ORIGIN, **more.pop("headers", {})}
        fields = {"csrf_token": more.pop("token", self.token), **(data or {})}
        return self.client.post(path, data=fields, headers=headers, **more)

    def htmx(self, path: str, data: dict[str, Any] | None = None) -> Any:
        """Send a form as HTMX does."""
        return self.post(path, data, headers={"HX-Request": "true"})


def frames(response: Any) -> Iterator[str]:
    """The frames of a stream that say something, one by one; closing the iterator hangs up."""
    rest = ""
    try:
        for chunk in response.iter_encoded():
            rest += chunk.decode()
            *whole, rest = rest.split("\n\n")
            yield from filter(data_of, whole)
    finally:
        response.close()


def data_of(frame: str) -> str:
    """The data of a frame."""
    return "\n".join(line.removeprefix("data: ") for line in frame.split("\n") if line.startswith("data: "))


def until(look: Callable[[], T | None], seconds: float = PATIENCE) -> T:
    """What `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        threading.Event().wait(0.02)
    raise AssertionError(f"not found in {seconds} s")


def is_whole(page: Any) -> bool:
    """Whether an answer is a whole page with its heading."""
    text = page.text
    return page.status_code < 500 and "<html" in text and "</html>" in text and re.search(r"<h1[ >]", text) is not None
