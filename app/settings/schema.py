"""What OpenCode's configuration may hold, in the words of both generations of its servers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Action = Literal["ask", "allow", "deny"]
Text = Annotated[str, Field(max_length=64 * 1024)]
Word = Annotated[str, Field(max_length=400)]
Words = Annotated[list[Word], Field(max_length=1000)]
Texts = Annotated[dict[Word, Text], Field(max_length=200)]
Permission = Action | Annotated[dict[Word, Action | dict[Word, Action]], Field(max_length=200)]
Switches = Annotated[dict[Word, bool], Field(max_length=1000)]
Positive = Annotated[int, Field(gt=0)]


class Strict(BaseModel):
    """A part that has these keys and no others; what is not given is None."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class Agent(BaseModel):
    """A mode; further keys are options for its model's server, as OpenCode has it."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, defer_build=True)
    description: Text | None = None
    mode: Literal["primary", "subagent", "all"] | None = None
    model: Word | None = None
    prompt: Text | None = None
    temperature: float | int | None = Field(default=None, ge=0, le=2)
    top_p: float | int | None = Field(default=None, ge=0, le=1)
    tools: Switches | None = None
    permission: Permission | None = None
    disable: bool | None = None
    hidden: bool | None = None
    steps: Positive | None = None


class Command(Strict):
    """A slash command."""

    template: Text
    description: Text | None = None
    agent: Word | None = None
    model: Word | None = None
    variant: Word | None = None
    subtask: bool | None = None


class Cost(BaseModel):
    """Dollars for a million tokens."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, defer_build=True)
    input: float | int = Field(ge=0)
    output: float | int = Field(ge=0)
    cache_read: float | int | None = Field(default=None, ge=0)
    cache_write: float | int | None = Field(default=None, ge=0)


class Limit(Strict):
    """Sizes in tokens."""

    context: float | int = Field(ge=0)
    output: float | int = Field(ge=0)
    input: float | int | None = Field(default=None, ge=0)


class Model(BaseModel):
    """A model of a provider; both generations let it have further keys."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, defer_build=True)
    id: Word | None = None
    name: Word | None = None
    attachment: bool | None = None
    tool_call: bool | None = None
    cost: Cost | None = None
    limit: Limit | None = None
    options: dict[str, Any] | None = None
    headers: Texts | None = None


class Options(BaseModel):
    """How a provider is reached."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, defer_build=True)
    api_key: Text | None = Field(default=None, alias="apiKey")
    base_url: Word | None = Field(default=None, alias="baseURL")
    headers: Texts | None = None


class Provider(Strict):
    """A provider of models."""

    api: Word | None = None
    name: Word | None = None
    env: Words | None = None
    id: Word | None = None
    npm: Word | None = None
    whitelist: Words | None = None
    blacklist: Words | None = None
    models: Annotated[dict[Word, Model], Field(max_length=2000)] | None = None
    options: Options | None = None


class Tui(BaseModel):
    """How the terminal client scrolls."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, defer_build=True)
    scroll_speed: float | int | None = Field(default=None, ge=1)


class Watcher(Strict):
    """What is not watched."""

    ignore: Words | None = None


class Skills(Strict):
    """Further places of skills."""

    paths: Words | None = None
    urls: Words | None = None


class Compaction(Strict):
    """When conversations are summed up."""

    auto: bool | None = None
    prune: bool | None = None
    tail_turns: int | None = Field(default=None, ge=0)
    preserve_recent_tokens: int | None = Field(default=None, ge=0)
    reserved: int | None = Field(default=None, ge=0)


class Server(Strict):
    """How OpenCode's own server listens; ours has settings of its own for that."""

    port: Positive | None = None
    hostname: Word | None = None
    mdns: bool | None = None
    mdns_domain: Word | None = Field(default=None, alias="mdnsDomain")
    cors: Words | None = None


class Enterprise(Strict):
    """OpenCode's enterprise server."""

    url: Word | None = None


class ToolOutput(Strict):
    """How much of a tool's output a model is told."""

    max_lines: Positive | None = None
    max_bytes: Positive | None = None


class Config(Strict):
    """OpenCode's configuration; what it names by itself (servers, formatters, plugins) is kept as it is written."""

    json_schema: Word | None = Field(default=None, alias="$schema")
    theme: Word | None = None
    keybinds: Texts | None = None
    tui: Tui | None = None
    layout: Literal["auto", "stretch"] | None = None
    username: Word | None = None
    model: Annotated[Word, Field(pattern=r"^[^/\s]+/\S+$")] | None = None
    small_model: Annotated[Word, Field(pattern=r"^[^/\s]+/\S+$")] | None = None
    default_agent: Word | None = None
    agent: Annotated[dict[Word, Agent | None], Field(max_length=200)] | None = None
    mode: Annotated[dict[Word, Agent | None], Field(max_length=200)] | None = None
    command: Annotated[dict[Word, Command | None], Field(max_length=500)] | None = None
    permission: Permission | None = None
    tools: Switches | None = None
    instructions: Words | None = None
    provider: Annotated[dict[Word, Provider | None], Field(max_length=200)] | None = None
    disabled_providers: Words | None = None
    enabled_providers: Words | None = None
    share: Literal["manual", "auto", "disabled"] | None = None
    autoshare: bool | None = None
    autoupdate: bool | Literal["notify"] | None = None
    snapshot: bool | None = None
    subagent_depth: int | None = Field(default=None, ge=0)
    compaction: Compaction | None = None
    tool_output: ToolOutput | None = None
    watcher: Watcher | None = None
    skills: Skills | None = None
    references: dict[Word, Any] | None = None
    reference: dict[Word, Any] | None = None
    attachment: dict[Word, Any] | None = None
    enterprise: Enterprise | None = None
    experimental: dict[Word, Any] | None = None
    server: Server | None = None
    shell: Word | None = None
    log_level: Literal["DEBUG", "INFO", "WARN", "ERROR"] | None = Field(default=None, alias="logLevel")
    mcp: dict[Word, dict[str, Any]] | None = None
    lsp: bool | dict[Word, dict[str, Any]] | None = None
    formatter: bool | dict[Word, dict[str, Any]] | None = None
    plugin: list[Any] | None = None

    def shown(self) -> dict[str, Any]:
        """Plain data with OpenCode's spelling of the keys: what was given, and nothing else."""
        return self.model_dump(by_alias=True, exclude_unset=True)
