"""The tools of a project's MCP servers, as tools of an agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.actor import Actor
from app.agent.tools.tool import Given, Prepared, Result, Tool, ToolContext, ToolError
from app.errors import NotFound
from app.mcp import service as mcp
from app.mcp.service import RemoteTool
from app.projects import service as projects


class Anything(Given):
    """An input that its server checks."""

    arguments: dict[str, Any]


@dataclass(frozen=True)
class McpTool(Tool[Anything]):
    """One of them: its schema is the server's own."""

    given: Mapping[str, Any] | None = None

    def parse(self, given: Mapping[str, Any]) -> Anything:
        """Whatever the model gives: the server says what is wrong with it."""
        return Anything(arguments=dict(given))

    def schema(self) -> dict[str, Any]:
        """The server's schema."""
        return dict(self.given or {})


def of(actor: Actor, directory: str) -> dict[str, Tool[Any]]:
    """The tools that the servers of a directory's project have now, by name: none of one that fails."""
    try:
        place = projects.resolve(actor, directory)
    except NotFound:
        return {}
    return {tool.id: _tool(actor, directory, tool) for tool in mcp.tools(actor, place)}


def always_allowed(actor: Actor, directory: str) -> tuple[str, ...]:
    """The names of those tools which their servers' settings let run unasked, where a person's switches do."""
    try:
        return mcp.always_allowed(actor, projects.resolve(actor, directory))
    except NotFound:
        return ()


def _tool(actor: Actor, directory: str, tool: RemoteTool) -> McpTool:
    shown = {"server": tool.server, "name": tool.name, "definition": tool.definition}

    def prepare(_ctx: ToolContext, _given: Anything) -> Prepared:
        return Prepared(f"{tool.server}: {tool.name}", {**shown, "description": tool.description})

    def run(ctx: ToolContext, given: Anything) -> Result:
        def tell(done: float, total: float | None, message: str | None) -> None:
            ctx.progress({"progress": {"done": done, "total": total, "message": message}})

        place = projects.resolve(actor, directory)
        answer = mcp.call(actor, place, tool, given.arguments, tell, ctx.cancel)
        if answer is None:
            raise ToolError("The call was stopped.")
        if answer.is_error:
            raise ToolError(answer.text or "The tool failed and did not say why.")
        return Result(answer.text, f"{tool.server}: {tool.name}", shown, attachments=answer.attachments)

    return McpTool(tool.id, tool.description, Anything, prepare, run, given=tool.schema)
