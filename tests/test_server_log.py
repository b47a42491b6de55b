"""What a server and a worker write into their logs, and what they keep out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from app import config, server
from app.config import Config

CALLS_OUT = ("httpx2", "httpx")


class Begun(Exception):
    """It got as far as its settings."""


@pytest.fixture(autouse=True)
def as_at_a_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A log of all that is of interest, whose loggers nobody has told anything yet."""
    monkeypatch.setattr(logging.root, "level", logging.INFO)
    before = {name: logging.getLogger(name).level for name in CALLS_OUT}
    for name in CALLS_OUT:
        logging.getLogger(name).setLevel(logging.NOTSET)
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize("begin", [server.serve, server.work])
def test_the_addresses_that_are_called_are_not_logged(
    settings: Config, monkeypatch: pytest.MonkeyPatch, begin: Callable[[Config], None]
) -> None:
    def stop(_settings: Config) -> None:
        raise Begun

    monkeypatch.setattr(config, "use", stop)
    with pytest.raises(Begun):
        begin(settings)
    assert [logging.getLogger(name).isEnabledFor(logging.INFO) for name in CALLS_OUT] == [False, False]
