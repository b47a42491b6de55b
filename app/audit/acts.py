"""Every act that the record holds: its name, the group it belongs to, and what people call it.

tests/audit/test_acts.py holds this to the code: whoever writes an act that is missing here fails it. docs/audit.md is
the same table for operators.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Act:
    """An act: its name in the record, its group, a few words, and others where it was not done, if need be."""

    name: str
    group: str
    words: str
    undone: str = ""

    def told(self, result: str) -> str:
        """What people call it, by how it came out."""
        return self.undone if self.undone and result != "done" else self.words


_GROUPS: dict[str, dict[str, str]] = {
    "Sign-in": {
        "signin": "signed in",
        "signin.code": "sign-in link made",
        "signin.password": "wrong password refused",
        "signin.oidc": "sign-in through a provider refused",
        "signin.link": "sign-in by a link",
        "signin.again": "showed again who they are",
        "signin.token": "token or password refused",
        "signin.limited": "too many tries refused",
        "signout": "signed out",
        "access": "refused: a right is missing",
        "port.change": "change through a port that needs no sign-in",
    },
    "People and tokens": {
        "server.claim": "server made one's own",
        "server.open": "server started without sign-in",
        "team.begin": "team begun",
        "user.create": "person added",
        "user.profile": "name or email changed",
        "user.visibility": "who sees one's new sessions chosen",
        "user.revoke": "person removed",
        "password.change": "password changed",
        "password.reset": "password reset by somebody else",
        "role.create": "role made",
        "role.update": "role changed",
        "role.delete": "role deleted",
        "role.assign": "role given",
        "role.revoke": "role taken away",
        "invite.create": "invitation made",
        "invite.mail": "invitation mailed",
        "invite.resend": "invitation sent again",
        "invite.revoke": "invitation revoked",
        "invite.decline": "invitation declined",
        "oidc.provider_save": "sign-in provider saved",
        "oidc.provider_delete": "sign-in provider deleted",
        "oidc.connect": "identity of a provider connected",
        "rights.lend": "right lent",
        "rights.take_back": "lent right taken back",
        "oidc.disconnect": "identity of a provider disconnected",
        "token.mint": "token made",
        "token.revoke": "token revoked",
        "token.reuse": "spent refresh token shown again",
    },
    "Secrets": {
        "secrets.put": "secret set",
        "secrets.delete": "secret deleted",
        "secrets.own_put": "key of one's own set",
        "secrets.own_delete": "key of one's own deleted",
        "secrets.grant": "secret granted to a project",
        "secrets.take_away": "grant of a secret taken away",
        "secrets.lend": "secret given to a run's commands",
        "secrets.export": "values of the platform's secrets read",
        "secrets.rotate_key_begin": "rotation of the master key begun",
        "secrets.rotate_key": "master key rotated",
    },
    "Record": {
        "audit.verify": "record verified",
        "audit.export": "record exported",
    },
    "Settings": {
        "settings.set": "configuration set",
        "agent.choose": "mode, profile or auto-approval chosen",
        "agent.profile": "profile saved",
        "agent.profile_remove": "profile removed",
        "agent.custom_mode": "mode saved",
        "agent.custom_mode_remove": "mode removed",
        "agent.import": "settings imported",
        "languages.start": "language server started",
        "languages.restart": "language server restarted",
        "languages.stop": "language server stopped",
        "languages.test": "language server tested",
    },
    "Notifications": {
        "notifications.add": "way to be told added",
        "notifications.change": "way to be told changed",
        "notifications.remove": "way to be told removed",
        "notifications.rules": "rules of what is told changed",
        "notifications.test": "way to be told tried",
    },
    "MCP servers": {
        "mcp.add": "MCP server added",
        "mcp.remove": "MCP server removed",
        "mcp.enable": "MCP server connected",
        "mcp.disable": "MCP server disconnected",
        "mcp.test": "MCP server tested",
        "mcp.signin_begin": "sign-in at an MCP server begun",
        "mcp.signin": "signed in at an MCP server",
        "mcp.signout": "signed out of an MCP server",
    },
    "Approvals": {
        "approval.answer": "approval answered",
        "approval.release": "approval released by a rule",
        "approval.rule_add": "rule added",
        "approval.rule_remove": "rule removed",
        "question.answer": "question answered",
    },
    "Executions": {
        "tool.run": "agent's tool run",
        "session.shell": "command typed into a session",
        "process.start": "process started",
        "terminal.start": "terminal opened",
        "terminal.take": "keyboard of a terminal taken",
        "terminal.end": "terminal ended",
        "terminal.idle": "idle terminal ended",
    },
    "Sessions": {
        "session.change": "session changed",
        "session.visibility": "who sees a session changed",
        "session.delete": "session deleted",
        "session.share": "session shared",
        "session.unshare": "sharing ended",
        "session.resume": "broken-off task gone on with",
        "session.give_up": "broken-off task given up",
        "message.delete": "message deleted",
        "part.change": "part of a message changed",
        "part.delete": "part of a message deleted",
        "checkpoint.restore": "checkpoint restored",
    },
    "Files and projects": {
        "file.write": "file written",
        "file.move": "file moved",
        "file.remove": "file removed",
        "file.compose": "file put together",
        "file.mkdir": "folder made",
        "project.add": "project added",
        "project.clone": "project cloned",
        "project.remove": "project taken off the list",
        "project.visibility": "who sees a project changed",
        "project.member": "person let into a project, or given other rights there",
        "project.member_remove": "person taken out of a project",
        "worktree.add": "worktree made",
        "worktree.remove": "worktree removed",
    },
    "Sandboxes": {
        "sandbox.create": "sandbox created",
        "sandbox.pause": "sandbox paused",
        "sandbox.resume": "sandbox resumed",
        "sandbox.expire": "sandbox ended by its time",
        "sandbox.kill": "sandbox killed",
    },
}
_UNDONE = {"signin.code": "wrong sign-in link refused"}
ACTS: dict[str, Act] = {
    name: Act(name, group, words, _UNDONE.get(name, ""))
    for group, named in _GROUPS.items()
    for name, words in named.items()
}
