"""RooCode's External API: a task is a session; its records are the transcript in Roo's words."""

from app.agent.roo import choices as choices
from app.agent.roo import mcps as mcps
from app.agent.roo import modes as modes
from app.agent.roo import routes as routes
