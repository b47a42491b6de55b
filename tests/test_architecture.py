"""The rules of the floor plan that import-linter cannot say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from app.rooms import ROOMS
from tests.floor_plan import APP, DOORS, Module, calls, module, modules, rooms_on_disk

# These put the rooms together, so they may import any of them.
COMPOSERS = frozenset({"app", "app.__main__", "app.beyond", "app.cli", "app.migrate", "app.rooms", "app.server"})
OUTWARD = frozenset({"aiohttp", "ftplib", "httpcore", "httpcore2", "httpx", "httpx2", "requests", "urllib3"})
OUTWARD_STANDARD = ("http.client", "urllib.request")
# The outbound client, its connections and its proxy; and the clients of the model APIs.
OUTWARD_MODULES = ("app.dial", "app.gate", "app.outbound", "app.agent.providers")
# Verbs on what is the actor's own: they look for nothing else, and nobody needs a grant to sign out, or to be told what
# they may do and what roles there are.
OWN = frozenset(
    f"app.accounts.{name}"
    for name in (
        *(
            "people.me",
            "devices.sign_out",
            "devices.give_up",
            "devices.renew_due",
            "devices.revoke_other_devices",
            "passwords.password_changed",
        ),
        *(
            "passwords.prove",
            "fresh.is_fresh",
            "fresh.require_fresh",
            "fresh.require_fresh_browser",
            "fresh.prove_by_code",
        ),
        *("look.change_look", "look.change_visibility", "authority.sees_private"),
        *("reasons.list_roles", "reasons.roles_within", "reasons.my_permissions", "reasons.available_permissions"),
        *("lending.my_loans", "tokens.may_hold"),
    )
)
SHELLS = frozenset({"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"})


# What every workspace stands on: the module that owns paths, and the one that starts commands.
FOUNDATIONS = frozenset({("files", "paths"), ("processes", "spawn")})


def of_rooms(one: Module) -> Iterator[tuple[str, list[str]]]:
    """The rooms that a module imports from, each with the words after the room's name."""
    for name in one.imports():
        top, *words = name.split(".")
        if top == "app" and words and words[0] in rooms_on_disk():
            yield words[0], words[1:]


def test_a_room_imports_of_another_only_its_service_and_events() -> None:
    wrong = [
        f"{one.name} imports {room}.{'.'.join(words)}"
        for one in modules()
        for room, words in of_rooms(one)
        if room != one.room
        if (room, *words[:1]) not in FOUNDATIONS
        if words[:1] not in (["service"], ["events"]) or (one.room and len(words) > 2)
        if one.name not in COMPOSERS
    ]
    assert wrong == []


def test_only_rooms_and_those_that_compose_them_import_rooms() -> None:
    outside = [one for one in modules() if not one.room and one.name not in COMPOSERS]
    assert [f"{one.name} imports {room}" for one in outside for room, _words in of_rooms(one)] == []


def test_a_room_imports_only_rooms_above_it_in_the_floor_plan() -> None:
    order = list(ROOMS)
    wrong = {
        f"{one.name} imports {room}"
        for one in modules()
        if one.room in order
        for room, _words in of_rooms(one)
        if room not in order or order.index(room) > order.index(one.room)
    }
    assert wrong == set()


def test_the_floor_plan_names_the_rooms_and_doors_on_disk() -> None:
    on_disk = {room: set[str]() for room in rooms_on_disk()}
    for one in modules():
        if one.room and one.is_door:
            on_disk[one.room].add(one.words[1])
    assert {room: set(doors) for room, doors in ROOMS.items()} == on_disk


def test_only_doors_know_the_web() -> None:
    wrong = [
        f"{one.name} imports {name}"
        for one in modules()
        if one.room and not one.is_door and len(one.words) > 1
        for name in one.imports()
        if name.split(".")[0] in {"flask", "werkzeug", "flask_sock"} or name.startswith(("app.dialects", "app.web."))
    ]
    assert wrong == []


