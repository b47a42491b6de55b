"""The whole application in front of the cast, in place of the bare database that the verbs' own tests have."""

from tests.conftest import alice as alice
from tests.conftest import bob as bob
from tests.conftest import charlie as charlie
from tests.conftest import database as database
