"""RootCX's routes of accounts, one module per subject."""

from app.accounts.rootcx import auth as auth
