"""Asking a route as somebody: the request that comes to its deed, and what the answer amounts to."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from werkzeug.routing import Rule

from app.dialects.door import operations
from app.dialects.mount import Cabin
from tests.conftest import member
from tests.matrix import bodies
from tests.matrix.fences import lacking
from tests.matrix.world import World
from tests.patience import PATIENCE

BROKEN, NO_ANSWER = "broken", "no answer"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, order=True)
class Route:
    """A method at a path of a dialect; `pages` for those of none."""

    dialect: str
    method: str
    path: str
    endpoint: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What names it in the table."""
        return self.dialect, self.method, self.path


def routes(app: Cabin) -> list[Route]:
    """Every route, in the table's order."""
    found = {_route(rule, method) for rule in app.url_map.iter_rules() for method in METHODS if _has(rule, method)}
    return sorted(found)


def _has(rule: Rule, method: str) -> bool:
    return method in (rule.methods or ())


def _route(rule: Rule, method: str) -> Route:
    return Route(rule.subdomain or "pages", method, rule.rule, rule.endpoint)


def ask(world: World, route: Route, principals: Iterable[str], prefix: str) -> dict[str, str]:
    """What each of them who asks for the route is answered, as a class: 2xx, 3xx, 401, 403, 404, 4xx or 5xx."""
    names, found = world.things(route.path, route.dialect), dict[str, str]()
    for principal in principals:
        found[principal] = _ask(world, route, principal, prefix, names)
        if route.method != "GET" and found[principal] in ("2xx", "3xx"):
            # It did its deed, after which the things may not be what they were.
            names = world.things(route.path, route.dialect)
    return found


def _ask(world: World, route: Route, principal: str, prefix: str, names: Mapping[str, str]) -> str:
    path = route.path
    for name, value in names.items():
        path = path.replace(f"<{name}>", value).replace(f"<path:{name}>", value)
    client, headers = world.caller(principal, anew=route.endpoint in ENDS_THE_BROWSER)
    if route.dialect == "pages":
        headers["Accept"] = "text/html"
    if route.dialect == "e2b" and not path.startswith(("/sandboxes", "/v2/")):
        headers["E2b-Sandbox-Id"] = world.sandbox
    given = request_of(world, route, names)
    headers = {"Host": "localhost", **headers, **given.pop("headers", {})}
    world.is_asked = True
    nudge = NUDGES.get(route.endpoint)
    found = _open(
        client, route, prefix + path, headers, given, functools.partial(nudge, world, principal) if nudge else None
    )
    world.is_asked = False
    return found


def _open(
    client: Any,
    route: Route,
    path: str,
    headers: dict[str, str],
    given: dict[str, Any],
    nudge: Callable[[], None] | None,
) -> str:
    """What the status amounts to; what would go on is hung up on after its headers."""
    found: list[str] = []

    def request() -> None:
        answer = client.open(path, method=route.method, headers=headers, buffered=False, **given)
        said = next(answer.iter_encoded(), b"") if route.endpoint in STREAMS and answer.status_code == 200 else b""
        found.append(bodies.refusal(said) or _class_of(route, answer))
        answer.close()

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    until = time.monotonic() + PATIENCE
    while thread.is_alive() and time.monotonic() < until:
        thread.join(NUDGE_EVERY if nudge else PATIENCE)
        if nudge and thread.is_alive():
            nudge()
    return found[0] if found else NO_ANSWER


def _class_of(route: Route, answer: Any) -> str:
    status = answer.status_code
    if lacks := lacking(answer, is_kept=route.path.startswith(("/static/", "/push.js"))):
        return f"lacks {lacks}"
    if status == 303 and answer.headers["Location"].startswith("/signin?next="):
        return "401"
    if status == 502 and route.dialect == "e2b":
        return "404"  # its word for a sandbox that is not there
    if status == 500:
        return BROKEN
    return str(status) if status in (401, 403, 404) else f"{status // 100}xx"


def request_of(world: World, route: Route, names: Mapping[str, str]) -> dict[str, Any]:
    """Query and body with which the route does its deed: the smallest that its model takes, and what is said below."""
    if route.dialect == "pages":
        fields = _filled(FORMS.get(route.endpoint, {}), world, names)
        return {"query_string" if route.method == "GET" else "data": fields}
    known = next((one for one in operations if (one.dialect, one.method, one.path) == route.key), None)
    body = bodies.smallest(known.body if known else None) | _filled(BODIES.get(route.endpoint, {}), world, names)
    query = bodies.smallest(known.query if known else None) | _filled(QUERIES.get(route.endpoint, {}), world, names)
    given: dict[str, Any] = {"query_string": query}
    if route.endpoint in RAW:
        kind, data = RAW[route.endpoint]
        return {**given, "data": data, "headers": {"Content-Type": kind}}
    if route.endpoint in STREAMS:
        return {**given, "data": bodies.envelope(body), "headers": {"Content-Type": "application/connect+json"}}
    if route.method != "GET":
        given["json"] = body
    return given


