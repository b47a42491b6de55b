"""How long tests wait for what must come: far longer than it takes, since one that passes waits only as long as that."""

from __future__ import annotations

PATIENCE = 45.0
