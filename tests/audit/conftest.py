"""The database and the cast of accounts."""

from __future__ import annotations

from tests.accounts.conftest import alice, bob, charlie, clock, database

__all__ = ["alice", "bob", "charlie", "clock", "database"]
