"""Reads a shell line into its pieces: simple commands, files it opens, variables it sets, what stays unclear.

Pure. The grammar is tree-sitter's; because a parser that disagrees with bash would be a hole, the tree is
checked against the text once more (`doubts`), and what is not understood becomes an `Unclear` piece, never
silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from app.approvals import doubts, sums, wrappers
from app.approvals.doubts import RUNS_INSIDE, every, text_of

MAX_NESTING = 6

_OUTPUT = (">", ">>", ">|", "&>", "&>>", ">&", "<>")
# `${x@P}` and its kind run or unescape a value; so may `${!x}`, but not the lists `${!x[@]}` and `${!x*}`.
_RUNS_VALUE = re.compile(r"@[PEAa]|\$\{!(?!\w+(?:\[[@*]\]|[@*])\})")
_NO_FILES = ("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/stdin", "/dev/tty")


@dataclass(frozen=True)
class Word:
    """One word after quote removal; `fixed` is False if the shell changes it when it runs."""

    text: str
    fixed: bool = True
    glob: bool = False


@dataclass(frozen=True)
class Command:
    """A simple command: its words, the variables set just for it, and the command that carries it, if any."""

    source: str
    words: tuple[Word, ...]
    sets: tuple[tuple[str, Word], ...] = ()
    raised: bool = False
    is_carrier: bool = False

    @property
    def name(self) -> str:
        """The command's own name without its directory."""
        return self.words[0].text.rpartition("/")[2]


@dataclass(frozen=True)
class FileUse:
    """A redirection that opens a file."""

    source: str
    path: Word
    writes: bool


@dataclass(frozen=True)
class Assignment:
    """A variable set for the rest of the line."""

    source: str
    name: str


@dataclass(frozen=True)
class Unclear:
    """Something that nobody can decide from the text; `why` is a sentence for people."""

    source: str
    why: str


Piece = Command | FileUse | Assignment | Unclear


def read(line: str, nesting: int = 0) -> list[Piece]:
    """The pieces of a shell line in their order of writing; at least one, however strange the line."""
    doubt = doubts.of_text(line)
    if nesting > MAX_NESTING:
        doubt = "Commands are nested too deeply to check."
    if doubt:
        return [Unclear(line[:200], doubt)]
    root = _parser().parse(line.encode()).root_node
    doubt = doubts.of_tree(root, line.encode())
    if doubt:
        return [Unclear(line, doubt)]
    pieces = [inner for piece in _walk(root) for inner in _opened(piece, nesting)]
    return pieces or [Unclear(line, "Nothing in it is a command.")]


@cache
def _language() -> Language:
    return Language(tree_sitter_bash.language())


def _parser() -> Parser:
    return Parser(_language())


def _walk(root: Node) -> Iterator[Piece]:
    """The pieces that stand in the tree, before commands that carry others are opened."""
    for each in sums.unknown(root):
        yield Unclear(text_of(each), "It reckons with a value that may hold a command.")
    for node, _depth in every(root):
        match node.type:
            case "command":
                yield _tested(_command(node))
            case "declaration_command" | "unset_command":
                yield _declaration(node)
            case "test_command":
                words = (Word("["), *(_word(leaf) for leaf in _operands(node)))
                yield _tested(Command(text_of(node), words))
            case "file_redirect":
                yield from _redirect(node)
            case "variable_assignment" if _stands_alone(node):
                yield from _assignment(node)
            case "expansion" if _RUNS_VALUE.search(text_of(node)):
                yield Unclear(text_of(node), "It runs what a variable holds.")
            case "herestring_redirect" if RUNS_INSIDE.search(text_of(node)):
                yield Unclear(text_of(node), "It is fed what a command prints.")
            case "function_definition":
                yield from _definition(node)


def _operands(node: Node) -> list[Node]:
    types = (
        "word",
        "string",
        "raw_string",
        "concatenation",
        "simple_expansion",
        "expansion",
        "command_substitution",
        "number",
        "test_operator",
        "arithmetic_expansion",
        "ansi_c_string",
        "regex",
        "extglob_pattern",
    )
    found: list[Node] = []
    stack = list(reversed(node.children))
    while stack:
        child = stack.pop()
        if child.type in types:
            found.append(child)
        else:
            stack.extend(reversed(child.children))
    return found


def _tested(piece: Piece) -> Piece:
    """The piece, unless it asks for a variable by a name that bash would reckon with: `[ -v 'a[$(x)]' ]`."""
    if not isinstance(piece, Command) or not piece.words or piece.name not in ("test", "["):
        return piece
    asked = [word for before, word in pairwise(piece.words) if before.text == "-v"]
    if all(word.fixed and re.fullmatch(r"\w+|\]", word.text) for word in asked):
        return piece
    return Unclear(piece.source, "It asks for a variable by a name that may hold a command.")


def _definition(node: Node) -> Iterator[Piece]:
    name = node.child_by_field_name("name")
    if name is not None and (text_of(name) in wrappers.TRUSTED_NAMES):
        yield Unclear(text_of(node), f"It gives `{text_of(name)}` another meaning.")


def _command(node: Node) -> Piece:
    words: list[Word] = []
    sets: list[tuple[str, Word]] = []
    for child in node.children:
        if child.type == "variable_assignment":
            name, value = child.child_by_field_name("name"), child.child_by_field_name("value")
            sets.append((text_of(name) if name else "", _word(value) if value else Word("")))
        elif child.type == "command_name":
            words.append(_word(child.children[0] if child.child_count == 1 else child))
        elif child.type not in ("file_redirect", "herestring_redirect", "heredoc_redirect"):
            words.append(_word(child))
    source = text_of(node)
    if any(RUNS_INSIDE.search(value.text) for _name, value in sets):
        return Unclear(source, "It sets a variable to text that holds a command.")
    return Command(source, tuple(words), tuple(sets))


