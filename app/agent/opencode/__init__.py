"""OpenCode's routes of the agent: providers, models, agents, skills, the configuration, and the preview's form."""

from app.agent.opencode import configuration, preview, routes

__all__ = ["configuration", "preview", "routes"]
