"""At home: how a command sees its workspace as `/home/user`, where a client expects a machine of its own."""

from __future__ import annotations

from pathlib import Path

from app.processes.sandbox import HOME_ALIAS, Place, alias_is_free, sandbox_state

USER = "user"


def is_shown(place: Place) -> bool:
    """Whether commands see the workspace at `/home/user`: only in the sandbox, and if nobody there is called so."""
    return sandbox_state().on and alias_is_free(place)


def environment(place: Place) -> dict[str, str]:
    """HOME is the workspace, as on a machine of its own; configuration and caches stay in the private directory."""
    private = place.home
    return {
        "HOME": str(HOME_ALIAS if is_shown(place) else place.workspace),
        "USER": USER,
        "LOGNAME": USER,
        "XDG_CONFIG_HOME": str(private / ".config"),
        "XDG_CACHE_HOME": str(private / ".cache"),
        "XDG_DATA_HOME": str(private / ".local" / "share"),
        "XDG_STATE_HOME": str(private / ".local" / "state"),
    }


def seen(place: Place, directory: Path) -> Path:
    """A directory of the workspace by the name it has at home."""
    if is_shown(place) and directory.is_relative_to(place.workspace):
        return HOME_ALIAS / directory.relative_to(place.workspace)
    return directory
