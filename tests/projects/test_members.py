"""Who sees a project: its people alone, by every list as by `require`; what they were lent there; and whose word it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from app import db, dispatch, record
from app.accounts import grants
from app.accounts import service as accounts
from app.actor import Actor, Credentials
from app.approvals import service as approvals
from app.errors import Conflict, Denied, Invalid, NotFound
from app.projects import service as projects
from app.projects.service import Place, Project
from app.sessions import service as sessions
from app.sessions.service import Session
from tests.approvals import asking
from tests.conftest import member

ANSWER = "others:approvals:answer"


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory outside of the server's own data."""
    return tmp_path_factory.mktemp("code").resolve()


def now(actor: Actor, **more: object) -> Actor:
    """Somebody as they are now."""
    found = accounts.acting_for(actor.user, "system", **more)  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def nobody_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine takes what is queued."""
    monkeypatch.setattr(dispatch, "wake", lambda *_work: None)


@pytest.fixture
def carol(alice: Actor) -> Actor:
    """Carol is an admin."""
    return member(alice, "Carol", "admin")


@pytest.fixture
def dave(alice: Actor) -> Actor:
    """Dave is a member of the team."""
    return member(alice, "Dave")


def project_of(owner: Actor, place: Path, name: str = "vault") -> Project:
    (place / name).mkdir()
    return projects.add(owner, str(place / name))


def session_in(project: Project, owner: Actor, **more: str) -> Session:
    made = sessions.create(owner, Place(project, project.path, project.path), title=f"{owner.name}'s", **more)
    sessions.send(owner, made.id, [{"type": "text", "text": "crowbar"}], no_reply=True)
    return made


def ask_in(project: Project, owner: Actor, **more: str) -> approvals.Ask:
    hold = asking.hold_of(owner, project.path, project.id, **more)
    ask = asking.runs(hold, "git push")
    sessions.wait(hold, lambda connection: approvals.is_waiting(connection, hold.run_id))
    return ask


def listed(actor: Actor) -> set[str]:
    """The sessions that the lists, the counts and the search have for somebody: all of them the same ones."""
    found = {one.id for one in sessions.find_page(actor, limit=500)}
    begun = sessions.by_creation(actor, limit=500)[0]
    assert {one.id for one in begun if one.said == "crowbar"} == {one.id for one in begun} == found
    assert sessions.by_creation(actor)[1] == len(found)
    assert sum(sessions.count_by_state(actor).values()) == len(found)
    assert sum(one.sessions for one in sessions.count_by_project(actor).values()) == len(found)
    assert {session.id for session, _where in sessions.find_words(actor, "crowbar", 500)} == found
    return found


def test_lists_and_rights_say_the_same_of_every_session(
    either_database: db.Database, alice: Actor, bob: Actor, carol: Actor, dave: Actor, place: Path
) -> None:
    shop, vault = project_of(carol, place, "shop"), project_of(carol, place)
    projects.put_member(carol, vault.id, bob.user)
    made = [
        session_in(project, owner, visibility=visibility)
        for project in (shop, vault)
        for owner in (alice, bob, carol, dave)
        for visibility in ("team", "private")
    ]
    projects.set_visibility(carol, vault.id, "members")
    readers = {one.name: now(one) for one in (alice, bob, carol, dave)}
    readers |= {"Bob in the shop": now(bob, project=shop.id), "Dave in the vault": now(dave, project=vault.id)}
    readers["Bob's agent"] = accounts.acting_for(bob.user, "agent", scopes=("sessions:*",)) or bob
    for name, reader in readers.items():
        may = {one.id for one in made if accounts.may(reader, "sessions:read", one)}
        assert listed(reader) == may, name
        known = sessions.labels(reader, [one.id for one in made])
        assert set(known) == may, name
        assert set(sessions.get_many(reader, [one.id for one in made])) == may, name
    seen = {name: {one.project for one in made if one.id in listed(reader)} for name, reader in readers.items()}
    both, only = {shop.id, vault.id}, {shop.id}
    expected = {"Alice": both, "Owner": both, "Bob": both, "Carol": both, "Dave": only, "Bob in the shop": only}
    assert seen == {name: expected.get(name, both if "Bob" in name else set()) for name in readers}


def test_everybody_is_looked_up_at_once_as_each_is_alone(
    either_database: db.Database, alice: Actor, bob: Actor, carol: Actor, dave: Actor, place: Path
) -> None:
    vault = project_of(carol, place)
    projects.put_member(carol, vault.id, bob.user)
    projects.set_visibility(carol, vault.id, "members")
    accounts.lend_answers(alice, dave.user)
    accounts.create_role(alice, "reviewer", inherits=["viewer"], permissions=["files:*"])
    accounts.set_roles(alice, bob.user, ["reviewer"])
    gone, nobody = member(alice, "Gone"), member(alice, "Nobody")
    accounts.revoke_user(alice, gone.user)
    with db.transaction() as conn:
        conn.execute(sa.text("DELETE FROM role_assignment WHERE user_id = :who"), {"who": nobody.user})
    asks, asked = now(carol), list[object]()

    def hear(*given: object) -> None:
        asked.append(given[2])

    sa.event.listen(sa.Engine, "before_cursor_execute", hear)
    everybody = accounts.list_acting(asks)
    sa.event.remove(sa.Engine, "before_cursor_execute", hear)
    assert len(asked) == 3
    assert everybody == [now(one) for one in (alice, bob, carol, dave, nobody)]
    assert vault.id in everybody[3].closed
    assert everybody[3].lent
    assert "files:*" in everybody[1].grants
    assert everybody[4].grants == ()


def test_who_was_taken_out_sees_not_even_their_own_and_all_of_it_again_once_they_are_back(
    either_database: db.Database, alice: Actor, bob: Actor, place: Path
) -> None:
    vault = project_of(alice, place)
    projects.set_visibility(alice, vault.id, "members")
    projects.put_member(alice, vault.id, bob.user)
    mine = session_in(vault, now(bob))
    projects.remove_member(alice, vault.id, bob.user)
    for look in (
        lambda: sessions.get(now(bob), mine.id),
        lambda: sessions.update(now(bob), mine.id, title="Mine"),
        lambda: sessions.delete(now(bob), mine.id),
    ):
        with pytest.raises(NotFound) as refused:
            look()
        assert refused.value.message == NotFound("session", mine.id).message
    assert vault.id not in {one.id for one in projects.list_all(now(bob))}
    with pytest.raises(NotFound):
        projects.access_of(now(bob), vault.id)
    projects.put_member(alice, vault.id, bob.user)
    assert sessions.get(now(bob), mine.id).title == mine.title


def test_nobody_has_the_agent_of_somebody_work_who_is_out(alice: Actor, bob: Actor, place: Path) -> None:
    vault = project_of(alice, place)
    theirs = session_in(vault, bob)
    said = [{"type": "text", "text": "Go on"}]
    sessions.send(alice, theirs.id, said)
    projects.set_visibility(alice, vault.id, "members")
    with pytest.raises(Conflict, match="Bob, whose session this is, is not in the project any more"):
        sessions.send(alice, theirs.id, said)
    mine = sessions.fork(alice, Place(vault, vault.path, vault.path), theirs.id)
    assert sessions.send(alice, mine.id, said)[1]
    projects.put_member(alice, vault.id, bob.user)
    assert sessions.send(alice, theirs.id, said)[1]


def test_nobody_begins_anything_in_a_project_that_is_closed_to_them(alice: Actor, bob: Actor, place: Path) -> None:
    vault = project_of(alice, place)
    projects.set_visibility(alice, vault.id, "members")
    with pytest.raises(NotFound):
        session_in(vault, now(bob))
    with pytest.raises(Denied, match="is not a project"):
        projects.resolve(now(bob), vault.root)
    assert projects.list_refusals(alice) == []


def test_who_closes_a_project_of_somebody_else_is_in_it(alice: Actor, carol: Actor, dave: Actor, place: Path) -> None:
    vault = project_of(alice, place)
    projects.set_visibility(carol, vault.id, "members")
    access = projects.access_of(now(carol), vault.id)
    assert (access.visibility, access.owner, [one.user_id for one in access.members]) == (
        "members",
        alice.user,
        [carol.user],
    )
    projects.set_visibility(now(carol), vault.id, "team")
    assert vault.id in {one.id for one in projects.list_all(now(dave))}


def test_only_its_owner_and_who_may_change_others_projects_say_who_sees_it(
    alice: Actor, bob: Actor, carol: Actor, place: Path
) -> None:
    accounts.create_role(alice, "librarian", inherits=["member"], permissions=["projects:write"])
    accounts.assign_role(alice, bob.user, "librarian")
    own, other = project_of(now(bob), place, "own"), project_of(alice, place)
    projects.set_visibility(now(bob), own.id, "members")
    with pytest.raises(Denied, match="projects:write"):
        projects.set_visibility(now(bob), other.id, "members")
    with pytest.raises(NotFound):
        projects.put_member(now(carol), own.id, carol.user)  # an admin, who is not in it
    with pytest.raises(Denied):
        projects.put_member(now(bob), own.id, carol.user, [ANSWER])
    projects.put_member(now(bob), own.id, carol.user, ["others:files:write"])  # which members hold
    assert own.id in {one.id for one in projects.list_all(now(carol))}


@pytest.mark.parametrize("key", ["approvals:answer", "*", "others:*", "others:settings:write", "tool:bash", ""])
def test_only_keys_over_what_others_made_are_lent(alice: Actor, bob: Actor, place: Path, key: str) -> None:
    vault = project_of(alice, place)
    with pytest.raises(Invalid, match="can be lent"):
        projects.put_member(alice, vault.id, bob.user, [key])
    assert projects.access_of(alice, vault.id).members == ()


def test_a_lent_key_answers_there_and_nowhere_else(
    either_database: db.Database, alice: Actor, bob: Actor, dave: Actor, place: Path
) -> None:
    vault, shop = project_of(alice, place), project_of(alice, place, "shop")
    here, there, private = ask_in(vault, dave), ask_in(shop, dave), ask_in(vault, dave, visibility="private")
    projects.put_member(alice, vault.id, bob.user, [ANSWER])
    assert approvals.waiting_ids(now(bob)) == ([here.id], [there.id])
    with pytest.raises(Denied):
        approvals.answer(now(bob), there.id, "once")
    with pytest.raises(NotFound):
        approvals.answer(now(bob), private.id, "once")
    assert approvals.answer(now(bob), here.id, "once").state == "answered"
    again = ask_in(vault, dave)
    projects.remove_member(alice, vault.id, bob.user)
    with pytest.raises(Denied):
        approvals.answer(now(bob), again.id, "once")


def test_what_is_lent_needs_the_key_for_ones_own_too(alice: Actor, dave: Actor, place: Path) -> None:
    vault, vera = project_of(alice, place), member(alice, "Vera", "viewer")
    waiting = ask_in(vault, dave)
    projects.put_member(alice, vault.id, vera.user, [ANSWER])
    with pytest.raises(Denied):
        approvals.answer(now(vera), waiting.id, "once")


def test_others_answer_for_somebody_everywhere_but_in_private_until_that_is_taken_back(
    either_database: db.Database, alice: Actor, bob: Actor, dave: Actor, place: Path
) -> None:
    shop, vault = project_of(alice, place, "shop"), project_of(alice, place)
    asks = [ask_in(shop, dave), ask_in(vault, dave)]
    private, others = ask_in(shop, dave, visibility="private"), ask_in(shop, alice)
    accounts.lend_answers(dave, bob.user)
    accounts.lend_answers(dave, bob.user)
    assert approvals.waiting_ids(now(bob)) == ([one.id for one in asks], [others.id])
    with pytest.raises(NotFound):
        approvals.answer(now(bob), private.id, "once")
    approvals.answer(now(bob), asks[0].id, "once")
    mine, lent = accounts.my_loans(dave), accounts.my_loans(bob)
    assert ([one.user_id for one in mine[0]], [one.owner_name for one in lent[1]]) == ([bob.user], ["Dave"])
    accounts.take_back_answers(dave, bob.user)
    with pytest.raises(Denied):
        approvals.answer(now(bob), asks[1].id, "once")
    with pytest.raises(NotFound):
        accounts.take_back_answers(dave, bob.user)


def test_what_was_lent_ends_with_the_person_on_either_side(alice: Actor, bob: Actor, dave: Actor, place: Path) -> None:
    vault = project_of(alice, place)
    accounts.lend_answers(dave, bob.user)
    accounts.lend_answers(bob, dave.user)
    projects.put_member(alice, vault.id, dave.user, [ANSWER])
    accounts.revoke_user(alice, dave.user)
    assert (now(bob).lent, accounts.my_loans(bob)) == (frozenset(), ([], []))
    assert projects.access_of(alice, vault.id).members == ()


def test_a_token_of_theirs_holds_what_is_lent_as_far_as_its_scopes_say(
    alice: Actor, bob: Actor, dave: Actor, place: Path
) -> None:
    vault, shop = project_of(alice, place), project_of(alice, place, "shop")
    here = ask_in(vault, dave)
    projects.put_member(alice, vault.id, bob.user, [ANSWER])
    projects.set_visibility(alice, vault.id, "members")

    def by(name: str, *scopes: str, project: str | None = None, is_agent: bool = False) -> Actor:
        _token, secret = accounts.mint_token(now(bob), name, scopes, project=project, is_agent=is_agent)
        found = accounts.authenticate(Credentials(bearer=secret))
        assert found is not None
        return found

    refused = {
        "own": by("own", "approvals:*", "sessions:read"),
        "elsewhere": by("elsewhere", "*", project=shop.id),
        "agent": by("agent", "*", is_agent=True),
    }
    for name, actor in refused.items():
        assert not accounts.may(actor, "approvals:answer", here), name
    assert accounts.may(by("all", "*"), "approvals:answer", here)
    assert accounts.may(by("named", ANSWER, "approvals:*", "sessions:read"), "approvals:answer", here)
    projects.remove_member(alice, vault.id, bob.user)
    assert not accounts.may(by("anew", "*"), "approvals:read", here)


def test_whoever_acts_for_the_owner_of_the_server_sees_every_project(alice: Actor, carol: Actor, place: Path) -> None:
    vault = project_of(carol, place)
    projects.set_visibility(carol, vault.id, "members")
    agent = accounts.acting_for(alice.user, "agent", scopes=("projects:read",))
    assert agent is not None
    assert vault.id in {one.id for one in projects.list_all(agent)}
    assert grants.EVERYTHING not in agent.grants


def test_a_token_that_holds_less_or_is_bound_lends_nothing(alice: Actor, bob: Actor, dave: Actor) -> None:
    for name, scopes, project in (("a", ("approvals:*",), None), ("b", ("*",), "prj_x")):
        _token, secret = accounts.mint_token(bob, name, scopes, project=project)
        actor = accounts.authenticate(Credentials(bearer=secret))
        assert actor is not None
        with pytest.raises(Denied):
            accounts.lend_answers(actor, dave.user)
    with pytest.raises(Invalid):
        accounts.lend_answers(bob, bob.user)
    with pytest.raises(NotFound):
        accounts.lend_answers(bob, "usr_nobody")


def test_no_other_project_opens_the_files_of_one_that_only_some_see(alice: Actor, carol: Actor, place: Path) -> None:
    (place / "code" / "vault" / "deep").mkdir(parents=True)
    outer = projects.add(alice, str(place / "code"))
    vault = projects.add(alice, str(place / "code" / "vault"))
    with pytest.raises(Conflict, match="It lies in code"):
        projects.set_visibility(alice, vault.id, "members")
    projects.remove(alice, outer.id)
    projects.set_visibility(alice, vault.id, "members")
    for path in ("code", "code/vault/deep", "code/vault"):
        with pytest.raises(Invalid):
            projects.add(now(carol), str(place / path))
    projects.remove(alice, vault.id)
    with pytest.raises(Invalid, match="not open to you"):
        projects.add(now(carol), str(place / "code" / "vault"))
    assert projects.add(alice, str(place / "code" / "vault")).visibility == "members"


def test_public_links_in_it_open_only_what_its_owner_shares(
    either_database: db.Database, alice: Actor, bob: Actor, carol: Actor, place: Path
) -> None:
    vault = project_of(carol, place)
    projects.put_member(carol, vault.id, bob.user)
    theirs, owners = session_in(vault, bob), session_in(vault, carol)
    slugs = [sessions.share(one, of.id).share_slug or "" for one, of in ((bob, theirs), (carol, owners))]
    assert all(sessions.find_visitor(slug) for slug in slugs)
    projects.set_visibility(carol, vault.id, "members")
    assert [bool(sessions.find_visitor(slug)) for slug in slugs] == [False, True]
    with pytest.raises(Denied, match="Only its people"):
        sessions.share(now(bob), theirs.id)
    projects.set_visibility(carol, vault.id, "team")
    assert all(sessions.find_visitor(slug) for slug in slugs)


def test_each_of_these_is_written_down(alice: Actor, bob: Actor, place: Path) -> None:
    vault = project_of(alice, place)
    projects.set_visibility(alice, vault.id, "members")
    projects.set_visibility(alice, vault.id, "members")
    projects.put_member(alice, vault.id, bob.user, [ANSWER])
    projects.remove_member(alice, vault.id, bob.user)
    accounts.lend_answers(alice, bob.user)
    accounts.take_back_answers(alice, bob.user)
    with db.read() as conn:
        rows = conn.execute(sa.select(record.audit_rows).order_by(record.audit_rows.c.seq)).all()
    found = [(row.action, row.target, row.detail) for row in rows if row.action.startswith(("project.", "rights."))]
    key = {"key": ANSWER, "owner": alice.user}
    assert found[1:] == [
        ("project.visibility", vault.id, {"before": "team", "after": "members"}),
        ("project.member", vault.id, {"person": bob.user, "keys": [ANSWER]}),
        ("project.member_remove", vault.id, {"person": bob.user}),
        ("rights.lend", bob.user, key),
        ("rights.take_back", bob.user, key),
    ]


def test_why_somebody_may_tells_what_they_were_lent(alice: Actor, bob: Actor, dave: Actor, place: Path) -> None:
    vault = project_of(alice, place)
    projects.put_member(alice, vault.id, bob.user, [ANSWER])
    accounts.lend_answers(dave, bob.user)
    found = accounts.why(alice, bob.user, ANSWER)
    assert (found.may, [(one.project, one.owner) for one in found.lent]) == (False, [(vault.id, ""), ("", dave.user)])
    in_vault, elsewhere = ask_in(vault, alice), ask_in(project_of(alice, place, "shop"), alice)
    reason = accounts.why(alice, bob.user, "approvals:answer", in_vault)
    assert reason.may
    assert "were lent in its project" in reason.thing
    assert not accounts.why(alice, bob.user, "approvals:answer", elsewhere).may
    projects.set_visibility(alice, vault.id, "members")
    reason = accounts.why(alice, dave.user, "approvals:answer", in_vault)
    assert not reason.may
    assert "does not exist" in reason.thing


def test_to_know_how_far_somebody_comes_takes_one_query(either_database: db.Database, alice: Actor, bob: Actor) -> None:
    _token, secret = accounts.mint_token(bob, "script")
    asked: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_more: object) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            asked.append(statement)

    engine = db.current()._reads
    accounts.forget()
    sa.event.listen(engine, "before_cursor_execute", note)
    for _ in range(3):
        assert accounts.authenticate(Credentials(bearer=secret)) is not None
    sa.event.remove(engine, "before_cursor_execute", note)
    # Who it is and how far they come; then both are known for a second.
    assert len(asked) == 2
