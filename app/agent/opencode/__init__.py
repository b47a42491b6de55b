"""OpenCode's routes of the agent: providers, models, agents and skills, the preview's form of them, and commands."""

from app.agent.opencode import preview, routes, shell

__all__ = ["preview", "routes", "shell"]
