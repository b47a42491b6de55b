"""The whole application in front of the cast, in place of the bare database that the verbs' own tests have."""

from tests.conftest import alice, bob, charlie, database

__all__ = ["alice", "bob", "charlie", "database"]
