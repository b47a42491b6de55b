"""OpenCode's routes of the agent: providers, agents, configuration, commands, and the preview's form of them."""

from app.agent.opencode import configuration, preview, routes, shell

__all__ = ["configuration", "preview", "routes", "shell"]
