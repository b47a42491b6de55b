"""RootCX's health and status: at the root, for strangers and for who may read the system."""

from __future__ import annotations

import pytest

from app import __version__, db
from app.actor import Actor
from app.dialects.mount import Cabin
from app.system import service
from tests.conftest import Caller


@pytest.mark.parametrize("path", ["/health", "/rootcx/health", "/health?full", "/health?full=true"])
def test_a_stranger_hears_that_it_answers_and_no_more(stranger: Caller, path: str) -> None:
    answer = stranger.get(path)
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


@pytest.mark.parametrize("query", ["full", "full=", "full=1"])
def test_who_may_read_the_system_hears_what_it_uses(call: Caller, query: str) -> None:
    found = call.get(f"/health?{query}").json
    assert set(found) == {"status", "memory", "cpu", "disk", "database"}
    assert found["database"] == {"reachable": True}
    assert 0 < found["memory"]["current_bytes"] <= found["memory"]["limit_bytes"]
    assert found["disk"]["used_bytes"] + found["disk"]["available_bytes"] == found["disk"]["total_bytes"]
    assert call.get("/health").json == {"status": "ok"}


def test_the_status_has_the_real_servers_parts(call: Caller, stranger: Caller) -> None:
    assert call.get("/api/v1/status").json == {
        "runtime": {"version": __version__, "state": "online"},
        "postgres": {"state": "online", "port": None, "data_dir": None},
        "forge": {"state": "offline", "port": None},
    }
    assert stranger.get("/api/v1/status").json == {"error": "missing or malformed authorization header"}


def test_a_database_that_does_not_answer_is_said_to(app: Cabin, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = db.Database("postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setattr(db, "_current", lost)
    assert service.has_database(alice) is False
    lost.close()
