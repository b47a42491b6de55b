"""What the server is made of (THREATS 3.4): locked by hash, vendored as shipped, listed, and from nowhere else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted(ROOT.glob("requirements*.txt"))
SCHEMA = Path(__file__).with_name("cyclonedx-1.4.schema.json")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==[^\s;]+( ; [^\\]+)?( \\)?$")


def entries(lock: Path) -> list[list[str]]:
    """The lines of each requirement of a lock."""
    found: list[list[str]] = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        if not line.startswith((" ", "#")):
            found.append([])
        if not line.startswith("#"):
            found[-1].append(line.strip())
    return found


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    """The bill of materials as `make sbom` writes it."""
    done = subprocess.run([sys.executable, ".ci/sbom.py"], cwd=ROOT, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_locked_by_version_and_hash(lock: Path) -> None:
    found = entries(lock)
    assert len(found) >= 4
    for first, *hashes in found:
        assert PIN.match(first), first
        assert hashes, first
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes), first


def test_every_lock_has_its_wishes_and_is_made_anew_with_the_others() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nlock:")[2]
    for lock in LOCKS:
        assert lock.with_suffix(".in").exists()
        assert re.search(rf"\b{lock.stem}\b", recipe)


def test_nothing_is_installed_without_its_hash() -> None:
    script = (ROOT / "setup.sh").read_text(encoding="utf-8")
    asked = [line for line in script.splitlines() if re.search(r"pip install", line)]
    assert asked
    assert all("--require-hashes" in line and "--no-deps" in line for line in asked)
    assert "npm ci --ignore-scripts" in script


def test_every_package_of_the_published_clients_has_its_hash() -> None:
    lock = json.loads((ROOT / "tests/clients/package-lock.json").read_text(encoding="utf-8"))
    packages = {path: one for path, one in lock["packages"].items() if path}
    assert packages
    assert [path for path, one in packages.items() if not one.get("integrity", "").startswith("sha512-")] == []


def test_pages_fetch_nothing_from_elsewhere() -> None:
    fetched = re.compile(r"""<(?:script|link|img|iframe|source|use)\b[^>]*\b(?:src|href)\s*=\s*["'](?:https?:)?//""")
    wrong = [str(path) for path in (ROOT / "templates").rglob("*.html") if fetched.search(path.read_text("utf-8"))]
    assert wrong == []
    sheets = list((ROOT / "static").rglob("*.css"))
    assert sheets
    assert [
        str(path) for path in sheets if re.search(r"@import|url\(\s*[\"']?(?:https?:)?//", path.read_text("utf-8"))
    ] == []


def test_the_bill_of_materials_is_valid(bill: dict[str, Any]) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    validator = jsonschema.Draft7Validator(schema)
    assert [error.message for error in validator.iter_errors(bill)] == []
    assert list(validator.iter_errors({**bill, "components": [{"name": "without a type"}]}))


def test_the_bill_names_all_that_is_locked_and_vendored(bill: dict[str, Any]) -> None:
    listed = {(one["name"].lower(), one["version"]) for one in bill["components"]}
    for name in ("requirements.txt", "requirements-tools.txt"):
        locked = {tuple(first.split(" ")[0].lower().split("==")) for first, *_ in entries(ROOT / name)}
        assert locked <= listed
    assert {("htmx.org", "4.0.1"), ("@xterm/xterm", "6.0.0")} <= listed
    assert all(one.get("hashes") or one.get("components") for one in bill["components"])
    parts = [part for one in bill["components"] for part in one.get("components", [])]
    sums = (ROOT / "static/vendor/SHA256SUMS").read_text(encoding="utf-8")
    assert len(parts) == sums.count("\n")
    assert all(part["hashes"][0]["content"] in sums for part in parts)
    refs = [one["bom-ref"] for one in (*bill["components"], *parts)]
    assert len(refs) == len(set(refs))


def test_the_same_locks_make_the_same_bill(bill: dict[str, Any], tmp_path: Path) -> None:
    subprocess.run([sys.executable, ".ci/sbom.py", str(tmp_path / "bill.json")], cwd=ROOT, check=True)
    assert json.loads((tmp_path / "bill.json").read_text()) == bill


def test_advisories_are_asked_by_a_command_of_their_own() -> None:
    """They want the network, so no test does."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.partition("\naudit:")[2].partition("\n\n")[0]
    assert "pip_audit --strict" in recipe
    assert "audit" not in makefile.partition("\ntest:")[2].partition("\ntest-quick:")[0]
