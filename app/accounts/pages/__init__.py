"""Pages of accounts: getting in, showing again who one is, one's own account, and the people of the team."""

from app.accounts.pages import account as account
from app.accounts.pages import look as look
from app.accounts.pages import members as members
from app.accounts.pages import roles as roles
from app.accounts.pages import signin as signin
