"""Roles that are made here: what they come to, who may make and give them, and that somebody stays the owner."""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from app import db, record
from app.accounts import keys, models, roles, service
from app.actor import Actor, Credentials, Scope
from app.errors import Conflict, Denied, Invalid, NotFound
from tests.conftest import member
from tests.floor_plan import calls, modules
from tests.patience import PATIENCE


def now(actor: Actor) -> Actor:
    """The actor with the rights of now."""
    found = service.acting_for(actor.user, "system")
    assert found is not None
    return found


def audited(action: str) -> list[tuple[str, dict[str, Any]]]:
    with db.read() as conn:
        rows = conn.execute(sa.select(record.audit_rows).where(record.audit_rows.c.action == action))
        return [(row.target, row.detail) for row in rows]


def told() -> list[str]:
    """Whose rights have changed, in order."""
    with db.read() as conn:
        rows = conn.execute(sa.select(record.events).where(record.events.c.kind == "accounts.rights_changed"))
        return [row.data["user_id"] for row in rows]


def each_raises(problem: type[Exception], *attempts: Callable[[], Any], match: str | None = None) -> None:
    for attempt in attempts:
        with pytest.raises(problem, match=match):
            attempt()


def at_once(*acts: Callable[[], Any]) -> list[str]:
    """What each act came to when all began together: "done", or the name of its error."""
    together, outcomes = threading.Barrier(len(acts)), ["" for _ in acts]

    def run(place: int) -> None:
        together.wait(PATIENCE)
        try:
            acts[place]()
            outcomes[place] = "done"
        except Exception as problem:  # noqa: BLE001 - it is the outcome
            outcomes[place] = type(problem).__name__

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return sorted(outcomes)


def test_a_person_holds_what_all_their_roles_hold_together(alice: Actor, bob: Actor) -> None:
    service.create_role(alice, "releases", permissions=["others:approvals:answer", "app:crm:contacts.read"])
    service.assign_role(alice, bob.id, "releases")
    held = now(bob)
    assert service.may(held, "others:approvals:answer")
    assert service.may(held, "app:crm:contacts.read")
    assert service.may(held, "sessions:run")
    assert not service.may(held, "settings:write")


def test_a_role_brings_what_it_inherits(alice: Actor, bob: Actor) -> None:
    service.create_role(alice, "a", inherits=["b"])
    service.create_role(alice, "b", inherits=["viewer"], permissions=["tool:deploy"])
    service.set_roles(alice, bob.id, ["a"])
    assert service.may(now(bob), "tool:deploy")
    assert service.may(now(bob), "sessions:read")
    assert not service.may(now(bob), "sessions:run")
    assert service.permissions_of(alice, bob.id).roles == ("a", "b", "viewer")


def test_a_role_may_name_one_that_comes_later_and_then_grows(alice: Actor, bob: Actor) -> None:
    service.create_role(alice, "early", inherits=["later"])
    service.set_roles(alice, bob.id, ["early"])
    assert now(bob).grants == ()
    service.create_role(alice, "later", permissions=["audit:read"])
    assert now(bob).grants == ("audit:read",)
    assert told() == [bob.id] * 3


def test_a_key_that_only_looks_like_a_wildcard_means_itself(alice: Actor, bob: Actor) -> None:
    service.create_role(alice, "crm", permissions=["app:crm:contacts.*", "app:shop:*"])
    service.set_roles(alice, bob.id, ["crm"])
    assert not service.may(now(bob), "app:crm:contacts.read")
    assert service.may(now(bob), "app:shop:orders.read")


def test_a_ring_is_refused(alice: Actor) -> None:
    service.create_role(alice, "a", inherits=["b"])
    service.create_role(alice, "b", inherits=["c"])
    each_raises(
        Invalid,
        lambda: service.create_role(alice, "c", inherits=["a"]),
        lambda: service.create_role(alice, "d", inherits=["d"]),
        lambda: service.update_role(alice, "b", inherits=["a"]),
        match="cycle",
    )


