from __future__ import annotations

import itertools

import pytest

from app.accounts import grants


@pytest.mark.parametrize(
    ("held", "key", "expected"),
    [
        ("*", "sessions:read", True),
        ("sessions:read", "sessions:read", True),
        ("sessions:read", "sessions:write", False),
        ("sessions:*", "sessions:write", True),
        ("sessions:*", "sessionsx:write", False),
        ("sessions:*", "sessions", False),
        ("tool:*", "tool:bash", True),
        ("app:crm:*", "app:crm:contacts.read", True),
        ("app:crm:*", "app:crmx:contacts.read", False),
        ("app:crm:contacts.*", "app:crm:contacts.read", False),
        ("sessions:*", "others:sessions:write", False),
        ("sessions:read", "sessions:*", False),
        ("sessions:*", "*", False),
        ("admin:secrets.manage", "secrets:read", True),
        ("secrets:*", "admin:secrets.manage", True),
        ("secrets:read", "admin:secrets.manage", False),
        ("admin:*", "admin:secrets.manage", False),
        ("admin:*", "admin:audit.read", False),
    ],
)
def test_it_matches_at_the_colon(held: str, key: str, expected: bool) -> None:
    assert grants.covers((held,), key) is expected


@pytest.mark.parametrize("text", ["*", "sessions:read", "app:crm:contacts.read", "app:crm:*", "tool:bash"])
def test_it_knows_a_grant_by_its_form(text: str) -> None:
    assert grants.is_grant(text)


@pytest.mark.parametrize("text", ["", ":read", "a:**", "*:read", "a:*:b", "a b", "a:b\n", "a:" + "x" * 300])
def test_it_refuses_what_has_not_the_form(text: str) -> None:
    assert not grants.is_grant(text)


def test_both_sides_meet_in_the_narrower_grant() -> None:
    assert grants.meet(("*",), ("sessions:read", "tool:*")) == ("sessions:read", "tool:*")
    assert grants.meet(("sessions:*", "tool:bash"), ("*",)) == ("sessions:*", "tool:bash")
    assert grants.meet(("sessions:*", "tool:bash"), ("sessions:read", "tool:*")) == (
        "sessions:read",
        "tool:bash",
    )
    assert grants.meet(("sessions:read",), ("sessions:write",)) == ()
    assert grants.meet(("secrets:*",), ("admin:secrets.manage",)) == ("admin:secrets.manage",)
    assert grants.meet(("admin:secrets.manage",), ("secrets:read", "admin:audit.read")) == ("secrets:read",)


def test_each_role_holds_what_the_lower_one_holds() -> None:
    order = ["base", "viewer", "member", "admin", "owner"]
    for lower, higher in itertools.pairwise(order):
        assert grants.covers_all(grants.ROLES[higher], grants.ROLES[lower]), (lower, higher)
        assert not grants.covers_all(grants.ROLES[lower], grants.ROLES[higher]), (lower, higher)


def test_every_built_in_grant_has_the_form() -> None:
    assert all(grants.is_grant(grant) for held in grants.ROLES.values() for grant in held)


def test_only_the_owner_holds_everything() -> None:
    assert [role for role, held in grants.ROLES.items() if "*" in held] == ["owner"]


def test_a_viewer_only_reads() -> None:
    assert all(grants.is_reading(grant) for grant in grants.ROLES["viewer"])


@pytest.mark.parametrize(
    ("key", "expected"),
    [("sessions:run", "sessions:read"), ("app:crm:contacts.update", "app:crm:contacts.read")],
)
def test_it_names_the_key_that_reads(key: str, expected: str) -> None:
    assert grants.reading(key) == expected
