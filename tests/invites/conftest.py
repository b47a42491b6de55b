"""Links, and browsers that come by them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from app import db
from app.accounts import models as accounts_models
from app.dialects.mount import Cabin

ORIGIN = "http://localhost"
HTML = {"Accept": "text/html", "Origin": ORIGIN}


class Guest:
    """Somebody's browser, in which nobody is signed in."""

    def __init__(self, app: Cabin) -> None:
        self.client = app.test_client()

    def get(self, url: str) -> Any:
        """Open an address."""
        return self.client.get(url.removeprefix(ORIGIN), headers=HTML)

    def post(self, path: str, **fields: str) -> Any:
        """Send a form."""
        return self.client.post(path, data=fields, headers=HTML)

    def open(self, url: str) -> Any:
        """Open a link, as far as its page with the button."""
        answer = self.get(url)
        assert answer.status_code == 303, answer.text
        assert answer.headers["Location"].removeprefix(ORIGIN) == "/join"
        return self.get("/join")

    @property
    def is_signed_in(self) -> bool:
        """Whether the server knows who this is."""
        return bool(self.get("/account").status_code == 200)


@pytest.fixture
def guest(app: Cabin) -> Guest:
    """A browser of somebody whom nobody knows."""
    return Guest(app)


def secret_of(url: str) -> str:
    """The secret of a link."""
    return parse_qs(urlsplit(url).query)["token"][0]


def link_in(text: str) -> str:
    """The link in a text."""
    found = re.search(r"http://\S+/join\?token=\w+", text)
    assert found, text
    return found.group(0)


def sessions() -> int:
    """How many browsers and clients are signed in."""
    with db.read() as conn:
        return sum(
            int(conn.scalar(sa.select(sa.func.count()).select_from(table)) or 0)
            for table in (accounts_models.browser_session, accounts_models.client_session)
        )
