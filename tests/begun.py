"""The sample project of a first start, laid out once and copied for each test: git takes longer over it than most tests."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from app import config, db, git, record
from app.actor import SYSTEM
from app.config import Config
from app.projects import rows, sample


class Begun:
    """A data directory with the sample in it; `begin` leaves a test's own as a first start would."""

    def __init__(self, data_dir: Path) -> None:
        before = config._current
        config.use(Config(data_dir=data_dir, testing=True))
        sample.create()
        self._sample = sample.root()
        config._current = before
        git.run(["repack", "-adq"], self._sample)  # few files are soon copied, and soon removed
        shutil.rmtree(self._sample / ".git" / "hooks")
        root, origin = git.root_commit(self._sample), git.origin(self._sample)
        self._facts: dict[str, Any] = {"vcs": True, "git_root": root, "origin": origin}

    def begin(self) -> None:
        """Copy the sample into the data directory in use, and register it in the database in use."""
        root = sample.root()
        shutil.copytree(self._sample, root, symlinks=True)
        with db.transaction() as conn:
            project = rows.insert(conn, rows.fresh(root.name, root, SYSTEM.user, **self._facts))
            record.audit(conn, SYSTEM, "project.add", project.id, {"root": rows.shape(project)["root"]})
