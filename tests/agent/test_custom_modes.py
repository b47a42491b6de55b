"""Custom modes of the server: whoever may set its settings writes them in Roo's spelling."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from app import db, record
from app.accounts.grants import ROLES
from app.actor import Actor
from app.agent import custom_modes, mode_config
from app.agent.mode_config import BadModes
from app.db import Database
from app.errors import Conflict, Denied, Invalid, NotFound, Problem
from tests.conftest import member

DOCS: dict[str, Any] = {
    "slug": "docs-writer",
    "name": "Docs Writer",
    "roleDefinition": "You write documentation.",
    "groups": ["read", ["edit", {"fileRegex": r"\.(md|mdx)$", "description": "Markdown files only"}], "browser"],
    "whenToUse": "For documentation",
    "customInstructions": "Be brief.",
}


def given(**changes: Any) -> dict[str, Any]:
    return {**DOCS, **changes}


def test_a_mode_is_kept_as_it_was_written(either_database: Database, alice: Actor) -> None:
    custom_modes.save(alice, given(iconName="unknown keys are left alone"))
    [mode] = custom_modes.list_all(alice)
    assert mode.shown() == DOCS


def test_saving_a_slug_again_changes_its_mode(either_database: Database, alice: Actor) -> None:
    custom_modes.save(alice, DOCS)
    custom_modes.save(alice, given(slug="a-first"))
    custom_modes.save(alice, given(name="Writer", groups=[]))
    assert [(one.slug, one.name) for one in custom_modes.list_all(alice)] == [
        ("a-first", "Docs Writer"),
        ("docs-writer", "Writer"),
    ]


def test_a_removed_mode_is_gone_and_unknown(either_database: Database, alice: Actor) -> None:
    custom_modes.save(alice, DOCS)
    custom_modes.remove(alice, "docs-writer")
    assert custom_modes.list_all(alice) == []
    with pytest.raises(NotFound):
        custom_modes.remove(alice, "docs-writer")


def test_every_change_is_in_the_audit_record(database: Database, alice: Actor) -> None:
    custom_modes.save(alice, DOCS)
    custom_modes.remove(alice, "docs-writer")
    with db.read() as connection:
        rows = connection.execute(sa.select(record.audit_rows).where(record.audit_rows.c.action.like("agent.custom%")))
        assert [(row.actor, row.action, row.target) for row in rows] == [
            (alice.id, "agent.custom_mode", "docs-writer"),
            (alice.id, "agent.custom_mode_remove", "docs-writer"),
        ]


def test_members_read_them_and_do_not_write_them(database: Database, alice: Actor) -> None:
    custom_modes.save(alice, DOCS)
    vera = member(alice, "Vera", "viewer")
    assert [one.slug for one in custom_modes.list_all(vera)] == ["docs-writer"]
    assert not custom_modes.may_write(vera)
    for change in (lambda: custom_modes.save(vera, DOCS), lambda: custom_modes.remove(vera, "docs-writer")):
        with pytest.raises(Denied):
            change()


def test_strangers_and_agents_are_refused(database: Database, alice: Actor, charlie: Actor) -> None:
    agent = Actor(id="agent:x", kind="agent", user=alice.user, name="Agent", grants=ROLES["owner"])
    for actor in (None, charlie, agent):
        with pytest.raises(Problem):
            custom_modes.save(actor, DOCS)
        with pytest.raises(Problem):
            custom_modes.remove(actor, "docs-writer")
    assert custom_modes.list_all(alice) == []


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"slug": "two words"}, "slug", "slug: has 1 to 64 letters, digits and dashes"),
        ({"slug": 3}, "slug", "slug: is no text"),
        ({"name": "  "}, "name", "name: is empty"),
        ({"roleDefinition": None}, "roleDefinition", "roleDefinition: is no text"),
        ({"groups": "read"}, "groups", "groups: is no list"),
        ({"groups": ["shell"]}, "groups", "groups.1: is no group: read, edit, command, mcp"),
        ({"groups": ["read", "read"]}, "groups", "groups: names read twice"),
        ({"groups": [["edit", {"fileRegex": "("}]]}, "groups", "groups.1.fileRegex: is no pattern that can be used"),
        ({"groups": [["edit"]]}, "groups", "groups.1: is no group"),
        ({"groups": [["edit", "x"]]}, "groups", "groups.1: is no mapping"),
        ({"customInstructions": "x" * 50_001}, "customInstructions", "has more than 50000 characters"),
    ],
)
def test_what_is_wrong_with_a_mode_is_said_of_its_field(
    database: Database, alice: Actor, changes: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(Invalid) as wrong:
        custom_modes.save(alice, given(**changes))
    assert words in wrong.value.message
    assert wrong.value.field == field


def test_there_is_an_end_to_how_many_there_are(
    database: Database, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mode_config, "MOST", 1)
    custom_modes.save(alice, DOCS)
    custom_modes.save(alice, given(name="The same"))
    with pytest.raises(Invalid, match="at most 1"):
        custom_modes.save(alice, given(slug="another"))


def test_a_file_is_read_in_yaml_and_in_json() -> None:
    modes = mode_config.validated([DOCS, given(slug="other", groups=[])])
    assert mode_config.read(mode_config.written(modes)) == modes
    assert mode_config.read('{"customModes": []}') == []
    tabs = '{\n\t"customModes": [{"slug": "a", "name": "A", "roleDefinition": "R", "groups": []}]}'
    assert mode_config.read(tabs)[0].groups == ()


def test_what_was_exported_is_read_again_whatever_quotes_it_holds() -> None:
    words = 'First\n  “second”: \\"third\n\n- {fourth} # 😀\t'
    modes = mode_config.validated([given(roleDefinition=words, name="“A” \\ 'b'")])
    [mode] = mode_config.read(mode_config.written(modes))
    plain = str.maketrans("“”", '""')
    assert mode.role_definition.translate(plain) == words.translate(plain)
    assert mode.groups == modes[0].groups


def test_what_nobody_sees_in_a_file_does_not_spoil_it() -> None:
    text = "\ufeffcustomModes:\n\u00a0 - slug: a\u2013b\n\u00a0   name: \u201cA\u200b\u201d\n    roleDefinition: R\n    groups: [read]\n"
    [mode] = mode_config.read(text)
    assert (mode.slug, mode.name) == ("a-b", "A")


def test_a_new_mode_takes_no_slug_that_there_is(either_database: Database, alice: Actor) -> None:
    custom_modes.save(alice, DOCS, is_new=True)
    with pytest.raises(Conflict, match="'docs-writer' already"):
        custom_modes.save(alice, given(name="Another"), is_new=True)
    assert [one.name for one in custom_modes.list_all(alice)] == ["Docs Writer"]


def test_the_patterns_of_a_file_are_bounded_all_together() -> None:
    many = [given(slug=f"m{n}", groups=[["edit", {"fileRegex": f"^{'x' * 900}{n}$"}]]) for n in range(20)]
    with pytest.raises(BadModes, match="more than 10000 characters all together"):
        mode_config.validated(many)
    assert len(mode_config.validated(many[:10])) == 10


@pytest.mark.parametrize(
    "text",
    ["customModes: &a []", "customModes: *a", "customModes: !!python/object:os.system x", "customModes: {", "[]", "3",
     "customModes: 3", "customModes: [3]", "\x00", "a: " + "[" * 90_000, "{" * 50_000],
    ids=["anchor", "alias", "tag", "open", "list", "number", "no list", "no mode", "NUL", "deep", "deeper"],
)  # fmt: skip
def test_a_hostile_file_is_told_in_words(text: str) -> None:
    with pytest.raises(BadModes) as wrong:
        mode_config.read(text)
    assert len(str(wrong.value)) < 1_000


def test_every_wrong_mode_of_a_file_is_named() -> None:
    with pytest.raises(BadModes) as wrong:
        mode_config.validated([DOCS, given(name=1), {}, given(groups=["x"], slug="third"), DOCS])
    assert str(wrong.value).splitlines() == [
        "mode 2 (docs-writer): name: is no text.",
        "mode 3: slug: is missing.",
        "mode 3: name: is missing.",
        "mode 3: roleDefinition: is missing.",
        "mode 3: groups: is missing.",
        "mode 4 (third): groups.1: is no group: read, edit, command, mcp, or a list of one and its limits.",
        "mode 5 (docs-writer): slug: another mode before it has the same.",
    ]


def test_half_characters_and_nul_are_no_trouble(either_database: Database, alice: Actor) -> None:
    [mode] = mode_config.read(
        '{"customModes": [{"slug": "a", "name": "A\\u0000", "roleDefinition": "\\ud800", "groups": []}]}'
    )
    custom_modes.save(alice, mode)
    [kept] = custom_modes.list_all(alice)
    assert (kept.name, kept.role_definition) == ("A\ufffd", "?")
