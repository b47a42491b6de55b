"""Tasks ask the scripted model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.config import Config
from tests.model_server import ModelServer


@pytest.fixture
def settings(settings: Config) -> Config:
    """A server whose tasks ask the scripted model."""
    return replace(settings, model="openai/scripted")


@pytest.fixture(autouse=True)
def model(scripted: ModelServer) -> ModelServer:
    """What it was asked, and what it is to answer."""
    return scripted
