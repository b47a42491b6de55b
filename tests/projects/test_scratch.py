"""The server's own directories go with all that commands have left in them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from app.projects import scratch
from tests.files.test_paths import dig


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A directory to be cleared; another beside it, which stays."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


def test_a_directory_goes_however_deep_it_is(made: Path, caplog: pytest.LogCaptureFixture) -> None:
    outside = made.with_name("outside")
    dig(made / "pit", outside)
    with caplog.at_level(logging.WARNING):
        scratch.clear(made)
    assert sorted(made.parent.iterdir()) == [outside]
    assert [file.name for file in outside.iterdir()] == ["file"]
    assert not caplog.records


@pytest.mark.parametrize("mode", [0o000, 0o500, 0o300])
def test_a_directory_goes_though_what_is_in_it_is_closed_to_its_owner(made: Path, mode: int) -> None:
    (made / "outer" / "inner").mkdir(parents=True)
    (made / "outer" / "inner" / "file").touch()
    for folder in (made / "outer" / "inner", made / "outer"):
        folder.chmod(mode)
    scratch.clear(made)
    assert not made.exists()