def _filled(given: Mapping[str, Any], world: World, names: Mapping[str, str]) -> dict[str, Any]:
    return {key: value(world, names) if callable(value) else value for key, value in given.items()}


def _file(world: World, _names: Mapping[str, str]) -> str:
    """The name of a file that lies in the default project."""
    (Path(world.place.directory) / "old.txt").write_text("old\n")
    return "old.txt"


def _new(_world: World, _names: Mapping[str, str]) -> str:
    """The name of something that does not lie anywhere yet."""
    return f"new{next(_numbers)}"


def _guest(world: World, _names: Mapping[str, str]) -> str:
    """Somebody who is here."""
    return member(world.alice, f"Late{next(_numbers)}").id


def _email(_world: World, _names: Mapping[str, str]) -> str:
    """The address of somebody who is not here."""
    return f"new{next(_numbers)}@example.com"


def _selector(world: World, _names: Mapping[str, str]) -> dict[str, int]:
    return {"pid": world.process()}


def _selector_within(world: World, _names: Mapping[str, str]) -> dict[str, int]:
    return {"pid": world.process_within()}


def _secret(world: World, _names: Mapping[str, str]) -> str:
    return world.secret()


def _granted(world: World, _names: Mapping[str, str]) -> str:
    return world.secret(granted=True)


def _project(world: World, _names: Mapping[str, str]) -> str:
    return world.place.project.id


def _named(name: str) -> Callable[[World, Mapping[str, str]], str]:
    return lambda _world, names: names[name]


def _ask_for_help(world: World, principal: str) -> None:
    client, headers = world.caller(principal)
    client.post("/opencode/tui/open-help", headers=headers)


