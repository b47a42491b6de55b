"""What was looked up lately is not looked up again, until it is old, or wanted anew."""

from __future__ import annotations

from app.lately import Lately


def test_one_look_serves_all_who_ask_in_time() -> None:
    looks: list[str] = []
    kept: Lately[str, int] = Lately(3600, 2)

    def look(key: str, *, anew: bool = False) -> int:
        return kept.get(key, lambda: looks.append(key) or len(looks), anew=anew)  # type: ignore[func-returns-value]

    assert [look("a"), look("a"), look("b"), look("a")] == [1, 1, 2, 1]
    assert look("a", anew=True) == look("a") == 3
    kept.forget("a")
    assert look("a") == 4
    look("c")
    assert len(kept._known) <= 2


def test_what_is_old_is_looked_up_again() -> None:
    kept: Lately[str, object] = Lately(-1, 2)
    assert kept.get("a", object) is not kept.get("a", object)
