"""The command line: `python -m app serve | worker | migrate | token | signin | user | export | rooms | project`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from app.config import DIALECTS, Config
from app.errors import Problem
from app.gate import Allowed


@click.group()
def main() -> None:
    """Signalcabin: the server that a team's coding agents report to."""


@main.command()
@click.option("--port", type=int, help="Listen here instead of SIGNALCABIN_PORT.")
def serve(port: int | None) -> None:
    """Run the server."""
    from app import server

    environ = dict(os.environ)
    if port is not None:
        environ["SIGNALCABIN_PORT"] = str(port)
    server.serve(_config(environ))


@main.command()
def worker() -> None:
    """Take runs and jobs beside a serving process, on the same database and the same machine."""
    from app import server

    server.work(_config())


@main.command()
def migrate() -> None:
    """Bring the database to this version's schema."""
    from app import migrate as migrations

    settings = _config()
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
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

    with create_app(_config()).app_context():
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
    return settings