_numbers = itertools.count()
ENDS_THE_BROWSER = {"accounts.signout"}
# What is done again and again, as who asks, while a request waits for it.
NUDGE_EVERY = 0.2
NUDGES: dict[str, Callable[[World, str], None]] = {"system.opencode.control_next": _ask_for_help}
STREAMS = {
    "files.e2b.watch_dir",
    "processes.e2b.start",
    "processes.e2b.connect_to",
    "processes.e2b.stream_input",
}
RAW = {
    "files.codebuddy.upload": ("application/octet-stream", b"x"),
    "files.e2b.upload": ("application/octet-stream", b"x"),
    "processes.codebuddy.stream_input": ("application/octet-stream", b"x"),
}
_KEY = {"provider": "openai", "key": "sk-matrix-0123456789", "base_url": "ftp://nowhere"}
FORMS: dict[str, dict[str, Any]] = {
    "accounts.change_matrix": {"save": "yes"},
    "accounts.change_role": {"save": "yes", "description": _new},
    "accounts.create_role": {"name": _new},
    "accounts.mint": {"name": _new, "may": "read", "ends": "7"},
    "accounts.remove_member": {"typed": _named("user_name")},
    "accounts.set_roles": {"role": "viewer"},
    "agent.add_provider": {"name": _new, "base_url": "https://models.example.com/v1"},
    "agent.keep_key": {"key": "sk-matrix-0123456789"},
    "agent.save_key": {"provider": "openai", "key": "sk-matrix-0123456789"},
    "agent.save_profile": {"name": _new, "model": "demo/demo"},
    "agent.test_key": _KEY,
    "approvals.answer": {"reply": "once"},
    "checkpoints.restore": {"scope": "conversation"},
    "checkpoints.revert": {"messageID": _named("message_id")},
    "files.add": {"called": _new},
    "files.move": {"to": _new},
    "invites.ask": {"email": "nobody@example.com"},
    "invites.create": {"email": _email, "role": "viewer"},
    "mcp.add": {"name": _new, "kind": "local", "command": "true"},
    "accounts.add_approver": {"person": _guest},
    "projects.put_member": {"person": _guest, "key": "others:approvals:answer"},
    "projects.set_visibility": {"visibility": "members"},
    "secrets.add": {"name": _new, "value": "the-value-of-a-secret"},
    "accounts.change_look": {"theme": "dark", "density": "normal"},
    "accounts.change_visibility": {"visibility": "team"},
    "sessions.see": {"visibility": "team"},
    "sessions.save_defaults": {"visibility": "team"},
    "secrets.delete": {"scope": "platform", "name": _secret},
    "secrets.grant": {"scope": "platform", "name": _secret, "project": _project},
    "secrets.replace": {"scope": "platform", "name": _secret, "value": "another-value-of-it"},
    "secrets.take_away": {"scope": "platform", "name": _granted, "project": _project},
    "sessions.create": {"text": "Hm", "model": "demo/demo"},
    "sessions.send": {"text": "Hm"},
}
_PROMPT = {"parts": [{"type": "text", "text": "Hm"}]}
_MODEL = {"providerID": "demo", "modelID": "demo"}
QUERIES: dict[str, dict[str, Any]] = {
    "files.codebuddy.download": {"path": _file},
    "files.codebuddy.upload": {"path": _new},
    "files.e2b.download": {"path": ".keep"},
    "files.e2b.upload": {"path": "up.txt"},
    "processes.codebuddy.stream_input": {"pid": lambda world, _names: world.process()},
    "files.opencode.content": {"path": _file},
    "files.opencode.index": {"path": "."},
}
BODIES: dict[str, dict[str, Any]] = {
    "accounts.rootcx.assign_role": {"userId": _named("user"), "role": "viewer"},
    "accounts.rootcx.create_role": {"name": _new},
    "accounts.rootcx.revoke_role": {"userId": _named("user"), "role": "member"},
    "accounts.rootcx.update_role": {"description": _new},
    "agent.opencode.init": {**_MODEL, "messageID": "msg_matrix"},
    "agent.opencode.run_command": {"command": "init", "arguments": ""},
    "agent.opencode.shell": {"agent": "nobody", "command": "true"},
    "agent.opencode.set_auth": {"type": "api", "key": _KEY["key"]},
    "approvals.opencode.answer_question": {"answers": [["A"]]},
    "approvals.opencode.reply": {"reply": "once"},
    "approvals.opencode.respond": {"response": "once"},
    "checkpoints.opencode.revert": {"messageID": _named("message_id")},
    "files.codebuddy.compose": {"sourcePaths": lambda world, names: [_file(world, names)], "destination": _new},
    "files.codebuddy.create_watcher": {"path": "."},
    "files.codebuddy.list_path": {"path": "."},
    "files.codebuddy.make_directory": {"path": _new},
    "files.codebuddy.move": {"source": _file, "destination": _new},
    "files.codebuddy.remove": {"path": _file},
    "files.codebuddy.stat_path": {"path": _file},
    "files.codebuddy.watch": {"path": "."},
    "files.e2b.make_dir": {"path": _new},
    "invites.rootcx.generate": {"email": _email, "roles": ["viewer"]},
    "processes.codebuddy.close_stdin": {"process": _selector},
    "processes.codebuddy.connect_process": {"process": _selector},
    "processes.codebuddy.send_input": {"process": _selector, "input": {"stdin": "aGk="}},
    "processes.codebuddy.send_signal": {"process": _selector, "signal": "SIGTERM"},
    "processes.codebuddy.start_process": {"process": {"cmd": "true"}},
    "processes.codebuddy.update_process": {"process": _selector, "pty": {"size": {"cols": 80, "rows": 24}}},
    "processes.e2b.close_stdin": {"process": _selector_within},
    "processes.e2b.connect_to": {"process": _selector_within},
    "processes.e2b.send_input": {"process": _selector_within, "input": {"stdin": "aGk="}},
    "processes.e2b.send_signal": {"process": _selector_within, "signal": "SIGNAL_SIGTERM"},
    "processes.e2b.start": {"process": {"cmd": "true"}},
    "processes.e2b.stream_input": {
        "start": lambda world, names: {"process": _selector_within(world, names)},
    },
    "processes.e2b.update": {"process": _selector_within},
    "sandboxes.e2b.create": {"templateID": "base"},
    "sandboxes.e2b.create_v1": {"templateID": "base"},
    "projects.rootcx.set_access": {"visibility": "members"},
    "secrets.rootcx.set_app_secret": {"key": _new, "value": "the-value-of-a-secret"},
    "secrets.rootcx.set_platform_secret": {"key": _new, "value": "the-value-of-a-secret"},
    "sessions.opencode.prompt": _PROMPT,
    "terminals.opencode.update": {"title": _new},
    "sessions.opencode.prompt_async": _PROMPT,
    "sessions.opencode.summarize": _MODEL,
    "sessions.opencode.update_part": {
        "type": "text",
        "text": "Hm",
        "id": _named("part_id"),
        "messageID": _named("message_id"),
        "sessionID": _named("session_id"),
    },
    "system.opencode.select_session": {"sessionID": _named("session")},
}