def test_a_ring_that_is_there_all_the_same_is_walked_once() -> None:
    among = {name: roles.Role(name, "", (other,), (f"x:{name}",)) for name, other in (("a", "b"), ("b", "a"))}
    assert roles.granted(["a"], among) == ("x:a", "x:b")
    chain = {f"r{n}": roles.Role(f"r{n}", "", (f"r{n + 1}",), (f"x:{n}",)) for n in range(200)}
    assert len(roles.granted(["r0"], chain)) == 64


@pytest.mark.parametrize(
    ("name", "permissions", "inherits"),
    [
        ("", [], []),
        (" ", [], []),
        ("x" * 65, [], []),
        ("a/b", [], []),
        ("a\x00b", [], []),
        ("owner", [], []),
        ("Admin", [], []),
        ("base", [], []),
        ("fine", ["sessions write"], []),
        ("fine", [""], []),
        ("fine", ["x" * 201], []),
        ("fine", ["a:b"] + [f"a:{n}" for n in range(200)], []),
        ("fine", [], [f"r{n}" for n in range(33)]),
    ],
)
def test_it_refuses_a_role_without_form(alice: Actor, name: str, permissions: list[str], inherits: list[str]) -> None:
    with pytest.raises(Invalid):
        service.create_role(alice, name, permissions=permissions, inherits=inherits)
    assert [role for role in service.list_roles(alice) if not role.is_built_in] == []


def test_the_built_in_roles_stay_as_they_are(alice: Actor) -> None:
    for name in roles.BUILT_IN:
        with pytest.raises(Invalid, match="built in"):
            service.update_role(alice, name, permissions=["*"])
        with pytest.raises(Invalid, match="built in"):
            service.delete_role(alice, name)


def test_nobody_makes_gives_or_widens_what_they_do_not_hold(alice: Actor, bob: Actor) -> None:
    carol = member(alice, "Carol", "admin")
    service.create_role(alice, "all", permissions=["*"])
    service.create_role(carol, "mine", permissions=["audit:read"])
    each_raises(
        Denied,
        lambda: service.create_role(carol, "more", permissions=["*"]),
        lambda: service.create_role(carol, "more", inherits=["owner"]),
        lambda: service.create_role(carol, "more", inherits=["all"]),
        lambda: service.create_role(carol, "more", permissions=["billing:pay"]),
        lambda: service.update_role(carol, "mine", permissions=["audit:read", "*"]),
        lambda: service.update_role(carol, "mine", inherits=["owner"]),
        lambda: service.update_role(carol, "all", permissions=["audit:read"]),
        lambda: service.delete_role(carol, "all"),
        lambda: service.assign_role(carol, bob.id, "all"),
        lambda: service.assign_role(carol, carol.id, "owner"),
        lambda: service.set_roles(carol, bob.id, ["owner"]),
        lambda: service.revoke_role(carol, alice.id, "owner"),
    )
    assert now(bob).grants == bob.grants
    service.assign_role(carol, bob.id, "mine")
    assert service.may(now(bob), "audit:read")


def test_a_wide_key_of_rootcxs_gives_none_that_is_ours(alice: Actor, bob: Actor) -> None:
    service.create_role(alice, "apps", permissions=["admin:*", "users:write"])
    service.set_roles(alice, bob.id, ["apps"])
    with pytest.raises(Denied):
        service.create_role(now(bob), "vault", permissions=["admin:secrets.manage"])
    carol = member(alice, "Carol", "admin")
    service.create_role(carol, "vault", permissions=["admin:secrets.manage"])


def test_who_may_not_change_people_changes_no_roles(bob: Actor, alice: Actor) -> None:
    each_raises(
        Denied,
        lambda: service.create_role(bob, "x"),
        lambda: service.update_role(bob, "x", description=""),
        lambda: service.delete_role(bob, "x"),
        lambda: service.assign_role(bob, bob.id, "viewer"),
        lambda: service.revoke_role(bob, bob.id, "member"),
        lambda: service.set_roles(bob, bob.id, []),
        lambda: service.list_assignments(bob),
        lambda: service.permissions_of(bob, alice.id),
    )


