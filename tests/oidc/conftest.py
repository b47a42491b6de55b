"""A provider on a real socket, set up by alice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from app import db
from app.accounts import models as accounts_models
from app.actor import Actor
from app.config import Config
from app.dialects.mount import Cabin
from app.oidc import models, service
from app.oidc.service import Provider, Wanted
from app.record import audit_rows
from tests.oidc.issuer import CLIENT, SECRET, Issuer

ORIGIN = "http://localhost"
HTML = {"Accept": "text/html"}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """The provider itself."""
    started = Issuer()
    yield started
    started.stop()


@pytest.fixture
def settings(settings: Config, issuer: Issuer) -> Config:
    """A server that may call it."""
    return replace(settings, outbound_allow=(issuer.place,), public_url=ORIGIN)


def wanted(issuer: Issuer, **more: Any) -> Wanted:
    """The provider as alice wants it."""
    given = {"id": "okta", "name": "Okta", "issuer": issuer.issuer, "client_id": CLIENT, "secret": SECRET}
    return Wanted(**{**given, "default_role": "member", **more})


@pytest.fixture
def okta(app: Cabin, alice: Actor, issuer: Issuer) -> Provider:
    """The provider as it is set up."""
    return service.save_provider(alice, wanted(issuer))


class Visitor:
    """Somebody's browser before the app, that goes to the provider and comes back."""

    def __init__(self, app: Cabin, issuer: Issuer) -> None:
        self.client: FlaskClient = app.test_client()
        self.issuer = issuer

    def get(self, path: str) -> Any:
        """Open a page."""
        return self.client.get(path, headers=HTML)

    def go(self, path: str = "/signin/with/okta?next=/inbox") -> str:
        """The address that the provider sends the browser back to."""
        answer = self.get(path)
        assert answer.status_code in (303, 307), answer.text
        return self.issuer.consent(answer.headers["Location"])

    def come_back(self, address: str) -> Any:
        """What the server answers to that."""
        return self.get(address.removeprefix(ORIGIN))

    def sign_in(self, path: str = "/signin/with/okta?next=/inbox") -> Any:
        """There and back."""
        return self.come_back(self.go(path))

    @property
    def is_signed_in(self) -> bool:
        """Whether the server knows who this is."""
        return bool(self.client.get("/inbox", headers=HTML).status_code == 200)


@pytest.fixture
def visitor(app: Cabin, issuer: Issuer) -> Visitor:
    """A browser of somebody whom nobody knows yet."""
    return Visitor(app, issuer)


@pytest.fixture
def another(app: Cabin, issuer: Issuer) -> Callable[[], Visitor]:
    """Further browsers."""
    return lambda: Visitor(app, issuer)


def count(table: sa.Table) -> int:
    """How many rows there are."""
    with db.read() as conn:
        return int(conn.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def traces() -> tuple[int, int, int]:
    """How many browser sessions, identities and people there are."""
    return count(accounts_models.browser_session), count(models.identity), count(accounts_models.user)


def denials() -> list[dict[str, Any]]:
    """What the audit log has of sign-ins that were refused."""
    with db.read() as conn:
        rows = conn.execute(audit_rows.select().where(audit_rows.c.action == "signin.oidc"))
        return [row.detail for row in rows if row.result == "denied"]
