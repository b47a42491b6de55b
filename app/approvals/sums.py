"""Finds where a shell line reckons with a value that nobody knows to be a number.

Pure. Bash reckons with the text that a variable holds, again and again until a number is left, and runs the
commands that stand in it between brackets: `x=$(cat f); echo $((x))` runs what the file says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tree_sitter import Node

from app.approvals.doubts import every, text_of

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_NUMBER = re.compile(r"""["']?[+-]?\d*["']?|\$[?#]|\{-?\d+\.\.-?\d+(\.\.-?\d+)?\}""", re.ASCII)
_LENGTH = re.compile(r"\$\{#\w+(\[[@*]\])?\}", re.ASCII)
_COUNTS = re.compile(r"wc -[clmw]|date \+%s|nproc|seq( -?\d+){1,3}", re.ASCII)
# What a sum is not read through: quoting that hides, arguments, the last word of the command before.
_HIDES = re.compile(r"['`\\]|<\(|>\(|\$\{?[1-9@*]")
_SETTERS = re.compile(
    r"\b(read|mapfile|readarray|printf|getopts|wait|let|declare|typeset|local|export|readonly|eval|trap|source)\b"
)
_ALWAYS_TEXT = frozenset(("_", "REPLY", "PWD", "OLDPWD", "DIRSTACK", "OPTARG", "MAPFILE"))
_COMPARES = ("-eq", "-ne", "-lt", "-le", "-gt", "-ge")


def unknown(root: Node) -> Iterator[Node]:
    """The sums of a line that reckon with something that may be any text."""
    sums = [found for node, _depth in every(root) for found in _sums(node)]
    if not sums:
        return
    texts = _ALWAYS_TEXT.union(*(_texts_set(node) for node, _depth in every(root)))
    yield from (each for each in sums if _may_run(each, texts))


def _sums(node: Node) -> Iterable[Node]:
    """What bash reckons with in a node itself."""
    kinds = [child.type for child in node.children]
    match node.type:
        case "arithmetic_expansion":
            return (node,)
        case "compound_statement" if kinds[:1] == ["(("]:
            return (node,)
        case "c_style_for_statement":
            return (child for child in node.children if child.type not in ("do_group", "compound_statement"))
        case "subscript":
            return () if text_of(node).endswith(("[@]", "[*]")) else node.children[1:]
        case "expansion" if ":" in kinds:
            return node.children[kinds.index(":") :]
        case "binary_expression" if _is_compared(node):
            return (node.children[0], node.children[-1])
    return ()


def _is_compared(node: Node) -> bool:
    """Whether two sides are compared as numbers within `[[ ]]`; `[ ]` takes nothing but numbers."""
    operator = node.child_by_field_name("operator")
    return operator is not None and text_of(operator) in _COMPARES


def _texts_set(node: Node) -> Iterable[str]:
    """The variables that a node itself gives a value that may be any text."""
    match node.type:
        case "variable_assignment":
            name, values = node.child_by_field_name("name"), node.children[2:]
            values = values[0].named_children if values and values[0].type == "array" else values
            return () if all(map(_is_number, values)) else _names(name)
        case "for_statement":
            values = node.children_by_field_name("value")
            return () if values and all(map(_is_number, values)) else _names(node.child_by_field_name("variable"))
        case "expansion" if any(child.type in ("=", ":=") for child in node.children):
            return _names(node)
        case "command" | "declaration_command":
            text = re.sub(r"[\\'\"]", "", text_of(node))
            return _NAME.findall(text) if _SETTERS.search(text) else ()
    return ()


def _names(node: Node | None) -> list[str]:
    return _NAME.findall(text_of(node)) if node is not None else []


def _is_number(node: Node) -> bool:
    """Whether a value is a number, whatever happens before it is needed."""
    if node.type == "command_substitution":
        return _counts(node)
    text = text_of(node)
    return node.type == "arithmetic_expansion" or bool(_NUMBER.fullmatch(text) or _LENGTH.fullmatch(text))


def _counts(node: Node) -> bool:
    """Whether a command substitution prints a number and nothing else."""
    inside = node.named_children
    last = inside[0].named_children[-1] if len(inside) == 1 and inside[0].type == "pipeline" else None
    last = inside[0] if len(inside) == 1 and last is None else last
    if last is not None and last.type == "redirected_statement":
        body, *redirects = last.named_children
        last = body if len(redirects) == 1 and re.match(r"<\s*[^\s&<>]", text_of(redirects[0])) else None
    return last is not None and last.type == "command" and bool(_COUNTS.fullmatch(text_of(last)))


def _may_run(node: Node, texts: frozenset[str]) -> bool:
    inside = [each for each, _depth in every(node) if each.type == "command_substitution"]
    if not all(map(_counts, inside)):
        return True
    text = _LENGTH.sub("0", _without(node, inside))
    names = _NAME.findall(text)
    return bool(_HIDES.search(text)) or any(name in texts or name.startswith("BASH") for name in names)


def _without(node: Node, left_out: list[Node]) -> str:
    """The source of a node, a number in place of each of these nodes in it."""
    source, end, found = node.text or b"", node.start_byte, []
    for each in left_out:
        found.append(source[end - node.start_byte : each.start_byte - node.start_byte])
        end = each.end_byte
    return b"0".join([*found, source[end - node.start_byte :]]).decode()
