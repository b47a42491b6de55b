"""The server on a machine where no sandbox works: `python -m tests.unwalled serve`."""

from __future__ import annotations

from app import cli
from app.processes import sandbox


def main() -> None:
    """Let the probe fail, then serve."""
    off = "", sandbox.SandboxState(False, "it is off for this test.", "")
    sandbox._probe = lambda: off  # type: ignore[assignment]
    cli.main()


if __name__ == "__main__":
    main()
