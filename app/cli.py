"""The command line: `python -m app serve | worker | migrate | token | export | rooms | …`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from app.config import DIALECTS, Config, keep_private
from app.errors import Problem
from app.gate import Allowed


@click.group()
def main() -> None:
    """Signalcabin: the server that a team's coding agents report to."""


@main.command()
@click.option("--host", help="Listen here instead of SIGNALCABIN_HOST.")
@click.option("--port", type=int, help="Listen here instead of SIGNALCABIN_PORT.")
@click.option("--socket", help="Listen on a Unix socket of this path, for this user alone, instead of a port.")
def serve(host: str | None, port: int | None, socket: str | None) -> None:
    """Run the server."""
    from app import server

    environ = dict(os.environ)
    if host is not None:
        environ["SIGNALCABIN_HOST"] = host
    if port is not None:
        environ["SIGNALCABIN_PORT"] = str(port)
    if socket is not None:
        environ["SIGNALCABIN_SOCKET"] = socket
    server.serve(_config(environ))


@main.command()
def worker() -> None:
    """Take runs and jobs beside a serving process, on the same database and the same machine."""
    from app import server

    try:
        server.work(_config())
    except Problem as problem:
        raise click.ClickException(problem.message) from None


@main.command()
def migrate() -> None:
    """Bring the database to this version's schema."""
    from app import migrate as migrations

    settings = _config()
    keep_private(settings.data_dir)
    migrations.upgrade(settings.database_url)


@main.command()
def signin() -> None:
    """Print a new one-time sign-in link of the owner (10 minutes)."""
    from app.accounts import service as accounts

    settings = _open()
    click.echo(f"{settings.url}/signin#{accounts.sign_in_code(accounts.local_owner())}")


@main.group()
def user() -> None:
    """The people who may sign in."""


@user.command("list")
def user_list() -> None:
    """Print everybody who is here: email, name and role."""
    from app.accounts import service as accounts

    _open()
    for one in accounts.list_users(accounts.local_owner()):
        if one.revoked is None:
            click.echo(f"{one.email or '-'}\t{one.name}\t{one.role}")


@user.command("add")
@click.argument("email")
@click.option("--name", help="What they are called; the email's first part without.")
@click.option("--role", default="member", help="member without.")
def user_add(email: str, name: str | None, role: str) -> None:
    """Add a person and print a one-time sign-in link for them (10 minutes)."""
    from app.accounts import service as accounts

    settings = _open()
    owner = accounts.local_owner()
    try:
        made = accounts.create_user(owner, name or email.partition("@")[0], email, role)
    except Problem as problem:
        raise click.ClickException(problem.message) from None
    click.echo(f"{settings.url}/signin#{accounts.sign_in_code(owner, made.id)}")


@user.command("owner")
@click.argument("email")
@click.option("--name", default="", help="What they are called; the email's first part without.")
@click.option("--stdin", "is_piped", is_flag=True, help="Read the password from standard input, one line.")
def user_owner(email: str, name: str, is_piped: bool) -> None:
    """Give the owner their email and password before the first start, which a HOST beyond this machine asks for."""
    from app import migrate as migrations
    from app.accounts import service as accounts

    settings = _config()
    keep_private(settings.data_dir)
    migrations.upgrade(settings.database_url)
    _open()
    password = sys.stdin.readline().rstrip("\n") if is_piped else ""
    password = password or click.prompt("New password", hide_input=True, confirmation_prompt=True)
    try:
        owner = accounts.settle(accounts.local_owner(), accounts.Newcomer(email, password, name))
    except Problem as problem:
        raise click.ClickException(problem.message) from None
    click.echo(f"{owner.email} owns this server and signs in with the password.")


@user.command("password")
@click.argument("email")
@click.password_option(prompt="New password", help="Asked for without.")
def user_password(email: str, password: str) -> None:
    """Set a person's password, and sign all their devices out."""
    from app.accounts import service as accounts

    _open()
    owner = accounts.local_owner()
    try:
        accounts.reset_password(owner, accounts.user_of(owner, email).id, password)
    except Problem as problem:
        raise click.ClickException(problem.message) from None


