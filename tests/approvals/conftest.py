from __future__ import annotations
import pytest
from pathlib import Path
@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    from app import db, record
    from app.accounts import models as a
    from app.sessions import models as b
    from app.approvals import models as c
    path = tmp_path_factory.mktemp("template") / "signalcabin.db"
    d = db.Database(f"sqlite:///{path}")
    db.metadata.create_all(d.engine)
    d.close()
    return path
