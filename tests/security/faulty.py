"""The server with a fault behind every route: whatever it is asked, something that nobody foresaw breaks."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import Any, NoReturn

import sqlalchemy as sa
from flask import request

import app
from app.cli import main
from app.dialects.mount import Cabin

HEADER = "X-Fault"
SECRET = "sk-live-in-a-traceback"
FAULTS: dict[str, Callable[[], Exception]] = {
    "ours": lambda: RuntimeError(f'Traceback (most recent call last): File "/app/secrets/service.py", key {SECRET}'),
    "database": lambda: sa.exc.OperationalError(
        "SELECT hash FROM token", {"x": SECRET}, sqlite3.OperationalError("locked")
    ),
    "file": lambda: OSError(2, "No such file", f"/app/var/{SECRET}"),
}


def break_views(made: Cabin) -> Cabin:
    """Have each view break if the request names a fault."""
    for endpoint, view in made.view_functions.items():
        made.view_functions[endpoint] = _broken(view)
    return made


def _broken(view: Callable[..., Any]) -> Callable[..., Any]:
    def answer(*args: Any, **kwargs: Any) -> Any:
        name = request.headers.get(HEADER)
        return _raise(name) if name else view(*args, **kwargs)

    return answer


def _raise(name: str) -> NoReturn:
    fault = FAULTS[name]()
    raise fault


if __name__ == "__main__":
    whole = app.create_app
    app.create_app = lambda config: break_views(whole(config))
    main(prog_name=f"python -m app ({os.getpid()})")
