"""Spelled lists: nothing is read or encoded twice, and nothing old is shown."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from app.spelling import Spelling


class Shelf:
    """Things by id, as a database holds them; it counts what is taken from it."""

    def __init__(self, **things: str) -> None:
        self.things = things
        self.taken: list[str] = []

    def load(self, ids: list[str]) -> Iterator[tuple[str, str]]:
        self.taken += ids
        return ((name, self.things[name]) for name in ids if name in self.things)


def loud(thing: str) -> dict[str, str]:
    return {"said": thing.upper()}


def spelled(spelling: Spelling[str], keys: list[str], shelf: Shelf) -> list[str]:
    return [one["said"] for one in orjson.loads(orjson.dumps(spelling.of(keys, shelf.load)))]


def test_a_list_is_read_once_while_nothing_changes() -> None:
    spelling, shelf = Spelling(loud), Shelf(a="one", b="two")
    for _ in range(2):
        assert spelled(spelling, ["b@1", "a@1"], shelf) == ["TWO", "ONE"]
    assert shelf.taken == ["b", "a"]


def test_only_what_changed_is_read_again() -> None:
    spelling, shelf = Spelling(loud), Shelf(a="one", b="two")
    spelled(spelling, ["a@1", "b@1"], shelf)
    shelf.things["b"] = "three"
    assert spelled(spelling, ["a@1", "b@2"], shelf) == ["ONE", "THREE"]
    assert shelf.taken == ["a", "b", "b"]


def test_what_is_still_being_written_is_read_each_time() -> None:
    spelling, shelf = Spelling(loud), Shelf(a="o")
    assert spelled(spelling, ["a@"], shelf) == ["O"]
    shelf.things["a"] = "on"
    assert spelled(spelling, ["a@"], shelf) == ["ON"]


def test_what_is_gone_by_now_is_left_out() -> None:
    assert spelled(Spelling(loud), ["a@1", "b@1"], Shelf(b="two")) == ["TWO"]


def test_what_was_used_longest_ago_makes_room() -> None:
    size = len(orjson.dumps(loud("x")))
    spelling, shelf = Spelling(loud, most=9 * size), Shelf(**dict.fromkeys("abcdefghij", "x"))
    spelled(spelling, [f"{name}@1" for name in "abcdefghi"], shelf)
    spelled(spelling, ["a@1", "j@1"], shelf)
    shelf.taken.clear()
    spelled(spelling, ["a@1", "j@1", "b@1"], shelf)
    assert shelf.taken == ["b"]


def test_one_large_thing_does_not_push_out_all_others() -> None:
    spelling, shelf = Spelling(loud, most=1000), Shelf(a="one", b="x" * 900)
    for _ in range(2):
        assert spelled(spelling, ["a@1", "b@1"], shelf) == ["ONE", "X" * 900]
    assert shelf.taken == ["a", "b", "b"]
