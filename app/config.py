"""The settings of the server: one frozen dataclass, read from the environment once."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from app.errors import Invalid
from app.proxies import networks

PREFIX = "SIGNALCABIN_"
# The APIs that clients speak here, with what people call them.
DIALECT_NAMES = {"opencode": "OpenCode", "roo": "RooCode", "codebuddy": "CodeBuddy", "rootcx": "RootCX", "e2b": "E2B"}
DIALECTS = tuple(DIALECT_NAMES)
LOOPBACK = ("127.0.0.1", "::1")
LONG_ENOUGH = 32  # characters of an owner's fixed token that nobody guesses, however often they may try
LONGEST_SOCKET = 103  # bytes: sun_path of macOS, and some more on Linux
VISIBILITIES = ("private", "team")
PRESETS = ("read-only", "ask", "accept-edits", "auto")


@dataclass(frozen=True)
class DialectPort:
    """A port that speaks one dialect; with a token's name, callers without credentials act as that token."""

    dialect: str
    port: int
    token: str | None = None


@dataclass(frozen=True)
class Limits:
    """What may be used at most: by a command (seconds, MiB of memory, processes, open files of each), by a run (MiB by
    which its files grow), by a person and by all together (runs at a time; further ones wait their turn).
    """

    seconds: int = 600
    memory: int = 2048
    processes: int = 512
    files: int = 256
    disk: int = 1024
    runs_per_user: int = 4
    runs: int = 50

    @classmethod
    def read(cls, text: str) -> Limits:
        """Read `seconds=1200,memory=4096`; raises Invalid for a name that is none of them."""
        given: dict[str, int] = {}
        for word in _words(text):
            name, _, number = word.partition("=")
            if name not in {field.name for field in fields(cls)} or not (number.isascii() and number.isdigit()):
                raise Invalid(f"{PREFIX}LIMITS is name=number by comma, not {word!r}.", "LIMITS")
            given[name] = int(number)
        if not all(given.values()):
            raise Invalid(f"{PREFIX}LIMITS are numbers above 0.", "LIMITS")
        return cls(**given)