def test_an_agent_changes_no_roles_whoever_it_works_for(alice: Actor, bob: Actor) -> None:
    agent = service.acting_for(alice.id, "agent")
    assert agent is not None
    each_raises(
        Denied,
        lambda: service.create_role(agent, "x", permissions=["*"]),
        lambda: service.assign_role(agent, bob.id, "owner"),
        lambda: service.revoke_role(agent, bob.id, "member"),
    )


def test_a_token_gives_no_more_than_its_scopes(alice: Actor, bob: Actor) -> None:
    _, secret = service.mint_token(alice, "people", ("users:*", "audit:read"))
    scoped = service.authenticate(Credentials(bearer=secret))
    assert scoped is not None
    service.create_role(scoped, "auditors", permissions=["audit:read"])
    with pytest.raises(Denied):
        service.assign_role(scoped, bob.id, "admin")


def test_giving_a_role_twice_changes_nothing(alice: Actor, bob: Actor) -> None:
    service.assign_role(alice, bob.id, "viewer")
    service.assign_role(alice, bob.id, "viewer")
    assert told() == [bob.id]
    assert len(audited("role.assign")) == 1


def test_it_refuses_to_give_what_is_not_there_or_to_nobody(alice: Actor, bob: Actor) -> None:
    with pytest.raises(Invalid, match="not defined"):
        service.assign_role(alice, bob.id, "nothing")
    with pytest.raises(Conflict):
        service.assign_role(alice, "usr_nobody", "viewer")
    for user_id, role in ((bob.id, "viewer"), ("usr_nobody", "member")):
        with pytest.raises(NotFound):
            service.revoke_role(alice, user_id, role)


def test_a_deleted_role_is_taken_from_everybody(alice: Actor, bob: Actor) -> None:
    service.create_role(alice, "ops", permissions=["audit:read"])
    service.create_role(alice, "leads", inherits=["ops"])
    service.assign_role(alice, bob.id, "ops")
    service.delete_role(alice, "ops")
    assert not service.may(now(bob), "audit:read")
    assert [one.role for one in service.list_assignments(alice) if one.user_id == bob.id] == ["member"]
    assert [role.inherits for role in service.list_roles(alice) if role.name == "leads"] == [("ops",)]
    with pytest.raises(NotFound):
        service.delete_role(alice, "ops")


def test_every_change_is_written_down_with_before_and_after(alice: Actor, bob: Actor) -> None:
    service.create_role(alice, "ops", description="Those who look", permissions=["audit:read"])
    service.update_role(alice, "ops", permissions=["usage:read"])
    service.set_roles(alice, bob.id, ["viewer", "ops"])
    service.delete_role(alice, "ops")
    made = {"name": "ops", "description": "Those who look", "inherits": [], "permissions": ["audit:read"]}
    changed = {**made, "permissions": ["usage:read"]}
    assert audited("role.create") == [("ops", {"after": made})]
    assert audited("role.update") == [("ops", {"before": made, "after": changed})]
    assert audited("role.delete") == [("ops", {"before": changed, "held_by": [bob.id]})]
    [first, second] = audited("role.assign")
    assert first == (bob.id, {"before": ["member"], "after": ["member", "viewer"]})
    assert set(second[1]["after"]) == {"member", "viewer", "ops"}
    assert audited("role.revoke")[0][1]["before"] == second[1]["after"]


def test_a_changed_role_is_told_to_all_who_hold_it_by_whatever_way(alice: Actor, bob: Actor) -> None:
    service.create_role(alice, "ops", permissions=["audit:read"])
    service.create_role(alice, "leads", inherits=["ops"])
    dora = member(alice, "Dora", "leads")
    service.update_role(alice, "ops", permissions=["usage:read"])
    assert told() == [dora.id]
    assert now(dora).grants == ("usage:read",)
    service.update_role(alice, "ops", permissions=["usage:read"])
    assert told() == [dora.id]


