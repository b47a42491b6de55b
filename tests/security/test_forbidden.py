"""What no module of ours does, whatever it was meant for (THREATS 8); `tests/test_architecture.py` has shells, markup and
the way out, and ruff's rules S the rest.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.floor_plan import APP, Module, module, modules
from tests.syntax import parse

# Who may read YAML: by a loader that makes plain values alone.
YAML = {"app.agent.plain_yaml"}
# Dice that hide nothing: how long clients wait before they come back, and which request a line of the log is about.
DICE = {"app.streams", "app.web"}
UNPICKLERS = frozenset({"pickle", "cPickle", "_pickle", "dill", "shelve", "marshal", "jsonpickle", "joblib"})
EVALUATORS = frozenset({"eval", "exec", "compile", "__import__"})
SECRET = re.compile(r"(^|_)(secret|password|token|digest|signature|mac|hmac|otp|code_verifier|csrf|hash)$")
# Comparisons of what has such a name and is no secret, or is held against nothing.
HARMLESS = {
    "app.accounts.devices: row.hash != before": "digests of secrets, which a row was found by",
    "app.accounts.identity: row.hash != key.removeprefix('sid:')": "the same",
    "app.accounts.lasting: one.token != FIXED": "the id of a token",
    "app.audit.sealer: head.hash != self._anchored.hash": "heads of the chain, which anybody may know",
    "app.audit.verifying: found.hash == checkpoint.hash": "the same",
    "app.audit.verifying: found != head.hash": "the same",
    "app.audit.verifying: row['link_prev'] == self.hash": "the same",
}
# What `files.paths` calls the root below which it opens by itself.
ROOT = re.compile(r"(root|Root\(.*\)|source|scratch|ctx\.make_scratch\(\))\.")
FILES = frozenset({"read_text", "write_text", "read_bytes", "write_bytes"})
# Whoever opens files outside of `app.files`, and whose paths these are. No path of a request is among them: those go
# through `files.paths`, which resolves and opens in one step.
OPENERS = {
    "app.accounts.strength": "ours: the list of common passwords",
    "app.agent.diagnosing": "ours",
    "app.agent.importing.first_start": "of who runs the server, by its environment",
    "app.agent.tools.known": "ours",
    "app.audit.anchor": "ours, in the data directory",
    "app.checkpoints.putback": "below a descriptor of the workspace, step by step and along no link",
    "app.checkpoints.shadow": "ours, in the data directory",
    "app.clearing": "below a descriptor of the directory that goes, step by step and along no link",
    "app.dialects.seed": "ours",
    "app.git": "git's own administration of a registered root",
    "app.inotify": "the kernel's",
    "app.notifications.pages": "ours: the script of the service worker",
    "app.processes.carrying": "below descriptors of git's directory and of ours in its place, and along no link",
    "app.processes.cgroups": "the kernel's",
    "app.processes.egress": "ours, in the data directory",
    "app.processes.links": "below a descriptor of git's directory, step by step and along no link",
    "app.processes.orphans": "the kernel's",
    "app.processes.sandbox": "the kernel's",
    "app.processes.spare": "the kernel's, and ours",
    "app.processes.spawn": "the kernel's",
    "app.processes.standin": "git's directory of a worktree of ours, and ours in its place, in the data directory",
    "app.projects.worktrees": "git's own administration of a worktree of ours",
    "app.secrets.master": "ours, in the data directory, or named by the environment",
    "app.sessions.pages.export": "ours: the style of an exported page",
    "app.settings.layers": "of who runs the server, in the home and the data directory",
    "app.terminals.front": "the kernel's",
    "app.wake": "ours, in the data directory",
    "app.web": "ours: static files",
}


def names(one: Module) -> Iterator[str]:
    """The top names of what a module imports."""
    yield from (name.split(".")[0] for name in one.imports())


def test_nothing_makes_objects_of_bytes() -> None:
    assert [f"{one.name} imports {name}" for one in modules() for name in names(one) if name in UNPICKLERS] == []


def test_nothing_runs_a_text_as_a_program() -> None:
    wrong = [
        f"{one.name}:{call.lineno}"
        for one in modules()
        for _name, call in one.calls()
        if isinstance(call.func, ast.Name) and call.func.id in EVALUATORS
    ]
    assert wrong == []


def test_yaml_is_read_as_plain_values_in_one_module() -> None:
    readers = {one.name for one in modules() if "yaml" in names(one)}
    assert readers == YAML
    [loader] = [
        node
        for node in module("app.agent.plain_yaml").tree.body
        if isinstance(node, ast.ClassDef) and node.name == "_Loader"
    ]
    assert [ast.unparse(base) for base in loader.bases] == ["yaml.SafeLoader"]
    given = [call for _name, call in module("app.agent.plain_yaml").calls() if ast.unparse(call.func) == "yaml.load"]
    assert [ast.unparse(call.args[1]) for call in given] == ["_Loader"]


def test_no_secret_is_made_of_dice() -> None:
    assert {one.name for one in modules() if "random" in names(one)} == DICE


def compared(one: Module) -> Iterator[str]:
    """Comparisons of what sounds like a secret with something that is not plain: but for columns, where an index looks."""
    for node in ast.walk(one.tree):
        if not isinstance(node, ast.Compare) or not all(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            continue
        sides = [node.left, *node.comparators]
        text = [ast.unparse(side) for side in sides]
        if any(isinstance(side, ast.Constant) for side in sides) or any(".c." in side for side in text):
            continue
        words = [re.split(r"[.(\[]", side.removesuffix("()"))[-1] for side in text]
        if any(SECRET.search(word) for word in words):
            yield f"{one.name}: {ast.unparse(node)}"


def test_secrets_are_not_compared_sign_by_sign() -> None:
    assert {found for one in modules() for found in compared(one)} == set(HARMLESS)


def opened(one: Module) -> Iterator[str]:
    """Where a module opens a file by its path."""
    for name, call in one.calls():
        text = ast.unparse(call.func)
        if ROOT.match(text):
            continue
        if name in FILES or text in ("open", "os.open", "io.open") or (name == "open" and "path" in text.lower()):
            yield f"{one.name}:{call.lineno} {text}"


def test_files_are_opened_where_paths_are_owned() -> None:
    found = {one.name for one in modules() if one.room != "files" for _place in opened(one)}
    assert found == set(OPENERS)


def test_doors_put_no_paths_together() -> None:
    wrong = [
        f"{one.name}:{call.lineno}"
        for one in modules()
        if one.is_door and one.room != "files"
        for _name, call in one.calls()
        if ast.unparse(call.func) in ("os.path.join", "os.path.realpath", "os.path.abspath")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("given.token == row.token", True),
        ("hmac.digest(a) != body.signature", True),
        ("hmac.compare_digest(a, b)", False),
        ("table.c.hash == digest(text)", False),
        ("token == ''", False),
    ],
)
def test_the_rule_sees_what_it_is_for(line: str, is_found: bool) -> None:
    assert bool(list(compared(Module(APP, ("x",), parse(line))))) == is_found