@main.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help="A grant such as sessions:*; all of the owner's without.")
@click.option("--days", type=int, help="Expires after so many days; never without.")
@click.option("--project", help="The path of the only project it may touch.")
@click.option("--dialect", type=click.Choice(DIALECTS), help="Of the form that this dialect's clients want.")
@click.option("--agent", is_flag=True, help="For an agent: it never answers, configures, mints or shares.")
def token(
    name: str, scopes: tuple[str, ...], days: int | None, project: str | None, dialect: str | None, agent: bool
) -> None:
    """Mint an API token of the owner and print it, once."""
    from app import ids
    from app.accounts import service as accounts
    from app.projects import service as projects

    _open()
    bound = projects.resolve(accounts.local_owner(), project).project.id if project else None
    expires = ids.now() + days * 86_400_000 if days else None
    owner, held = accounts.local_owner(), scopes or ("*",)
    _token, secret = accounts.mint_token(owner, name, held, expires, bound, dialect or "", is_agent=agent)
    click.echo(secret)


@main.command()
@click.argument("session")
@click.option("--format", "kind", type=click.Choice(["md", "json", "html"]), default="md", help="md without.")
@click.option("--out", type=click.Path(path_type=Path), help="The file to write; standard output without.")
def export(session: str, kind: str, out: Path | None) -> None:
    """Write a session's transcript as Markdown, JSON or HTML."""
    from app import create_app
    from app.accounts import service as accounts
    from app.secrets import service as secrets
    from app.sessions.pages import export as files

    app = create_app(_config())
    _check_schema()
    with app.app_context():
        secrets.watch_all()
        try:
            _name, pieces = files.written(accounts.local_owner(), session, kind)
        except Problem as problem:
            raise click.ClickException(problem.message) from None
        with click.open_file(str(out or "-"), "w", encoding="utf-8") as file:
            for piece in pieces:
                file.write(piece)


@main.command()
def rooms() -> None:
    """Print the grid of rooms by dialects: endpoints built of endpoints named in the documents."""
    from app.dialects import seed

    click.echo(seed.grid())


@main.group("import")
def take() -> None:
    """Settings of other programs."""


@take.command("roo")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--apply/--dry-run", "does", default=True, help="Take over, or only say what that would be.")
@click.option("--project", help="The path of the workspace that it is for; the usual one without.")
@click.option("--skip", "skipped", multiple=True, metavar="KEY", help="Leave out what has this key in the plan.")
@click.option("--replace", "replaced", multiple=True, metavar="KEY", help="Replace what the plan says stays otherwise.")
@click.option("--env", "variables", multiple=True, metavar="NAME", help="Give MCP servers this variable of yours.")
def import_roo(
    file: Path, *, does: bool, project: str | None, skipped: tuple[str, ...], replaced: tuple[str, ...],
    variables: tuple[str, ...],
) -> None:  # fmt: skip
    """Take over an export of Roo's settings, or its mcp_settings.json.

    Prints the plan, item by item. Exits with 1 where the file cannot be read or nothing is there to do it on.
    """
    from app import record, rooms
    from app.accounts import service as accounts
    from app.agent import importing
    from app.projects import service as projects
    from app.wake import Ringer

    settings = _open()
    rooms.import_models()
    values = {name: os.environ[name] for name in variables if os.environ.get(name)}
    try:
        with file.open("rb") as given:
            data = given.read(importing.LARGEST + 1)
        owner = accounts.local_owner()
        place = projects.resolve(owner, project)
        plan = importing.plan(owner, place, data, values)
        record.use(Ringer(settings.data_dir))
        keys = {*plan.usual, *replaced} - set(skipped) if does else set()
        done = importing.carry_out(owner, place, plan, keys)
    except OSError as wrong:
        raise click.ClickException(f"{file}: {wrong.strerror}.") from None
    except Problem as problem:
        raise click.ClickException(problem.message) from None
    click.echo(importing.told(done, is_dry=not does))


@main.group()
def project() -> None:
    """The directories that agents may work in."""


@project.command("add")
@click.argument("path")
def project_add(path: str) -> None:
    """Register a directory, or clone a URL."""
    from app.accounts import service as accounts
    from app.projects import service as projects

    _open()
    where = str(Path(path).expanduser().absolute()) if "://" not in path else path
    click.echo(projects.add(accounts.local_owner(), where).root)


