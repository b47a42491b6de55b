"""A real server whose owner has a password."""

from __future__ import annotations

from tests.accounts.test_streams_end import running

__all__ = ["running"]
