"""What a call is in Roo's words: the subtype of its `ask` and the text that goes with it.

Pure.
"""

from __future__ import annotations

from typing import Any

import orjson

from app.approvals.service import LIMIT, Ask, paths_of

# What stands after an ask of this kind once its call has run.
_OUTPUTS = {"command": "command_output", "use_mcp_server": "mcp_server_response"}
_SUBTASKS = ("task", "new_task")
_READS = {"read": "readFile", "list": "listFilesTopLevel", "glob": "listFilesRecursive", "grep": "searchFiles"}
_EDITS = {"edit": "editedExistingFile", "multiedit": "editedExistingFile", "write": "newFileCreated"}
_PATCHES = ("patch", "apply_patch")
_OTHERS = {"task": "newTask", "todowrite": "updateTodoList", "todoread": "updateTodoList", "skill": "skill"}
_TOOLS = {
    "read": "read_file",
    "list": "list_files",
    "glob": "list_files",
    "grep": "search_files",
    "write": "write_to_file",
    "edit": "edit",
    "multiedit": "edit",
    "patch": "apply_patch",
    "apply_patch": "apply_patch",
    "bash": "execute_command",
    "shell": "execute_command",
    "webfetch": "browser_action",
    "question": "ask_followup_question",
    "task": "new_task",
    "new_task": "new_task",
    "switch_mode": "switch_mode",
    "todowrite": "update_todo_list",
    "todoread": "update_todo_list",
    "skill": "skill",
}


def tool_of(name: str) -> str:
    """The name that Roo has for a tool; what it does not know is of an MCP server."""
    return _TOOLS.get(name, "use_mcp_tool")


def output_of(tool: str, kind: str) -> str:
    """What stands after a call that has run, asked with this subtype; "" if nothing does.

    A subtask that ends asks nobody: its end is told by what came of it.
    """
    return "subtask_result" if tool in _SUBTASKS else _OUTPUTS.get(kind, "")


def of_ask(ask: Ask) -> tuple[str, str]:
    """The subtype and text of what waits for a person, or once did."""
    if ask.kind == "question":
        return "followup", _question(ask.questions)
    if ask.tool == "network":
        return "browser_action_launch", f"{ask.input.get('host', '')}:{ask.input.get('port', '')}"
    if ask.tool == LIMIT:
        return LIMIT, _json(count=ask.input["count"], type=ask.input["type"])
    if ask.tool == "doom_loop":
        return "mistake_limit_reached", ask.title
    return of_call(ask.tool, {"input": ask.input, "metadata": ask.metadata}, None)


def of_call(tool: str, state: dict[str, Any], ask: Ask | None) -> tuple[str, str]:
    """The subtype and text of a tool call; `state` is its state in the transcript, `ask` what it asked, if it did."""
    given: dict[str, Any] = state["input"] if isinstance(state.get("input"), dict) else {}
    more = {**(ask.metadata if ask else {}), **(state.get("metadata") or {})}
    if tool == "question":
        return "followup", _question(ask.questions if ask else given.get("questions", []))
    if tool in ("bash", "shell"):
        return "command", str(given.get("command", ""))
    if tool == "webfetch":
        return "browser_action_launch", str(given.get("url", ""))
    if "server" in more and "definition" in more:
        return "use_mcp_server", _json(
            serverName=more["server"], type="use_mcp_tool", toolName=more.get("name", tool), arguments=_json(**given)
        )
    return "tool", _tool(tool, given, more)


def _tool(tool: str, given: dict[str, Any], more: dict[str, Any]) -> str:
    path = ", ".join(paths_of(tool, given))
    if tool in _READS:
        known = {name: given[key] for name, key in (("regex", "pattern"), ("filePattern", "include")) if given.get(key)}
        return _json(tool=_READS[tool], path=path, **known)
    if tool in _EDITS or tool in _PATCHES:
        named = _EDITS.get(tool, "appliedDiff")
        exists = more.get("exists", named != "newFileCreated")
        named = "editedExistingFile" if named == "newFileCreated" and exists else named
        known = {"diff": more["diff"]} if more.get("diff") else {}
        content = {"content": given["content"]} if named == "newFileCreated" and "content" in given else {}
        return _json(tool=named, path=path, **known, **content)
    if tool == "switch_mode":
        slug = more.get("mode") or given.get("mode_slug", "")
        return _json(tool="switchMode", mode=slug, reason=given.get("reason", ""))
    if tool == "new_task":
        return _json(tool="newTask", mode=given.get("mode", ""), content=given.get("message", ""))
    if tool == "task":
        return _json(tool="newTask", mode=given.get("subagent_type", ""), content=given.get("prompt", ""))
    return _json(tool=_OTHERS.get(tool, tool), **({"input": given} if given else {}))


def _question(questions: list[dict[str, Any]]) -> str:
    asked = [one for one in questions if isinstance(one, dict)]
    suggest = [{"answer": str(option.get("label", ""))} for one in asked for option in one.get("options") or []]
    return _json(question="\n".join(str(one.get("question", "")) for one in asked), suggest=suggest)


def _json(**fields: Any) -> str:
    return orjson.dumps(fields, default=str).decode()
