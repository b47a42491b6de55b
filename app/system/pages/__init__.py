"""Pages of the system: Home and the demo, the command bar and its keys, and what stands around every page."""

from app.system.pages import home, relay, search, shell

__all__ = ["home", "relay", "search", "shell"]