def test_it_says_by_which_way_somebody_holds_a_key(alice: Actor, bob: Actor) -> None:
    service.create_role(alice, "ops", permissions=["audit:*"])
    service.create_role(alice, "leads", inherits=["ops"])
    service.assign_role(alice, bob.id, "leads")
    found = service.why(alice, bob.id, "audit:read")
    assert found.may
    assert [(one.way, one.grant) for one in found.sources] == [(("leads", "ops"), "audit:*")]
    none = service.why(alice, bob.id, "settings:write")
    assert (none.may, none.sources) == (False, ())
    assert service.why(now(bob), bob.id, "sessions:run").sources[0].way == ("member",)
    with pytest.raises(NotFound):
        service.why(alice, "usr_nobody", "audit:read")


def test_it_says_what_a_thing_adds(alice: Actor, bob: Actor) -> None:
    private, shared = Scope(alice.id, "prj", "private"), Scope(alice.id, "prj", "team")
    assert "theirs" in service.why(alice, bob.id, "sessions:run", Scope(bob.id, "prj", "private")).thing
    found = service.why(alice, bob.id, "sessions:read", private)
    assert (found.may, "private" in found.thing) == (False, True)
    assert service.why(alice, bob.id, "sessions:read", shared).may
    found = service.why(alice, bob.id, "sessions:run", shared)
    assert (found.may, "others:sessions:run, which they do not hold" in found.thing) == (False, True)


def test_what_one_may_do_oneself_is_told_without_any_right(alice: Actor) -> None:
    nobody = member(alice, "Nora", "base")
    service.set_roles(alice, nobody.id, [])
    assert service.my_permissions(now(nobody)) == service.Effective((), ())
    assert service.available_permissions(now(nobody)) == []
    assert service.permissions_of(alice, "usr_nobody") == service.Effective((), ())
    held = {one.key for one in service.available_permissions(alice)}
    assert {"users:write", "sessions:read"} <= held


def test_every_key_that_a_verb_asks_for_has_its_words() -> None:
    asked = {
        word.value
        for one in modules()
        if one.room and one.room != "accounts"
        for function in ast.walk(one.tree)
        if isinstance(function, ast.FunctionDef)
        for name, call in calls(function)
        if name in {"require", "may"}
        for word in call.args[1:2]
        if isinstance(word, ast.Constant)
    }
    assert len(asked) > 15
    assert asked - {one.key for one in keys.KEYS} == set()


def test_a_removed_person_holds_no_roles(alice: Actor, bob: Actor) -> None:
    service.revoke_user(alice, bob.id)
    assert [one for one in service.list_assignments(alice) if one.user_id == bob.id] == []
    assert audited("user.revoke") == [(bob.id, {"roles": ["member"]})]


def test_the_last_owner_stays_one(alice: Actor) -> None:
    each_raises(
        Conflict,
        lambda: service.revoke_role(alice, alice.id, "owner"),
        lambda: service.set_roles(alice, alice.id, ["admin"]),
        lambda: service.revoke_user(alice, alice.id),
        match="last owner",
    )
    assert service.list_users(alice)[0].roles == ("owner",)
    carol = member(alice, "Carol", "owner")
    service.revoke_role(alice, alice.id, "owner")
    with pytest.raises(Conflict):
        service.revoke_role(carol, carol.id, "owner")


def test_of_two_owners_who_remove_each_other_at_once_one_stays(either_database: db.Database, alice: Actor) -> None:
    carol = member(alice, "Carol", "owner")
    outcomes = at_once(
        lambda: service.revoke_user(alice, carol.id),
        lambda: service.revoke_user(carol, alice.id),
    )
    assert outcomes == ["Conflict", "done"]
    left = [one for one in service.list_users(now_owner()) if one.revoked is None]
    assert [one.roles for one in left] == [("owner",)]


def test_of_two_owners_who_take_the_role_from_each_other_at_once_one_keeps_it(
    either_database: db.Database, alice: Actor
) -> None:
    carol = member(alice, "Carol", "owner")
    outcomes = at_once(
        lambda: service.revoke_role(alice, carol.id, "owner"),
        lambda: service.revoke_role(carol, alice.id, "owner"),
    )
    assert outcomes == ["Conflict", "done"]
    assert sum("owner" in one.roles for one in service.list_users(now_owner())) == 1


