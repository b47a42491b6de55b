"""Which file a person means by a few letters."""

from __future__ import annotations

import random
import time

import pytest

from app.files import ranking
from app.files.ranking import Index

FILES = [
    "README.md",
    "CHANGELOG.md",
    "Makefile",
    "Dockerfile",
    "LICENSE",
    "pyproject.toml",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    ".gitignore",
    ".github/workflows/ci.yml",
    ".github/workflows/release.yml",
    ".env.example",
    "docker-compose.yml",
    "app/__init__.py",
    "app/main.py",
    "app/config.py",
    "app/database.py",
    "app/errors.py",
    "app/models.py",
    "app/users/__init__.py",
    "app/users/models.py",
    "app/users/routes.py",
    "app/users/service.py",
    "app/users/schemas.py",
    "app/sessions/__init__.py",
    "app/sessions/models.py",
    "app/sessions/routes.py",
    "app/sessions/service.py",
    "app/sessions/store.py",
    "app/billing/__init__.py",
    "app/billing/models.py",
    "app/billing/routes.py",
    "app/billing/invoice.py",
    "app/billing/tax_rates.py",
    "app/billing/service.py",
    "app/auth/routes.py",
    "app/auth/tokens.py",
    "app/auth/password_reset.py",
    "app/auth/oauth_client.py",
    "app/templates/base.html",
    "app/templates/users/index.html",
    "app/templates/users/show.html",
    "app/templates/sessions/index.html",
    "app/static/style.css",
    "app/static/app.js",
    "app/static/icons.svg",
    "web/src/App.tsx",
    "web/src/index.tsx",
    "web/src/components/Button.tsx",
    "web/src/components/DropDown.tsx",
    "web/src/components/DatePicker.tsx",
    "web/src/components/UserAvatar.tsx",
    "web/src/components/SessionList.tsx",
    "web/src/components/Button.test.tsx",
    "web/src/hooks/useSession.ts",
    "web/src/hooks/useDebounce.ts",
    "web/src/api/client.ts",
    "web/src/api/types.ts",
    "web/src/styles/main.css",
    "web/public/index.html",
    "tests/__init__.py",
    "tests/conftest.py",
    "tests/test_main.py",
    "tests/users/test_routes.py",
    "tests/users/test_service.py",
    "tests/sessions/test_routes.py",
    "tests/sessions/test_store.py",
    "tests/billing/test_tax_rates.py",
    "tests/billing/test_invoice.py",
    "migrations/env.py",
    "migrations/versions/0001_users.py",
    "migrations/versions/0002_sessions.py",
    "migrations/versions/0003_add_tax_rates.py",
    "docs/index.md",
    "docs/getting-started.md",
    "docs/api/sessions.md",
    "docs/api/users.md",
    "docs/architecture.md",
    "scripts/deploy.sh",
    "scripts/seed_database.py",
]
FOLDERS = {f"{name[:at]}/" for name in FILES for at, letter in enumerate(name) if letter == "/"}
EXPECTED = [
    ("sessrout", "app/sessions/routes.py"), ("sessions/routes", "app/sessions/routes.py"), ("readme", "README.md"),
    ("sess/rout", "app/sessions/routes.py"), ("userserv", "app/users/service.py"), ("main", "app/main.py"),
    ("main.py", "app/main.py"), ("usrserv", "app/users/service.py"), ("conf", "app/config.py"),
    ("config", "app/config.py"), ("conftest", "tests/conftest.py"), ("tax", "app/billing/tax_rates.py"),
    ("taxr", "app/billing/tax_rates.py"), ("tr", "app/billing/tax_rates.py"), ("ttr", "tests/billing/test_tax_rates.py"),
    ("dropdown", "web/src/components/DropDown.tsx"), ("dp", "web/src/components/DatePicker.tsx"),
    ("down", "web/src/components/DropDown.tsx"), ("picker", "web/src/components/DatePicker.tsx"),
    ("button", "web/src/components/Button.tsx"), ("buttest", "web/src/components/Button.test.tsx"),
    ("button.test", "web/src/components/Button.test.tsx"), ("usesess", "web/src/hooks/useSession.ts"),
    ("docker", "Dockerfile"), ("compose", "docker-compose.yml"), ("dc", "docker-compose.yml"),
    ("ci", ".github/workflows/ci.yml"), ("gitignore", ".gitignore"), ("make", "Makefile"),
    ("pwreset", "app/auth/password_reset.py"), ("passres", "app/auth/password_reset.py"),
    ("oauth", "app/auth/oauth_client.py"), ("invoice", "app/billing/invoice.py"),
    ("testinv", "tests/billing/test_invoice.py"), ("routes users", "app/users/routes.py"),
    ("users routes", "app/users/routes.py"), ("sess store", "app/sessions/store.py"), ("store", "app/sessions/store.py"),
    ("apiclient", "web/src/api/client.ts"), ("client.ts", "web/src/api/client.ts"), ("style", "app/static/style.css"),
    ("seeddb", "scripts/seed_database.py"), ("seed", "scripts/seed_database.py"), ("deploy", "scripts/deploy.sh"),
    ("getting started", "docs/getting-started.md"), ("arch", "docs/architecture.md"), ("0003", "migrations/versions/0003_add_tax_rates.py"),
    ("env", "migrations/env.py"), (".env", ".env.example"), ("pack", "package.json"), ("lock", "package-lock.json"),
    ("apptsx", "web/src/App.tsx"), ("app.tsx", "web/src/App.tsx"), ("basehtml", "app/templates/base.html"),
    ("tests/", "tests/"), ("hooks", "web/src/hooks/"), ("components/but", "web/src/components/Button.tsx"),
    ("SESSROUT", "app/sessions/routes.py"), ("list", "web/src/components/SessionList.tsx"),
    ("authtok", "app/auth/tokens.py"), ("billserv", "app/billing/service.py"), ("tsess", "tests/sessions/"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "wanted"), EXPECTED)
