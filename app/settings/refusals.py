"""What a configuration may say in OpenCode's words and would never do here: refused with the reason when it is set, and
told beside a project's files, which say it all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.settings import schema
from app.settings.layers import NOT_OF_FILES, spelled

# A path in a configuration, * for any one word, and why nothing comes of what stands there.
IDLE: dict[tuple[str, ...], str] = {
    ("mcp",): "MCP servers are added with POST /mcp or on the MCP page, by who may name a command.",
    ("lsp",): "Language servers are the server's own, not a configuration's.",
    ("formatter",): "This server runs no formatters.",
    ("plugin",): "This server runs no plugins of OpenCode.",
    ("shell",): "The shell is the server's own.",
    ("server",): "How this server listens is said by its environment.",
    ("enterprise",): "There is no enterprise server here.",
    ("experimental",): "None of OpenCode's experiments is here.",
    ("skills",): "Skills are read from a project's and the server's own folders alone.",
    ("references",): "There are no references here.",
    ("reference",): "There are no references here.",
    ("attachment",): "Pictures are sent as they are.",
    ("snapshot",): "Checkpoints are always made.",
    ("subagent_depth",): "How deep subagents go is not for a configuration.",
    ("tool_output",): "How much of an output a model is told is not for a configuration.",
    ("watcher",): "What is watched is not for a configuration.",
    ("logLevel",): "How much is logged is said by the server's environment.",
    **{
        ("compaction", key): "Of compaction, `auto` can be set."
        for key in schema.Compaction.model_fields
        if key != "auto"
    },
    **{(key, "*", "steps"): "Steps are bounded by the limits of runs." for key in ("agent", "mode")},
    **{
        (
            "provider",
            "*",
            key,
        ): f"Of a provider, {key} has no part here: options.apiKey, options.baseURL and models have."
        for key in ("api", "env", "id", "whitelist", "blacklist")
    },
    ("provider", "*", "models", "*", "headers"): "Headers are sent to a provider as a whole: options.headers.",
}
_MODE = {field.alias or name for name, field in schema.Agent.model_fields.items()}
# Where nothing, or no, is what is here anyhow.
_NOTHING = ("mcp", "formatter", "plugin", "experimental", "enterprise", "skills", "references", "reference")
_OPTIONS = ("apiKey", "baseURL", "headers")


def of(data: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What in a valid configuration has no effect: where it stands, and why."""
    for pattern, why in IDLE.items():
        for path in _found(data, pattern, ()):
            if not (path[0] in _NOTHING and not data[path[0]]) and not (path == ("snapshot",) and data["snapshot"]):
                yield path, why
    if data.get("share") == "auto" or data.get("autoshare"):
        yield ("share",), "Sessions are shared one by one, by people: share is manual or disabled."
    for key in ("agent", "mode"):
        for name, one in _items(data.get(key)):
            for option in [given for given in one if given not in _MODE]:
                yield (key, name, option), "Options for a model are written at it: provider.NAME.models.MODEL.options."
    for name, one in _items(data.get("provider")):
        for option in [given for given in one.get("options") or () if given not in _OPTIONS]:
            yield (
                ("provider", name, "options", option),
                "Of a provider's options, apiKey, baseURL and headers are used.",
            )


def narrowings(data: Mapping[str, Any], trusted: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What of a project's file is not in force beside the trusted configuration: where it stands, and why."""
    for key in [key for key in NOT_OF_FILES if key in data]:
        yield (key,), "A repository does not say what runs, listens or publishes by itself."
    for path, given in _permissions(data):
        if any(action == "allow" for _tool, _pattern, action in spelled(given)):
            yield path, "“allow” grants nothing in a repository's file; what it denies and asks holds."
    for name, _one in _items(data.get("provider")):
        if name in _dict(trusted, "provider"):
            yield ("provider", name), "It is configured outside of the repository, and that goes first."
        else:
            yield (
                ("provider", name),
                "It gets no key of this server, and is the default of nothing: a person has to choose it.",
            )
    for path, name in _models(data):
        provider = name.partition("/")[0]
        if provider in _dict(data, "provider") and provider not in _dict(trusted, "provider"):
            yield (
                path,
                f"{provider} is the repository's own: unless people here have it too, a person has to choose it.",
            )
    if isinstance(tools := data.get("tools"), dict) and any(value is True for value in tools.values()):
        yield ("tools",), "Tools are only turned off by a repository."


def _permissions(data: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield ("permission",), data.get("permission")
    for key in ("agent", "mode"):
        for name, one in _items(data.get(key)):
            yield (key, name, "permission"), one.get("permission")


def _models(data: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    for key in ("model", "small_model"):
        yield (key,), str(data.get(key, ""))
    for key in ("agent", "mode"):
        for name, one in _items(data.get(key)):
            yield (key, name, "model"), str(one.get("model", ""))


def _dict(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def _found(data: Any, pattern: tuple[str, ...], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The places that a pattern means and where something stands."""
    if not pattern:
        yield path
        return
    here = data if isinstance(data, Mapping) else {}
    for word in list(here) if pattern[0] == "*" else [pattern[0]]:
        if here.get(word) is not None:
            yield from _found(here[word], pattern[1:], (*path, str(word)))


def _items(given: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(str(key), one) for key, one in given.items() if isinstance(one, dict)] if isinstance(given, dict) else []