@dataclass(frozen=True)
class Config:
    """Every setting, in the order of the README."""

    host: str = "127.0.0.1"
    port: int = 8000
    socket: Path | None = None  # in place of host and port
    data_dir: Path = Path("var")
    project: Path | None = None
    database_url: str = ""
    auth: str = "required"
    admin_token: str | None = None
    model: str | None = None
    server_keys: str = "everyone"  # who may spend the server's keys of providers: everyone | owners
    public_url: str | None = None
    registration: str = "invite"
    ports: tuple[DialectPort, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    outbound_allow: tuple[str, ...] = ()
    egress: str = ""  # ask | off | "" for what suits: ask with one person, off in a team
    worker_threads: int = 8
    streams_per_user: int = 200
    streams_per_server: int = 12_000
    durability: str = "normal"
    upload_limit: int = 1024
    roo_settings: Path | None = None
    checkpoint_days: int = 30
    checkpoint_keep: int = 20
    terminal_hours: int = 12  # without anybody at it and anything moving in it; 0: never ended for that
    limits: Limits = Limits()
    language_servers: bool = True
    formatters: bool = False
    client_waits: tuple[float, float, float] = (10, 20, 30)
    smtp_url: str = ""
    mail_from: str = ""
    query_password: bool = False
    codebuddy_auth: str = ""
    preset_ceiling: str = "auto"
    share: bool = True
    visibility: str = "team"  # of new sessions, until somebody chooses on a page
    model_waits: tuple[float, float, float] = (10, 60, 90)
    model_pause: float = 1.0  # the unit of the pauses between tries of a model, in seconds; only tests change it
    testing: bool = False

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in LOOPBACK

    @property
    def takes_query_password(self) -> bool:
        """Whether a CodeBuddy client may sign in by `?password=`: never by default, because addresses are kept."""
        return self.query_password or (self.codebuddy_auth == "password" and self.is_loopback)

    @property
    def url(self) -> str:
        """Where people reach the server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Config:
        """Read the settings; raises Invalid that names the setting and what it wants."""

        def get(name: str, default: str = "") -> str:
            return environ.get(PREFIX + name, default).strip()

        def path(name: str) -> Path | None:
            given = get(name)
            return Path(given).expanduser().absolute() if given else None

        data_dir = path("DATA_DIR") or Path("var").absolute()
        return cls(
            host=get("HOST") or environ.get("HOST", "").strip() or "127.0.0.1",
            port=_number("PORT", get("PORT") or environ.get("PORT", "").strip() or "8000"),
            socket=path("SOCKET"),
            data_dir=data_dir,
            project=path("PROJECT"),
            database_url=get("DATABASE_URL") or f"sqlite:///{data_dir / 'signalcabin.db'}",
            auth=_one_of("AUTH", get("AUTH") or "required", ("required", "none")),
            admin_token=get("ADMIN_TOKEN") or None,
            model=get("MODEL") or None,
            server_keys=_one_of("SERVER_KEYS", get("SERVER_KEYS") or "everyone", ("everyone", "owners")),
            public_url=get("PUBLIC_URL").rstrip("/") or None,
            registration=_one_of("REGISTRATION", get("REGISTRATION") or "invite", ("invite", "open", "closed")),
            ports=_ports(get("PORTS")),
            trusted_proxies=_words(get("TRUSTED_PROXIES")),
            allowed_hosts=_words(get("ALLOWED_HOSTS")),
            cors_origins=_words(get("CORS_ORIGINS")),
            outbound_allow=_words(get("OUTBOUND_ALLOW")),
            egress=_one_of("EGRESS", get("EGRESS"), ("", "ask", "off")),
            worker_threads=_number("WORKER_THREADS", get("WORKER_THREADS") or "8"),
            streams_per_user=_number("STREAMS_PER_USER", get("STREAMS_PER_USER") or "200"),
            streams_per_server=_number("STREAMS_PER_SERVER", get("STREAMS_PER_SERVER") or "12000"),
            durability=_one_of("DURABILITY", get("DURABILITY") or "normal", ("normal", "full")),
            upload_limit=_number("UPLOAD_LIMIT", get("UPLOAD_LIMIT") or "1024"),
            roo_settings=path("ROO_SETTINGS"),
            checkpoint_days=_number("CHECKPOINT_DAYS", get("CHECKPOINT_DAYS") or "30"),
            checkpoint_keep=_number("CHECKPOINT_KEEP", get("CHECKPOINT_KEEP") or "20"),
            terminal_hours=_number("TERMINAL_HOURS", get("TERMINAL_HOURS") or "12"),
            limits=Limits.read(get("LIMITS")),
            language_servers=_one_of("LANGUAGE_SERVERS", get("LANGUAGE_SERVERS") or "on", ("on", "off")) == "on",
            formatters=_one_of("FORMATTERS", get("FORMATTERS") or "off", ("on", "off")) == "on",
            client_waits=_waits("CLIENT_WAITS", get("CLIENT_WAITS") or "10,20,30"),
            smtp_url=get("SMTP_URL"),
            mail_from=get("MAIL_FROM"),
            query_password=get("QUERY_PASSWORD").lower() in ("1", "true", "yes", "on"),
            codebuddy_auth=environ.get("CODEBUDDY_GATEWAY_AUTH", "").strip().lower(),
            share=_one_of("SHARE", get("SHARE") or "on", ("on", "off")) == "on",
            visibility=_one_of("VISIBILITY", get("VISIBILITY") or "team", VISIBILITIES),
            preset_ceiling=_one_of("PRESET_CEILING", get("PRESET_CEILING") or "auto", PRESETS),
            model_waits=_waits("MODEL_WAITS", get("MODEL_WAITS") or "10,60,90"),
        ).checked()

    def checked(self) -> Config:
        """Refuse combinations that would let strangers in, and proxies that are none."""
        networks(self.trusted_proxies)
        if self.socket and not self.is_loopback:
            raise Invalid("SIGNALCABIN_SOCKET takes the place of a port: set no HOST beside it.", "SOCKET")
        if self.socket and len(os.fsencode(self.socket)) > LONGEST_SOCKET:
            raise Invalid(f"SIGNALCABIN_SOCKET is a path of {LONGEST_SOCKET} bytes at most.", "SOCKET")
        if self.auth == "none" and not self.is_loopback:
            raise Invalid("SIGNALCABIN_AUTH=none is for a loopback HOST only.", "AUTH")
        if not self.is_loopback and not self.public_url:
            raise Invalid("A HOST other than 127.0.0.1 or ::1 needs SIGNALCABIN_PUBLIC_URL.", "HOST")
        if not self.is_loopback and 0 < len(self.admin_token or "") < LONG_ENOUGH:
            told = f"An ADMIN_TOKEN that other machines can try has {LONG_ENOUGH} characters or more."
            raise Invalid(told, "ADMIN_TOKEN")
        if not self.is_loopback and any(port.token for port in self.ports):
            raise Invalid("PORTS bound to a token are for a loopback HOST only.", "PORTS")
        return self


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _number(name: str, text: str) -> int:
    if not text.isdigit() or not 0 <= int(text) < 65536:
        raise Invalid(f"{PREFIX}{name} is a whole number, not {text!r}.", name)
    return int(text)


def _waits(name: str, text: str) -> tuple[float, float, float]:
    """Read three waits in seconds, each above 0."""
    told = f"{PREFIX}{name} is three numbers of seconds above 0, by comma, not {text!r}."
    try:
        first, second, third = (float(word) for word in _words(text))
    except ValueError:
        raise Invalid(told, name) from None
    if not all(0 < wait < math.inf for wait in (first, second, third)):
        raise Invalid(told, name)
    return first, second, third


def _one_of(name: str, text: str, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise Invalid(f"{PREFIX}{name} is one of {', '.join(filter(None, choices))}, not {text!r}.", name)
    return text


def _ports(text: str) -> tuple[DialectPort, ...]:
    """Read `opencode=4096:NAME,roo=5000`."""
    ports = []
    for word in _words(text):
        dialect, _, rest = word.partition("=")
        number, _, token = rest.partition(":")
        ports.append(DialectPort(_one_of("PORTS", dialect, DIALECTS), _number("PORTS", number), token or None))
    return tuple(ports)


_current: Config | None = None


def keep_private(directory: Path) -> None:
    """Make a directory, or have one of ours be for us alone, whoever made it; one like /tmp stays as it is."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = directory.stat()
    if found.st_uid == os.geteuid() and found.st_mode & 0o077 and not found.st_mode & stat.S_ISVTX:
        directory.chmod(0o700)


def use(config: Config) -> None:
    """Make this the process's settings."""
    global _current
    _current = config


def current() -> Config:
    """The settings in use; before create_app there are none."""
    if _current is None:
        raise RuntimeError("no configuration is in use: create_app() sets it")
    return _current
