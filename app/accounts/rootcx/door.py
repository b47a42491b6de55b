"""The door that the subjects share."""

from app.accounts import bp
from app.dialects import rootcx

door = rootcx.door(bp)
