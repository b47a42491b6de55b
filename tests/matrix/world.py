"""The people who ask, and the things they ask for: all of them Mia's, and private as far as such things can be."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app import csrf, db
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import profiles
from app.agent import service as agent
from app.approvals import service as approvals
from app.checkpoints import service as checkpoints
from app.dialects.mount import Cabin
from app.invites import service as invites
from app.mcp import service as mcp
from app.notifications import service as notifications
from app.oidc import models as oidc
from app.processes import service as processes
from app.projects import service as projects
from app.sandboxes import service as sandboxes
from app.secrets import service as secrets
from app.sessions import service as sessions
from app.terminals import service as terminals
from tests.conftest import member
from tests.visitor import ORIGIN, Browser

# Who asks, in the order in which they do: whoever may end a thing comes last.
PRINCIPALS = {
    "stranger": "nobody is signed in",
    "viewer": "somebody with the role viewer",
    "other": "a member who has nothing to do with the thing",
    "scoped": "Mia's token that may only read sessions",
    "agent": "a token of the owner that an agent holds",
    "member": "Mia, a member, whose thing it is",
    "admin": "somebody with the role admin",
    "owner": "the owner of the installation",
}
_numbers = itertools.count()


@dataclass
class World:
    """An installation with its people, and what makes the things that a route names."""

    app: Cabin
    alice: Actor
    tmp: Path
    people: dict[str, Actor] = field(default_factory=dict)
    is_asked: bool = False
    _secrets: dict[str, str] = field(default_factory=dict)
    _browsers: dict[str, Browser] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.mia = member(self.alice, "Mia")
        self.people = {
            "viewer": member(self.alice, "Vera", "viewer"),
            "other": member(self.alice, "Nick"),
            "member": self.mia,
            "admin": member(self.alice, "Ada", "admin"),
            "owner": self.alice,
        }
        self._secrets["scoped"] = accounts.mint_token(self.mia, "scoped", ("sessions:read",))[1]
        self._secrets["agent"] = accounts.mint_token(self.alice, "agent", is_agent=True)[1]
        self.place = projects.resolve(self.mia, None)
        self.sandbox = sandboxes.create(self.mia, sandboxes.Wanted("base", 300, {}, {})).id

    def caller(self, principal: str, *, anew: bool = False) -> tuple[Any, dict[str, str]]:
        """A client, and the headers with which it asks as somebody: people by their browser, others by a bearer."""
        if principal not in self.people:
            secret = self._secrets.get(principal)
            return self.app.test_client(), {"Authorization": f"Bearer {secret}"} if secret else {}
        browser = self._browsers.get(principal) or Browser(self.app, self.people[principal])
        if anew:
            self._browsers.pop(principal, None)
        else:
            self._browsers[principal] = browser
        return browser.client, {"Origin": ORIGIN, csrf.HEADER: browser.token}

    def wake(self, _work: str, *given: str) -> None:
        """In place of the engine: what a request has begun is over once it is committed."""
        if self.is_asked and given:
            db.after_commit(lambda: self._finish(given[0]))

    def _finish(self, run_id: str) -> None:
        hold = sessions.take(run_id)
        if hold is not None:
            sessions.finish(hold, "completed")

    def process(self) -> int:
        """The pid of a command of Mia's that goes on."""
        return self._command(self.place)

    def process_within(self) -> int:
        """The pid of one in her sandbox."""
        return self._command(sandboxes.workspace(self.mia, self.sandbox).place)

    def _command(self, place: projects.Place) -> int:
        for one in processes.list_within(self.mia, place):
            if one.ended is None and one.takes_input:
                return one.pid
        return processes.start(self.mia, place, ("cat",)).pid

    def session(self) -> sessions.Session:
        """A private session of Mia's."""
        return sessions.create(self.mia, self.place, title="Hers", visibility="private", provider="demo", model="demo")

    def ask(self, kind: str) -> tuple[str, str]:
        """The ids of a private session of Mia's, and of an ask or a question that waits in it."""
        session = self.session()
        _message, run_id = sessions.send(self.mia, session.id, [{"type": "text", "text": "Go on"}])
        hold = sessions.take(run_id or "")
        assert hold is not None
        said = sessions.add_message(hold, {"parentID": ""})
        part = sessions.add_part(hold, said.id, "tool", {"tool": "bash", "state": {"status": "pending"}})
        call = approvals.Call("bash", {"command": "git push"}, f"call_{next(_numbers)}", said.id, part.id)
        if kind == "question":
            asked = approvals.question(hold, call, [QUESTION])
        else:
            asked = approvals.ask(hold, call, approvals.decide(hold, call))
        sessions.wait(hold, lambda connection: approvals.is_waiting(connection, hold.run_id))
        return session.id, asked.id

    def checkpoint(self) -> str:
        """The id of a checkpoint in a private session of Mia's."""
        session = self.session()
        message, run_id = sessions.send(self.mia, session.id, [{"type": "text", "text": "Go on"}])
        hold = sessions.take(run_id or "")
        assert hold is not None
        said = sessions.add_message(hold, {"parentID": message.id})
        part = sessions.add_part(hold, said.id, "tool", {"tool": "edit", "state": {}})
        checkpoints.before(hold, said.id, part.id)
        (Path(session.directory) / f"new{next(_numbers)}.txt").write_text("new\n")
        checkpoints.after(hold, said.id, part.id)
        sessions.finish(hold, "completed")
        return checkpoints.of_session(self.mia, session.id)[0].id

    def project(self) -> str:
        """The id of a project that the owner of the installation has added."""
        root = self.tmp / f"project{next(_numbers)}"
        root.mkdir()
        (root / "README.md").write_text("# Here\n")
        return projects.add(self.alice, str(root)).id

    def worktree(self) -> str:
        """The id of the worktree of a session of Mia's."""
        made = sessions.create(self.mia, self.place, title="Beside", worktree=f"beside {next(_numbers)}")
        return next(
            one.id
            for one in projects.find_worktrees(self.mia, self.place.project)
            if str(one.directory) == made.directory
        )

    def terminal(self) -> str:
        """The id of a terminal of Mia's, in place of all that there are: people have only so many."""
        for one in terminals.list_all(self.alice):
            terminals.end(self.alice, one.id)
        return terminals.create(self.mia, self.place, command=("cat",)).id

    def channel(self) -> str:
        """Where Mia is told of asks while she is away."""
        for one in notifications.list_channels(self.mia):
            notifications.remove_channel(self.mia, one.id)
        number = next(_numbers)
        return notifications.add_webhook(self.mia, f"hook{number}", f"https://hooks.example.com/{number}")[0].id

    def role(self) -> str:
        """A role that was made here."""
        return accounts.create_role(self.alice, f"role{next(_numbers)}", permissions=["audit:read"]).name

    def secret(self, scope: str = "platform", *, granted: bool = False) -> str:
        """The name of a secret; its value may go to the commands of the default project if it is granted."""
        name = f"SECRET_{next(_numbers)}"
        secrets.put(self.alice, scope, name, "the-value-of-a-secret")
        if granted:
            secrets.grant(self.alice, scope, name, self.place.project.id)
        return name

    def device(self) -> str:
        """The id of a further browser that Mia is signed in with."""
        known = {one.id for one in accounts.list_devices(self.mia)}
        Browser(self.app, self.mia)
        return next(one.id for one in accounts.list_devices(self.mia) if one.id not in known)

    def identity(self) -> str:
        """The id of who Mia is at a provider."""
        new_id = f"idn_{next(_numbers)}"
        row = {
            "id": new_id,
            "issuer": "https://id.example.com",
            "subject": new_id,
            "provider": "okta",
            "user_id": self.mia.id,
        }
        with db.transaction() as conn:
            conn.execute(oidc.identity.insert(), {**row, "email": "mia@example.com", "created": 0, "seen": 0})
        return new_id

    def make_sandbox(self) -> str:
        """The id of a sandbox of Mia's, in place of the one before."""
        for one in sandboxes.list_all(self.mia):
            if one.id != self.sandbox:
                sandboxes.kill(self.mia, one.id)
        return sandboxes.create(self.mia, sandboxes.Wanted("base", 300, {}, {})).id

    def things(self, path: str, dialect: str) -> dict[str, str]:
        """A thing for each parameter of a path; those that belong together do."""
        wanted = re.findall(r"<(?:\w+:)?(\w+)>", path)
        found = {"user": self.people["other"].id} | self._of_place(path, wanted) | self._of_session(wanted)
        for name in wanted:
            if name not in found:
                if name not in self._makers:
                    pytest.fail(f"tests/matrix/world.py makes no <{name}> yet, which {dialect} {path} names.")
                found[name] = self._makers[name]()
        if {"user_id", "user"} & set(wanted):
            self._let_in(path, found)
        return found

    def _let_in(self, path: str, found: Mapping[str, str]) -> None:
        """Have somebody in the project, or answering for Mia, whom a route takes out again."""
        person = found.get("user_id") or found.get("user", "")
        if path.startswith(("/projects/", "/api/v1/projects/")) and person:
            projects.put_member(self.alice, found["project_id"], person)
        if "/approvers/" in path:
            accounts.lend_answers(self.mia, person)

    def _of_place(self, path: str, wanted: list[str]) -> dict[str, str]:
        """Things whose kind only the path tells."""
        found = dict[str, str]()
        if "user_id" in wanted:
            guest = member(self.alice, f"Guest{next(_numbers)}")
            found |= {"user_id": guest.id, "user_name": guest.name}
        if path.startswith("/members/roles/<name>"):
            found["name"] = self.role()
        if path.startswith("/settings/modes"):
            found["slug"] = "in-nothing"
        if path.startswith("/tui/"):
            found["session"] = self.session().id
        if {"project_id", "name"} <= set(wanted):
            found["project_id"] = self.place.project.id
        if "/secrets/<key>" in path:
            found |= {"app_id": "crm", "key": self.secret("app:crm" if "app_id" in wanted else "platform")}
        if "path:name" in path:
            found["name"] = "README.md"
        return found

    def _of_session(self, wanted: list[str]) -> dict[str, str]:
        """A session and what is in it."""
        if {"permission_id", "question_id", "ask_id"} & set(wanted):
            kind = "question" if "question_id" in wanted else "permission"
            session_id, ask_id = self.ask(kind)
            return {"session_id": session_id, f"{kind}_id": ask_id, "ask_id": ask_id}
        if {"session_id", "task_id"} & set(wanted):
            session = self.session()
            message, _run = sessions.send(self.mia, session.id, [{"type": "text", "text": "Hm"}], no_reply=True)
            ids = {"session_id": session.id, "task_id": session.id, "message_id": message.id}
            return {**ids, "part_id": message.parts[0].id}
        return {}

    @property
    def _makers(self) -> dict[str, Callable[[], str]]:
        number = next(_numbers)

        def slug() -> str:
            return sessions.share(self.mia, self.session().id).share_slug or ""

        def server() -> str:
            for one in mcp.list_servers(self.alice, self.place, only_look=True):
                mcp.remove(self.alice, self.place, one.server.name)
            mcp.add(self.alice, self.place, f"server{number}", mcp.Wanted("local", ("true",), enabled=False))
            return f"server{number}"

        def provider() -> str:
            return agent.add_provider(self.alice, f"rack{number}", "https://models.example.com/v1")

        return {
            "role_name": self.role,
            "slug": slug,
            "name": server,
            "mcp_id": server,
            "provider": provider,
            "profile_id": lambda: profiles.save(self.mia, self.place, f"hers{number}", "demo", "demo").id,
            "terminal_id": self.terminal,
            "checkpoint_id": self.checkpoint,
            "token_id": lambda: accounts.mint_token(self.mia, f"token{number}")[0].id,
            "device_id": self.device,
            "identity_id": self.identity,
            "channel_id": self.channel,
            "invite_id": lambda: invites.invite(self.alice, f"guest{number}@example.com", ("viewer",)).invite.id,
            "sandbox_id": self.make_sandbox,
            "project_id": self.project,
            "key": lambda: self.place.project.id,
            "app_id": lambda: "crm",
            "worktree_id": self.worktree,
            "server": lambda: "pyright",
            "provider_id": lambda: "in-nothing",
            "code": lambda: "in_nothing",
            "filename": lambda: "style.css",
        }


QUESTION = {"question": "Which?", "header": "Which", "options": [{"label": "A", "description": "The first"}]}
