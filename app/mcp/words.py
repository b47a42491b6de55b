"""What to tell people of an error that a server brought about."""

from __future__ import annotations

from pydantic import ValidationError

from app import redact
from app.errors import Problem

LONGEST = 1_000


def words_of(wrong: BaseException) -> str:
    """What to tell of an error, the innermost of a group; "" for one that only took too long."""
    while isinstance(wrong, BaseExceptionGroup):
        wrong = wrong.exceptions[0]
    if isinstance(wrong, TimeoutError) and not str(wrong):
        return ""
    if isinstance(wrong, Problem):
        return wrong.message
    if isinstance(wrong, FileNotFoundError):
        return "There is no such command."
    if isinstance(wrong, ValidationError):
        first = wrong.errors()[0]
        return redact.text(f"Its answer is none of the protocol: {'.'.join(map(str, first['loc']))}: {first['msg']}")
    said = str(wrong) or type(wrong).__name__
    return redact.inside(said[:LONGEST], ends_cut=len(said) > LONGEST)
