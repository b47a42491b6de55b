"""Alice's key and one sandbox of hers."""

from __future__ import annotations

import pytest

from app.actor import Actor
from app.dialects.mount import Cabin
from tests.dialects.e2b.client import E2B, Envd


@pytest.fixture
def key(app: Cabin, alice: Actor) -> E2B:
    """Alice, who makes sandboxes."""
    return E2B(app, alice)


@pytest.fixture
def envd(key: E2B) -> Envd:
    """A sandbox of alice's."""
    return key.make(timeout=600)