def _declaration(node: Node) -> Piece:
    plain = "variable_name"
    words = [Word(text_of(each)) if each.type == plain else _word(each) for each in node.children]
    for child in node.children:
        if child.type == "variable_assignment" and _holds_command(child):
            return Unclear(text_of(node), "It sets a variable to text that holds a command.")
    return Command(text_of(node), tuple(words))


def _stands_alone(node: Node) -> bool:
    return node.parent is not None and node.parent.type not in ("command", "declaration_command")


def _assignment(node: Node) -> Iterator[Piece]:
    if _holds_command(node):
        yield Unclear(text_of(node), "It sets a variable to text that holds a command.")
        return
    name = node.child_by_field_name("name")
    if name is not None and name.type == "subscript":
        name = name.children[0]
    yield Assignment(text_of(node), text_of(name) if name is not None else "")


def _holds_command(node: Node) -> bool:
    """Whether quoted text in the value would run once something evaluates it."""
    types = ("raw_string", "ansi_c_string", "string_content")
    quoted = (each for each, _depth in every(node) if each.type in types)
    return any(RUNS_INSIDE.search(text_of(each)) for each in quoted)


def _redirect(node: Node) -> Iterator[Piece]:
    operator = next((child.type for child in node.children if child.type[0] in "<>&"), "")
    targets = node.children_by_field_name("destination")
    if len(targets) != 1:
        if targets or operator not in (">&-", "<&-"):
            yield Unclear(text_of(node), "Words after a redirection cannot be checked.")
        return
    target = _word(targets[0])
    if operator in (">&", "<&") and re.match(r"-.", target.text):
        yield Unclear(text_of(node), "Words after a redirection cannot be checked.")
        return
    if operator in (">&", "<&") and target.fixed and re.fullmatch(r"\d+-?|-", target.text):
        return
    if target.fixed and target.text in _NO_FILES:
        return
    yield FileUse(text_of(node), target, writes=operator in _OUTPUT)


def _word(node: Node) -> Word:
    """A word after quote removal, as far as that can be known before it runs."""
    match node.type:
        case "word" | "number" | "test_operator" | "regex" if node.child_count == 0:
            return _bare(text_of(node))
        case "raw_string":
            return Word(text_of(node)[1:-1])
        case "ansi_c_string" if "\\" not in text_of(node):
            return Word(text_of(node)[2:-1])
        case "string" if all(child.type in ('"', "string_content") for child in node.children):
            return Word(re.sub(r'\\([$`"\\\n])', lambda m: m[1].strip("\n"), text_of(node)[1:-1]))
        case "concatenation":
            return _joined([_word(child) for child in node.children], node)
    return Word(text_of(node), fixed=False)


def _bare(text: str) -> Word:
    text = text.replace("\\\n", "")
    glob = bool(re.search(r"(?<!\\)(?:\\\\)*[*?\[]", text))
    braces = bool(re.search(r"(?<!\\)\{.*(?:,|\.\.).*\}", text))
    return Word(re.sub(r"\\(.)", r"\1", text), fixed=not braces, glob=glob)


def _joined(parts: list[Word], node: Node) -> Word:
    text = "".join(part.text for part in parts)
    bare = "".join(text_of(child) for child in node.children if child.type == "word")
    braces = bool(re.search(r"\{.*(?:,|\.\.).*\}", bare))
    fixed = all(part.fixed for part in parts) and not braces
    return Word(text if fixed else text_of(node), fixed, any(part.glob for part in parts))


def _opened(piece: Piece, nesting: int) -> list[Piece]:
    """The piece, or in place of a command that only carries others, those."""
    if not isinstance(piece, Command):
        return [piece]
    if not piece.words or not piece.words[0].fixed or piece.words[0].glob or not piece.words[0].text:
        return [Unclear(piece.source, "What it runs is known only when it runs.")]
    words = [(word.text, word.fixed and not word.glob) for word in piece.words]
    carried = wrappers.open_up(piece.name, words)
    if carried is None:
        return [piece]
    if nesting > MAX_NESTING:
        return [Unclear(piece.source, "Commands are nested too deeply to check.")]
    return list(_carried(piece, carried, nesting))


def _carried(piece: Command, carried: wrappers.Carried, nesting: int) -> Iterator[Piece]:
    if carried.why:
        yield Unclear(piece.source, carried.why)
    if carried.keeps:
        yield replace(piece, is_carrier=True)
    if carried.script is not None:
        for inner in read(carried.script, nesting + 1):
            yield _within(inner, piece, carried.raises)
    if carried.words:
        words = tuple(Word(text, fixed) for text, fixed in carried.words)
        sets = (*piece.sets, *((name, Word(value)) for name, value in carried.sets))
        inside = Command(" ".join(word.text for word in words), words, sets)
        for inner in _opened(inside, nesting + 1):
            yield _within(inner, piece, carried.raises)


def _within(inner: Piece, piece: Command, raised: bool) -> Piece:
    """A carried piece: what the carrier sets holds for it too."""
    if not isinstance(inner, Command):
        return inner
    sets = inner.sets if set(piece.sets) <= set(inner.sets) else (*piece.sets, *inner.sets)
    return replace(inner, sets=sets, raised=raised or inner.raised)