@main.group()
def secrets() -> None:
    """The vault's keys."""


@secrets.command("rotate-keys")
def rotate_keys() -> None:
    """Seal every secret anew under a new master key, also while the server runs; goes on where one was broken off."""
    from app.accounts import service as accounts
    from app.secrets import service as vault

    _open()
    try:
        newest = vault.rotate_key(
            accounts.local_owner(), lambda done, of: click.echo(f"{done} of {of} scopes", err=True)
        )
    except Problem as problem:
        raise click.ClickException(problem.message) from None
    click.echo(f"All secrets are sealed under the master key {newest}.")


@secrets.command("keys")
def secret_keys() -> None:
    """Tell which master keys are in use, with how many scopes and values are sealed with each."""
    from app.accounts import service as accounts
    from app.secrets import service as vault

    _open()
    for key in vault.keys_in_use(accounts.local_owner()):
        words = ["current" if key.is_current else "older", *([] if key.is_here else ["MISSING"])]
        click.echo(f"{key.id}  {key.scopes} scopes  {key.values} values  {', '.join(words)}")


@main.group()
def audit() -> None:
    """The record of who did what."""


@audit.command("verify")
@click.option("--copy", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="An SQLite copy to look at.")
@click.option("--checkpoint", help="PLACE:HASH as an earlier look has printed it.")
def audit_verify(copy: Path | None, checkpoint: str | None) -> None:
    """Follow the whole chain; prints its head, or what is wrong and the entry, and then exits with 1.

    The head is compared with the one that this server has signed, also for a copy. Nothing is written.
    """
    from app.audit import service as audits

    settings = _open()
    try:
        noted = audits.Checkpoint.parse(checkpoint) if checkpoint else None
        verdict = audits.follow(_reading(copy), settings.data_dir, _say_progress, noted)
    except Problem as problem:
        raise click.ClickException(problem.message) from None
    if not verdict.ok:
        where = f"Entry {verdict.first_bad}: " if verdict.first_bad is not None else ""
        raise click.ClickException(f"{where}{verdict.reason} {verdict.sealed} entries before it hold.")
    click.echo(f"Whole: {verdict.sealed} entries, {verdict.unsealed} not yet sealed.")
    click.echo(f"Checkpoint {verdict.sealed}:{verdict.head}")


@audit.command("export")
@click.option("--format", "kind", type=click.Choice(["jsonl", "csv"]), default="jsonl", help="jsonl without.")
@click.option("--out", type=click.Path(path_type=Path), help="The file to write; standard output without.")
def audit_export(kind: str, out: Path | None) -> None:
    """Write the whole record, oldest entry first."""
    from app.accounts import service as accounts
    from app.audit import service as audits

    _open()
    with click.open_file(str(out or "-"), "wb") as file:
        for piece in audits.export(accounts.local_owner(), kind):
            file.write(piece)


def _say_progress(done: int, of: int) -> None:
    click.echo(f"{done} of {of}", err=True)


def _reading(copy: Path | None) -> Any:
    """How to read the database in use, or a copy of one that nothing is written to, not even beside it."""
    import sqlite3

    import orjson
    import sqlalchemy as sa

    from app import db

    if copy is None:
        return db.read
    wal = copy.with_name(copy.name + "-wal")
    mode = "mode=ro" if wal.exists() and wal.stat().st_size else "immutable=1"
    address = f"{copy.absolute().as_uri()}?{mode}"
    engine = sa.create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(address, uri=True), json_deserializer=orjson.loads
    )
    return engine.connect


def _config(environ: dict[str, str] | None = None) -> Config:
    try:
        settings = Config.from_environ(os.environ if environ is None else environ)
        Allowed.read(settings.outbound_allow)
    except Problem as problem:
        raise click.ClickException(problem.message) from None
    return settings


def _open() -> Config:
    from app import config, db

    settings = _config()
    config.use(settings)
    db.use(db.Database(settings.database_url, settings.durability))
    _check_schema()
    return settings


def _check_schema() -> None:
    from app import schema

    try:
        schema.check()
    except Problem as problem:
        raise click.ClickException(problem.message) from None
