"""Statements are compiled once for all databases of a test process, as they are for the one of a server."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import sqlalchemy as sa

from app import db


class _Compiled(dict[Any, Any]):
    """Statements of one kind of database: which of its dialect objects asks, the first part of a key, matters not."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        return super().get(key[1:], default)

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        super().__setitem__(key[1:], compiled)


_compiled: defaultdict[str, _Compiled] = defaultdict(_Compiled)
_make_engine = db._engine


def compile_once() -> None:
    """From now on."""
    db._engine = _engine


def _engine(url: str, durability: str, *, writer: bool) -> sa.Engine:
    made = _make_engine(url, durability, writer=writer)
    made.update_execution_options(compiled_cache=_compiled[made.dialect.name])
    return made
