"""A program on a terminal of its own, by tmux: type, and wait for what its screen shows."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

PATIENCE = 60.0


class Terminal:
    """A program in a tmux server of its own, 140 columns by 40 rows; it ends with the block."""

    def __init__(self, tmux: str, place: Path, environ: Mapping[str, str], command: Sequence[str]) -> None:
        self._tmux = [tmux, "-S", str(place / "tmux.sock"), "-f", "/dev/null"]
        self._environ = {**environ, "TERM": "xterm-256color", "TMUX_TMPDIR": str(place), "LANG": "C.UTF-8"}
        self._errors = place / "terminal.err"
        self._line = f"{shlex.join(command)} 2>{shlex.quote(str(self._errors))}"

    def __enter__(self) -> Self:
        self._call("new-session", "-d", "-s", "it", "-x", "140", "-y", "40", self._line)
        self._call("set-option", "-t", "it", "remain-on-exit", "on")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run([*self._tmux, "kill-server"], env=self._environ, check=False, capture_output=True)

    def screen(self) -> str:
        """What it shows now, without empty lines and the blanks at the ends."""
        lines = self._call("capture-pane", "-p", "-t", "it").splitlines()
        return "\n".join(line.rstrip() for line in lines if line.strip())

    def until(self, *texts: str) -> str:
        """The screen once it shows all of these; fails with it after a minute. A screen tells nobody of a change."""
        deadline = time.monotonic() + PATIENCE
        while not all(text in (shown := self.screen()) for text in texts):
            if time.monotonic() > deadline:
                raise AssertionError(f"{texts} did not come up:\n{shown}\n{self._errors.read_text()[-2000:]}")
            time.sleep(0.1)
        return shown

    def without(self, text: str) -> str:
        """The screen once it does not show this any more."""
        deadline = time.monotonic() + PATIENCE
        while text in (shown := self.screen()):
            assert time.monotonic() < deadline, f"{text} stayed:\n{shown}"
            time.sleep(0.1)
        return shown

    def type(self, text: str, shows: str = "") -> None:
        """Type, wait until its end or `shows` is on the screen, and press Enter."""
        self._call("send-keys", "-t", "it", "-l", text)
        self.until(shows or text[-20:])
        self.press("Enter")

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names."""
        self._call("send-keys", "-t", "it", *keys)

    def _call(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], env=self._environ, capture_output=True, text=True, check=True)
        return done.stdout
