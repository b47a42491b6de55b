"""`python -m app user`, at the server's own shell."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app import cli
from app.accounts import service
from app.actor import Actor
from app.errors import Unauthenticated

PASSWORD = "tractor-lamp-9"


@pytest.fixture
def shell(alice: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """A shell whose environment names the data directory of the cast."""
    monkeypatch.setenv("SIGNALCABIN_DATA_DIR", str(tmp_path))
    return CliRunner()


def run(shell: CliRunner, *words: str, says: str = "") -> Result:
    return shell.invoke(cli.main, ["user", *words], input=says)


def test_a_forgotten_password_is_set_anew(shell: CliRunner, alice: Actor) -> None:
    done = run(shell, "password", "Alice@example.org", says=f"{PASSWORD}\n{PASSWORD}\n")
    assert done.exit_code == 0, done.output
    assert PASSWORD not in done.output
    service.sign_in("alice@example.org", PASSWORD, "127.0.0.1")


@pytest.mark.parametrize(
    ("email", "password"), [("nobody@example.org", PASSWORD), ("alice@example.org", "short")], ids=["nobody", "weak"]
)
def test_what_cannot_be_is_one_line(shell: CliRunner, email: str, password: str) -> None:
    done = run(shell, "password", email, "--password", password)
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    with pytest.raises(Unauthenticated):
        service.sign_in("alice@example.org", password, "127.0.0.1")


def test_somebody_is_added_and_gets_a_link(shell: CliRunner, alice: Actor) -> None:
    done = run(shell, "add", "dora@example.org", "--role", "viewer")
    assert done.exit_code == 0, done.output
    actor, _sid = service.redeem(done.output.strip().partition("#")[2], "127.0.0.1")
    assert (actor.name, service.me(actor).role) == ("dora", "viewer")
    assert "dora@example.org\tdora\tviewer" in run(shell, "list").output
    assert run(shell, "add", "dora@example.org").exit_code == 1
    assert run(shell, "add", "eve@example.org", "--role", "king").exit_code == 1
