"""A file of Roo's as it was given: an export of its settings, or MCP servers or modes alone."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import Invalid, TooLarge

LARGEST = 1024 * 1024
DEEPEST = 30
MOST_PROFILES = 300
_MEANT = ("providerProfiles", "globalSettings", "mcpServers", "mcpSettings", "customModes", "apiConfigs")


class Profiles(BaseModel):
    """Roo's profiles, each with the fields of its provider, by name; which is current, and the ids of modes' own."""

    model_config = ConfigDict(extra="ignore", strict=True)
    current: str = Field(alias="currentApiConfigName", default="")
    configs: Annotated[dict[str, dict[str, Any]], Field(max_length=MOST_PROFILES)] = Field(
        alias="apiConfigs", default={}
    )
    linked: dict[str, str] = Field(alias="modeApiConfigs", default={})


class Export(BaseModel):
    """What a file holds of profiles, settings that are Roo's everywhere, and MCP servers."""

    model_config = ConfigDict(extra="ignore", strict=True)
    profiles: Profiles = Field(alias="providerProfiles", default_factory=Profiles)
    settings: dict[str, Any] = Field(alias="globalSettings", default={})
    servers: dict[str, Any] = Field(alias="mcpServers", default={})


def read(data: bytes) -> Export:
    """The file in one shape, whichever version of Roo wrote it.

    Raises TooLarge, and Invalid with the place of what is wrong in its words.
    """
    if len(data) > LARGEST:
        raise TooLarge(f"A file of settings has at most {LARGEST // 1024} KiB.")
    try:
        whole = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as wrong:
        raise Invalid(f"It is no JSON: line {wrong.lineno}, column {wrong.colno}: {wrong.msg}.", "file") from None
    if not isinstance(whole, dict) or not any(name in whole for name in _MEANT):
        raise Invalid(
            "These are no settings of Roo's: there is no providerProfiles, globalSettings or mcpServers.", "file"
        )
    at = _bad(whole)
    if at is not None:
        raise Invalid(f"{at or 'The file'}: it is deeper than {DEEPEST} levels, or has a NUL in it.", "file")
    try:
        return Export.model_validate(_in_one_shape(whole))
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False, include_context=False)[0]
        raise Invalid(f"{shown('.'.join(str(word) for word in first['loc']))}: {first['msg']}.", "file") from None


def shown(text: str) -> str:
    """A name of the file as it may be told."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:100])


def text_of(given: dict[str, Any], name: str) -> str:
    """A field's text, "" for anything else."""
    value = given.get(name)
    return value.strip() if isinstance(value, str) else ""


def _in_one_shape(whole: dict[str, Any]) -> dict[str, Any]:
    """With what older versions and single files have at the top in the places where an export has it."""
    given = {name: value for name, value in whole.items() if value is not None}
    if "apiConfigs" in given:
        given.setdefault("providerProfiles", {name: given[name] for name in given if name in _OF_PROFILES})
    profiles, settings = given.get("providerProfiles"), given.setdefault("globalSettings", {})
    if isinstance(settings, dict):
        if "customModes" in given:
            settings.setdefault("customModes", given["customModes"])
        linked = settings.pop("modeApiConfigs", None)
        if linked is not None and isinstance(profiles, dict):
            profiles.setdefault("modeApiConfigs", linked)
    if isinstance(profiles, dict):
        given["providerProfiles"] = {name: value for name, value in profiles.items() if value is not None}
    servers = given.get("mcpSettings")
    if isinstance(servers, dict):
        given.setdefault("mcpServers", servers.get("mcpServers", {}))
    return given


_OF_PROFILES = ("currentApiConfigName", "apiConfigs", "modeApiConfigs")


def _bad(value: Any, depth: int = 0) -> str | None:
    """The place of what no settings have, None if there is no such; it goes no deeper than they may be."""
    if depth > DEEPEST or (isinstance(value, str) and "\0" in value):
        return ""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        if "\0" in str(name):
            return ""
        at = _bad(one, depth + 1)
        if at is not None:
            return f"{shown(str(name))}.{at}".rstrip(".")
    return None
