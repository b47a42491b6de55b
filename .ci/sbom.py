"""Writes what the server is made of, from its locks alone, as CycloneDX 1.4: `python .ci/sbom.py [FILE]`.

Packages of requirements.txt with the hashes that are taken, tools that are installed where PATH has none, and the
vendored files of static/vendor. The same locks make the same bytes.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LOCKS = {"requirements.txt": "required", "requirements-tools.txt": "optional"}
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def packages(lock: str, scope: str) -> Iterator[dict[str, Any]]:
    """The components of a lock, in its order."""
    found: dict[str, Any] | None = None
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        if pin := _PIN.match(line):
            purl = f"pkg:pypi/{pin[1].lower().replace('_', '-')}@{pin[2]}"
            found = {
                "type": "library",
                "bom-ref": purl,
                "name": pin[1],
                "version": pin[2],
                "scope": scope,
                "hashes": [],
                "purl": purl,
            }
            yield found
        if found is not None:
            found["hashes"] += [{"alg": "SHA-256", "content": digest} for digest in _HASH.findall(line)]


def vendored() -> Iterator[dict[str, Any]]:
    """What lies in static/vendor: a component for each package, with its files and their hashes."""
    files: dict[str, list[tuple[str, str]]] = {}
    for line in (ROOT / "static/vendor/SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, path = line.split("  ")
        package, _, name = path.partition("/")
        files.setdefault(package, []).append((name, digest))
    for package, inside in sorted(files.items()):
        name, _, version = package.partition("@")
        npm = {"htmx": "htmx.org", "xterm": "@xterm/xterm"}.get(name, name.replace("xterm-addon", "@xterm/addon"))
        purl = f"pkg:npm/{npm.replace('@', '%40')}@{version}"
        parts = [
            {
                "type": "file",
                "bom-ref": f"{purl}#{path}",
                "name": path,
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
            for path, digest in inside
        ]
        yield {"type": "library", "bom-ref": purl, "name": npm, "version": version, "purl": purl, "components": parts}


def bill() -> dict[str, Any]:
    """The whole bill of materials."""
    version = re.search(r'__version__ = "([^"]+)"', (ROOT / "app/__init__.py").read_text(encoding="utf-8"))
    parts = [*(one for lock, scope in LOCKS.items() for one in packages(lock, scope)), *vendored()]
    made = {
        "type": "application",
        "bom-ref": "signalcabin",
        "name": "signalcabin",
        "version": version[1] if version else "",
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([made, parts], sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.4",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": made},
        "components": parts,
        "dependencies": [
            {"ref": "signalcabin", "dependsOn": [one["bom-ref"] for one in parts if one.get("scope") != "optional"]}
        ],
    }


if __name__ == "__main__":
    text = json.dumps(bill(), indent=2) + "\n"
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
