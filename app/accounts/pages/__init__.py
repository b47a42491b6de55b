"""Pages of accounts: getting in, showing again who one is, and one's own account."""

from app.accounts.pages import account as account
from app.accounts.pages import signin as signin
