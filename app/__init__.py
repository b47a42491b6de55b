"""Signalcabin: the server that a team's coding agents report to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.config import Config
    from app.dialects.mount import Cabin

__version__ = "0.1.0"
_ROOT = Path(__file__).parent.parent


def create_app(config: Config) -> Cabin:
    """Build the web application on this configuration: database, rooms, then the mount in front of them."""
    return put_to_use(assemble(), config)


def put_to_use(app: Cabin, config: Config) -> Cabin:
    """Have an assembled application answer on this configuration, whichever it answered on before."""
    from app import config as configuration
    from app import db, mail
    from app.dialects.mount import Mount
    from app.gate import Allowed
    from app.guard import Guard

    Allowed.read(config.outbound_allow)
    if config.smtp_url:
        mail.Server.read(config.smtp_url)
    configuration.use(config)
    configuration.keep_private(config.data_dir)
    db.use(db.Database(config.database_url, config.durability))
    mounted = Mount(app.answer, app.owners, config.ports)
    app.wsgi_app = Guard(mounted, config)  # type: ignore[method-assign]
    return app


def assemble() -> Cabin:
    """Open every door of every room and wire the web into them; nothing of it depends on a configuration."""
    from flask import request

    from app import db, record, rooms, web, web_asks, web_filters, web_marks
    from app.accounts import service as accounts
    from app.actor import Actor, Credentials
    from app.audit import service as audit
    from app.dialects import registry
    from app.dialects.mount import Cabin, Owners

    app = Cabin("app", template_folder=str(_ROOT / "templates"), static_folder=str(_ROOT / "static"))
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    web_filters.register(app)
    web_marks.register(app)
    web_asks.register(app)

    def identify(given: Credentials, via: str, address: str) -> accounts.Identity | None:
        return accounts.identify(given, dialect=via, address=address)

    def note_change(actor: Actor, what: str, port: str) -> None:
        with db.transaction() as connection:
            record.audit(connection, actor, "port.change", what, {"port": port, "token": actor.name})

    def note_denial(actor: Actor | None, action: str, target: str, detail: dict[str, Any]) -> None:
        stranger = Actor("", "user", "", "", (), via=web.dialect(), address=request.remote_addr or "")
        audit.note_denial(actor or stranger, action, target, detail)

    web.install(app, identify, accounts.may, accounts.renew_due, registry, note_change, note_denial)
    record.register_request(web.request_id)
    rooms.register(app)
    app.owners = Owners(app.url_map, registry)
    return app
