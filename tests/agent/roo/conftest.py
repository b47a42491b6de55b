"""Tasks ask the scripted model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app import config
from app.config import Config
from tests.model_server import ModelServer


@pytest.fixture
def settings(settings: Config) -> Config:
    """A server whose tasks ask the scripted model."""
    return replace(settings, model="openai/scripted")


@pytest.fixture(autouse=True)
def in_use(settings: Config) -> None:
    """Switches are read under the limit of a server, also where none runs."""
    config.use(settings)


@pytest.fixture(autouse=True)
def model(scripted: ModelServer) -> ModelServer:
    """What it was asked, and what it is to answer."""
    return scripted
