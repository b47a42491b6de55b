from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from app.accounts import grants
from app.accounts.service import may, require
from app.actor import SYSTEM, Actor, Scope
from app.errors import Denied, NotFound, Unauthenticated


def actor(name: str, role: str, **more: object) -> Actor:
    made = Actor(id=name, kind="user", user=name, name=name.capitalize(), grants=grants.ROLES[role])
    return replace(made, **more)  # type: ignore[arg-type]


ALICE, BOB, CHARLIE = actor("alice", "owner"), actor("bob", "member"), actor("charlie", "base")
CAROL = actor("carol", "admin")


@dataclass(frozen=True)
class Session:
    id: str
    owner: str
    project: str = "prj_1"
    visibility: str = "private"


def test_it_gives_the_actor_back() -> None:
    assert require(BOB, "sessions:write") is BOB


def test_it_asks_a_stranger_to_sign_in() -> None:
    with pytest.raises(Unauthenticated):
        require(None, "sessions:read")
    assert not may(None, "sessions:read")


def test_it_denies_a_key_that_is_not_held() -> None:
    with pytest.raises(Denied) as caught:
        require(BOB, "settings:write")
    assert "settings:write" in caught.value.message


def test_ones_own_private_thing_is_open() -> None:
    mine = Scope("bob", "prj_1", "private")
    assert may(BOB, "sessions:read", mine)
    assert may(BOB, "sessions:run", mine)


def test_anothers_private_thing_looks_like_an_unknown_one() -> None:
    with pytest.raises(NotFound) as forbidden:
        require(BOB, "sessions:read", Session("ses_1", "alice"))
    unknown = NotFound("session", "ses_1")
    assert (forbidden.value.message, forbidden.value.code) == (unknown.message, unknown.code)


@pytest.mark.parametrize("key", ["sessions:read", "sessions:write", "approvals:answer", "tool:bash"])
def test_every_key_on_anothers_private_thing_is_not_found(key: str) -> None:
    with pytest.raises(NotFound):
        require(BOB, key, Session("ses_1", "alice"))


@pytest.mark.parametrize("visibility", ["team", "shared"])
def test_a_member_reads_the_teams_things_and_changes_them_not(visibility: str) -> None:
    thing = Session("ses_1", "alice", visibility=visibility)
    assert may(BOB, "sessions:read", thing)
    with pytest.raises(Denied):
        require(BOB, "sessions:write", thing)


def test_a_member_works_on_the_teams_files() -> None:
    assert may(BOB, "files:write", Scope("alice", "prj_1", "team"))


def test_an_admin_answers_for_the_team_but_not_in_private() -> None:
    assert may(CAROL, "approvals:answer", Scope("bob", "prj_1", "team"))
    with pytest.raises(NotFound):
        require(CAROL, "approvals:answer", Scope("bob", "prj_1", "private"))


def test_the_owner_and_the_server_reach_everything() -> None:
    for who in (ALICE, SYSTEM):
        assert may(who, "sessions:write", Scope("bob", "prj_1", "private"))


def test_without_the_right_to_read_the_teams_thing_does_not_exist() -> None:
    with pytest.raises(NotFound):
        require(CHARLIE, "sessions:read", Session("ses_1", "alice", visibility="team"))
    with pytest.raises(NotFound):
        require(CHARLIE, "sessions:write", Session("ses_1", "alice", visibility="team"))


def test_ones_own_thing_is_denied_not_hidden() -> None:
    with pytest.raises(Denied):
        require(CHARLIE, "sessions:write", Session("ses_1", "charlie"))


def test_a_token_of_a_project_sees_no_other() -> None:
    bound = replace(ALICE, kind="token", project="prj_1")
    assert may(bound, "sessions:write", Scope("bob", "prj_1", "private"))
    with pytest.raises(NotFound):
        require(bound, "sessions:read", Scope("alice", "prj_2", "team"))


@pytest.mark.parametrize(
    "key",
    [
        *("approvals:answer", "tokens:write", "settings:write", "users:write", "secrets:read", "secrets:write"),
        "sessions:share",
    ],
)
def test_an_agent_never_widens_its_own_rights(key: str) -> None:
    agent = replace(ALICE, kind="agent")
    mine = Scope("alice", "prj_1", "private")
    assert may(ALICE, key, mine)
    assert not may(agent, key)
    with pytest.raises(Denied):
        require(agent, key, mine)


def test_an_agent_works_as_its_owner_otherwise() -> None:
    agent = replace(BOB, kind="agent")
    assert may(agent, "files:write", Scope("bob", "prj_1", "private"))
    assert not may(agent, "files:write", Scope("alice", "prj_1", "private"))


def test_a_visitor_reads_one_session_and_lists_nothing() -> None:
    visitor = Actor("share:x", "visitor", "share:x", "A visitor", ("sessions:read", "events:read"), session="ses_1")
    assert may(visitor, "sessions:read", Session("ses_1", "alice"))
    assert may(visitor, "events:read")
    for other in (Session("ses_2", "alice", visibility="team"), Scope("alice", "prj_1", "team")):
        with pytest.raises(NotFound):
            require(visitor, "sessions:read", other)
    with pytest.raises(Denied):
        require(visitor, "sessions:write", Session("ses_1", "alice"))
    with pytest.raises(Denied):
        require(visitor, "sessions:read")
    assert not may(replace(visitor, session=None), "sessions:read", Session("ses_1", "alice"))
