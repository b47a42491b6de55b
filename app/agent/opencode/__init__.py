"""OpenCode's routes of the agent: providers, models, agents and skills, and the preview's form of them."""

from app.agent.opencode import preview, routes

__all__ = ["preview", "routes"]