def now_owner() -> Actor:
    with db.read() as conn:
        query = sa.select(models.role_assignment.c.user_id).where(models.role_assignment.c.role == "owner")
        user_id = conn.execute(query).scalar_one()
    found = service.acting_for(user_id, "system")
    assert found is not None
    return found


def test_giving_one_role_many_times_at_once_gives_it_once(
    either_database: db.Database, alice: Actor, bob: Actor
) -> None:
    outcomes = at_once(*[lambda: service.assign_role(alice, bob.id, "viewer")] * 6)
    assert outcomes == ["done"] * 6
    assert len(audited("role.assign")) == 1
    assert [one.role for one in service.list_assignments(alice) if one.user_id == bob.id].count("viewer") == 1


def test_one_name_makes_one_role_however_many_try_at_once(either_database: db.Database, alice: Actor) -> None:
    outcomes = at_once(*[lambda: service.create_role(alice, "ops", permissions=["audit:read"])] * 6)
    assert outcomes == ["Invalid"] * 5 + ["done"]
    assert len(audited("role.create")) == 1


def test_whoever_is_given_a_role_while_they_are_removed_holds_nothing(
    either_database: db.Database, alice: Actor, bob: Actor
) -> None:
    at_once(
        lambda: service.revoke_user(alice, bob.id),
        *[lambda: service.assign_role(alice, bob.id, "owner")] * 3,
    )
    assert [one.user_id for one in service.list_assignments(alice)] == [alice.id]


def test_only_an_owner_builds_on_a_role_that_is_not_there(alice: Actor) -> None:
    ada = member(alice, "Ada", "admin")
    with pytest.raises(Denied, match="no role 'ops' yet"):
        service.create_role(ada, "quiet", inherits=["ops"])
    service.create_role(ada, "quiet", inherits=["viewer"])
    with pytest.raises(Denied, match="no role 'ops' yet"):
        service.update_role(ada, "quiet", inherits=["viewer", "ops"])
    service.update_role(alice, "quiet", inherits=["viewer", "ops"])
    assert service.update_role(ada, "quiet", description="As it was").inherits == ("viewer", "ops")


def test_a_token_that_holds_less_makes_no_way_in_for_its_own_person(alice: Actor) -> None:
    _token, secret = service.mint_token(alice, "people", ("users:write", "users:read"))
    scoped = service.authenticate(Credentials(bearer=secret))
    assert scoped
    with pytest.raises(Denied):
        service.sign_in_code(scoped, alice.user)
    assert service.sign_in_code(alice, alice.user)


def test_what_is_cut_off_of_a_role_counts_when_it_is_made_or_given(alice: Actor) -> None:
    ada = member(alice, "Ada", "admin")
    service.create_role(alice, "boss", inherits=["owner"])
    names = [f"filler-{number}" for number in range(31)]
    for name in names:
        service.create_role(ada, f"{name}-below")
        service.create_role(ada, name, inherits=[f"{name}-below"])
    each_raises(Denied, lambda: service.create_role(ada, "climber", inherits=[*names, "boss"]))
    made = service.create_role(alice, "climber", inherits=[*names, "boss"])
    assert len(roles.expand([made.name], {one.name: one for one in service.list_roles(alice)})) == roles.MOST_EXPANDED
    each_raises(
        Denied,
        lambda: service.assign_role(ada, ada.id, "climber"),
        lambda: service.create_user(ada, "Eve", None, "climber"),
    )
    assert "climber" not in {one.name for one in service.roles_within(ada)}
    assert not service.holds(ada.grants, "climber")
    service.assign_role(alice, ada.id, "climber")
    assert "*" not in now(ada).grants
    before = len(told())
    service.delete_role(alice, "filler-0")
    assert "*" in now(ada).grants
    assert ada.id in told()[before:]
