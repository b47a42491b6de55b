"""Taking over Roo's own settings: what a file of them would change here (`plan`), and doing so (`apply`)."""

from app.agent.importing.document import LARGEST
from app.agent.importing.first_start import at_first_start
from app.agent.importing.items import Item, Plan
from app.agent.importing.pending import drop, held, hold
from app.agent.importing.taking import NOWHERE, Done, apply, carry_out, plan
from app.agent.importing.telling import told

__all__ = [
    "LARGEST",
    "NOWHERE",
    "Done",
    "Item",
    "Plan",
    "apply",
    "at_first_start",
    "carry_out",
    "drop",
    "held",
    "hold",
    "plan",
    "told",
]