def test_doors_have_names_of_the_fixed_set() -> None:
    assert {door for doors in ROOMS.values() for door in doors} <= DOORS


@pytest.mark.parametrize("room", sorted(rooms_on_disk()))
def test_a_room_opens_with_its_docstring_and_its_blueprint(room: str) -> None:
    opening = module(f"app.{room}")
    assert ast.get_docstring(opening.tree)
    assert set(opening.imports()) - {"__future__.annotations"} == {"flask.Blueprint"}


def verbs(room: str) -> dict[str, tuple[Module, ast.FunctionDef]]:
    """The public functions that a room's service offers and whose first parameter is an actor."""
    found: dict[str, tuple[Module, ast.FunctionDef]] = {}
    inside = [one for one in modules() if one.room == room and not one.is_door]
    offered = [one for one in inside if one.words[1:2] == ("service",)]
    names = {name.rpartition(".")[2] for one in offered for name in one.imports()}
    for one in inside:
        for name, function in one.functions().items():
            is_offered = not name.startswith("_") and (one in offered or name in names)
            if is_offered and [argument.arg for argument in function.args.args[:1]] == ["actor"]:
                found[name] = one, function
    return found


def asks(one: Module, function: ast.FunctionDef, seen: tuple[str, ...] = ()) -> bool:
    """Whether it calls require or may with its actor, or hands its actor to a verb or helper that does."""
    for name, call in calls(function):
        given = [argument.id if isinstance(argument, ast.Name) else "" for argument in call.args]
        local = one.functions().get(name) if isinstance(call.func, ast.Name) else None
        if name in {"require", "may"} and given[:1] == ["actor"]:
            return True
        if local is not None:
            if "actor" in given and name not in seen and asks(one, local, (*seen, name)):
                return True
        elif given[:1] == ["actor"] and name != "isinstance" and not name[0].isupper():
            return True
    return False


@pytest.mark.parametrize("room", sorted(rooms_on_disk()))
def test_every_verb_asks_whether_its_actor_may(room: str) -> None:
    silent = [
        f"{one.name}.{name}"
        for name, (one, function) in verbs(room).items()
        if name not in {"require", "may", "is_open", "is_current"} and not asks(one, function)
    ]
    assert set(silent) == {name for name in OWN if name.startswith(f"app.{room}.")}


def test_nothing_is_run_through_a_shell_by_accident() -> None:
    wrong = [
        f"{one.name}:{call.lineno}"
        for one in modules()
        for _name, call in one.calls()
        if ast.unparse(call.func) in SHELLS
        or any(word.arg == "shell" and not is_false(word.value) for word in call.keywords)
    ]
    assert wrong == []


def is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def test_markup_is_made_in_one_module() -> None:
    made = {one.name for one in modules() for name, _call in one.calls() if name == "Markup"}
    assert made <= {"app.web_filters"}


def test_no_template_switches_escaping_off() -> None:
    switch = re.compile(r"\|\s*safe\b|autoescape\s+false")
    templates = sorted((APP.parent / "templates").rglob("*.html"))
    assert templates
    assert [str(path) for path in templates if switch.search(path.read_text(encoding="utf-8"))] == []


def test_only_the_outbound_client_and_the_providers_reach_out() -> None:
    wrong = [
        f"{one.name} imports {name}"
        for one in modules()
        if not one.name.startswith(OUTWARD_MODULES)
        for name in one.imports()
        if name.split(".")[0] in OUTWARD or name.startswith(OUTWARD_STANDARD)
    ]
    assert wrong == []


def test_nothing_is_put_off() -> None:
    put_off = re.compile(r"NotImplementedError|\b(TODO|FIXME|XXX)\b|except( Exception)?:\s*pass\b")
    assert [one.name for one in modules() if put_off.search(one.path.read_text(encoding="utf-8"))] == []