def test_the_meant_file_comes_first(query: str, wanted: str) -> None:
    index = Index([*FILES, *FOLDERS])
    assert index.best(query, 5)[:1] == [wanted], index.best(query, 5)


def test_kinds_and_hidden_names_are_chosen() -> None:
    index = Index([*FILES, *FOLDERS])
    assert index.best("users", 9, "directory") == ["app/users/", "tests/users/", "app/templates/users/"]
    assert all(not name.endswith("/") for name in index.best("users", 50, "file"))
    assert index.best("ci.yml", 1) == [".github/workflows/ci.yml"]
    assert not any(name.startswith(".") or "/." in name for name in index.best("i", 100, hidden=False))
    assert index.first(3, "file", hidden=False) == ["CHANGELOG.md", "docker-compose.yml", "Dockerfile"]


def test_an_index_follows_what_comes_and_goes() -> None:
    dice = random.Random(7)
    index, names = Index(FILES), set(FILES)
    pool = [*FILES, *(f"more/{name}" for name in FILES)]
    for _ in range(300):
        name = dice.choice(pool)
        if dice.random() < 0.5:
            index.add(name)
            names.add(name)
        else:
            index.remove(name)
            names.discard(name)
        if dice.random() < 0.1:
            names = set(dice.sample(pool, 40))
            index.update(names)
    assert set(index) == names
    for query in ("sessrout", "m", "tax", "users routes", "zz", "re", "s/i"):
        assert index.best(query, 10) == Index(names).best(query, 10)


@pytest.mark.parametrize("query", ["\0", "[", "\\", "(a|b)*", "é", "🙂", "a" * 1000, "/", "//", "/" * 1000, ".", " / "])
def test_odd_letters_are_letters(query: str) -> None:
    index = Index([*FILES, "odd/[x](a|b)*\\é🙂.py"])
    assert all(isinstance(name, str) for name in index.best(query, 10))
    assert Index().best(query, 10) == []


def test_names_made_to_confuse_do_not_hold_it_up() -> None:
    index = Index([f"{'a/' * 100}a{number}b.py" for number in range(600)])
    began = time.process_time()
    index.best("a" * 60 + "b", 10)
    index.best("a" * 60 + "c", 10)
    assert time.process_time() - began < 10


def test_the_rank_of_a_single_name_says_the_same_as_the_index() -> None:
    index = Index(FILES)
    for query in ("sessrout", "tax", "main", "usesess", "tr"):
        best = index.best(query, len(FILES))
        ranks = [ranking.rank(name, query) for name in best]
        assert ranks == sorted(ranks)
        assert ranking.NONE not in ranks


def test_what_comes_later_stands_where_it_would_have_stood_from_the_start() -> None:
    late = ["app/sessions/zrooms.py", "sosses.py", "so/ssses/x.py", "résumé/es.PY", "s"]
    grown, whole = Index(FILES), Index([*FILES, *late])
    queries = ("s", "ss", "sss", "ssss", "sess", "so", "es.py", "?", "z", "a/s", "so/")
    for query in queries:
        grown.best(query, 10)  # what it works out for a question holds for the next one
    for name in late:
        grown.add(name)
    assert {query: grown.best(query, 10) for query in queries} == {query: whole.best(query, 10) for query in queries}
    assert grown.best("ssss", 2) == ["so/ssses/x.py", *whole.best("ssss", 2)[1:]]


def test_words_of_a_name_start_where_people_see_them() -> None:
    for name, letters in (("useSession2", "uS2"), ("a_b-c.d", "abcd"), ("HTTPServer", "H"), ("éa9b", "a9"), ("", "")):
        starts = ranking._starts(name)
        assert "".join(letter for at, letter in enumerate(name) if starts >> at & 1) == letters
