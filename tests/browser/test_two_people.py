"""A team at work: one starts, another answers from a phone, a third may only watch, a fourth finds nothing; all of it
is in the record, which verifies, and an edited copy of which does not.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import repository
from tests.browser.conftest import Open, Shop, signed_in
from tests.model_server import ModelServer
from tests.running import ROOT, Running

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
FORGES = "DROP TRIGGER audit_no_update; UPDATE audit SET user = 'usr_somebody_else' WHERE action = 'approval.answer'"


@pytest.fixture
def team(browser: Browser, tmp_path: Path) -> Iterator[Shop]:
    """A server of its own, on which people whom the owner lets in work together."""
    root = repository.make(tmp_path / "shop")
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(tmp_path / "data", root, **settings) as running:
            yield Shop(running, root, model, signed_in(browser, running))


def joined(team: Shop, page: Page, name: str, role: str) -> Page:
    """Somebody comes by a link with this role."""
    given = {"email": f"{name.lower()}@example.com", "roles": [role]}
    status, made = team.running.call("POST", "/api/v1/auth/magic-link/generate", given)
    assert status == 201, made
    page.goto(made["magicLinkUrl"])
    if page.get_by_label("Name").count():
        page.get_by_label("Name").fill(name)
    page.get_by_role("button", name=re.compile("as ")).click()
    page.wait_for_url(team.running.url + "/")
    return page


def verify(data_dir: Path, *words: str) -> tuple[int, str]:
    """`python -m app audit verify` at the server's shell."""
    ended = subprocess.run(
        [sys.executable, "-m", "app", "audit", "verify", *words],
        cwd=ROOT,
        env={**os.environ, "SIGNALCABIN_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_one_starts_and_another_answers_from_a_phone(team: Shop, open_page: Open, tmp_path: Path) -> None:
    release = {"name": "release", "inherits": ["member"], "permissions": ["others:approvals:answer"]}
    assert team.running.call("POST", "/api/v1/roles", release)[0] == 200
    owner = open_page(team.running, storage_state=team.state)
    ines = joined(team, open_page(team.running, **PHONE), "Ines", "release")
    vera = joined(team, open_page(team.running, allowed=("403",)), "Vera", "viewer")
    nils = joined(team, open_page(team.running, allowed=("403", "404")), "Nils", "base")

    owner.goto("/")
    owner.get_by_label("What should be done?").fill("[[bash make paint]] [[say Painted.]]")
    owner.get_by_role("button", name="Start session").click()
    owner.wait_for_url(re.compile(r"/sessions/ses_"))
    ask = owner.locator("[data-ask]").get_attribute("data-ask")

    vera.goto(owner.url)
    expect(vera.locator(f"#ask-{ask}")).to_contain_text("make paint")
    expect(vera.locator(f"#ask-{ask} button")).to_have_count(0)
    pressed = vera.evaluate(
        "(ask) => fetch(`/inbox/${ask}`, { method: 'POST', headers: { 'X-CSRF-Token': document.querySelector("
        "'[name=csrf_token]').value }, body: new URLSearchParams({ reply: 'once' }) }).then((answer) => answer.status)",
        ask,
    )
    assert pressed == 403
    answer = nils.goto(owner.url)
    assert answer is not None
    assert answer.status in (403, 404)
    expect(nils.get_by_role("heading", name="Not found")).to_be_visible()

    ines.goto("/inbox")
    ines.locator(f"#ask-row-{ask} a.title").click()
    expect(ines.locator(".decision")).to_contain_text("make paint")
    assert ines.evaluate("document.documentElement.scrollWidth") == 390
    ines.get_by_role("button", name="Run command", exact=True).click()
    expect(owner.locator(".answered")).to_contain_text("Ines")
    expect(owner.locator(".prose").last).to_have_text("Painted.")

    owner.goto("/audit")
    expect(owner.locator("#audit-rows")).to_contain_text("Ines")
    expect(owner.locator("#audit-rows")).to_contain_text("Vera")
    owner.get_by_role("button", name="Verify now").click()
    expect(owner.locator("#audit-chain")).to_contain_text("Chain whole")
    assert verify(team.running.data_dir)[0] == 0
    copied = tmp_path / "copy.db"
    database = team.running.data_dir / "signalcabin.db"
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copied)) as target:
        source.backup(target)
        target.executescript(FORGES)
        assert target.total_changes > 0
    status, said = verify(team.running.data_dir, "--copy", str(copied))
    assert (status, "This row was changed" in said) == (1, True), said
