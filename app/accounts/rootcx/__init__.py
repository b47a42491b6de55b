"""RootCX's routes of accounts, one module per subject."""

from app.accounts.rootcx import auth as auth
from app.accounts.rootcx import handover as handover
from app.accounts.rootcx import loans as loans
from app.accounts.rootcx import roles as roles
