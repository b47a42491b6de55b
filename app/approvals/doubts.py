"""What speaks against trusting a parsed shell line: each finding is a sentence for people, empty if none.

Pure. A parser that disagrees with bash would let commands through unseen, so its tree is held against the
text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

from tree_sitter import Node

MAX_BYTES = 65_536
MAX_DEPTH = 120
RUNS_INSIDE = re.compile(r"`|\$\(")
_BLANK_GAP = re.compile(rb"(?:[ \t\n]|\\\n)*")
_META = re.compile(r"(?<!\\)(?:\\\\)*[;&|<>()`\n\t ]")
_HANGING = re.compile(r"(?<!\\)(?:\\\\)*\\$")
_DELIMITER = re.compile(r"""\\?[\w.+-]+|'[\w.+ -]+'|"[\w.+ -]+\"""", re.ASCII)
_LISTED = frozenset(
    (
        "program",
        "list",
        "pipeline",
        "redirected_statement",
        "subshell",
        "compound_statement",
        "if_statement",
        "elif_clause",
        "else_clause",
        "while_statement",
        "for_statement",
        "c_style_for_statement",
        "case_statement",
        "case_item",
        "do_group",
        "negated_command",
        "function_definition",
        "command_substitution",
        "process_substitution",
        "string",
        "string_content",
        "concatenation",
        "expansion",
        "simple_expansion",
        "arithmetic_expansion",
        "binary_expression",
        "unary_expression",
        "postfix_expression",
        "ternary_expression",
        "parenthesized_expression",
        "subscript",
        "array",
        "word",
        "number",
        "raw_string",
        "ansi_c_string",
        "translated_string",
        "variable_name",
        "special_variable_name",
        "comment",
        "test_operator",
        "regex",
        "extglob_pattern",
        "brace_expression",
        "file_descriptor",
        "command_name",
        "heredoc_redirect",
        "heredoc_start",
        "heredoc_body",
        "heredoc_content",
        "heredoc_end",
        "herestring_redirect",
        "variable_assignments",
    )
)
_BREAKS = (*";&|()<>\n", "")
_UNBROKEN = ("concatenation", "variable_assignment", "command_name", "simple_expansion")
_INNER = ("command_substitution", "process_substitution", "arithmetic_expansion")
_JOINING = frozenset(
    (
        "concatenation",
        "string",
        "expansion",
        "simple_expansion",
        "arithmetic_expansion",
        "variable_assignment",
        "subscript",
        "array",
        "brace_expression",
        "binary_expression",
        "unary_expression",
        "postfix_expression",
        "ternary_expression",
        "parenthesized_expression",
        "command_substitution",
        "process_substitution",
    )
)
_WORDS = frozenset(
    (
        "word",
        "number",
        "string",
        "raw_string",
        "ansi_c_string",
        "concatenation",
        "simple_expansion",
        "expansion",
        "command_substitution",
        "arithmetic_expansion",
    )
)
_KNOWN = _LISTED | {
    "command",
    "declaration_command",
    "unset_command",
    "test_command",
    "file_redirect",
    "variable_assignment",
}


def of_text(line: str) -> str:
    """Why the text as such cannot be trusted to read as it looks; empty if it can."""
    try:
        size = len(line.encode())
    except UnicodeEncodeError:
        return "It is not valid text."
    if size > MAX_BYTES:
        return "It is too long to check."
    if any(_is_hidden(char) for char in line if not char.isprintable()):
        return "It holds invisible or control characters."
    return ""


def _is_hidden(char: str) -> bool:
    return char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp", "Zs", "Cn", "Co")


def of_tree(root: Node, source: bytes) -> str:
    """Why the tree may not be what bash would see; empty if it certainly is."""
    if root.has_error:
        return "The shell line cannot be parsed."
    leaves: list[Node] = []
    heredoc_lines: set[int] = set()
    for node, depth in every(root):
        if depth > MAX_DEPTH:
            return "It is nested too deeply to check."
        if node.is_missing or (node.is_named and node.type not in _KNOWN):
            return "The shell line has a form that cannot be checked."
        if node.type == "herestring_redirect" and node.children[-1].type not in _WORDS:
            return "The shell line has a form that cannot be checked."
        if node.type == "test_command" and "\n" in text_of(node):
            return "A test over several lines cannot be checked."
        if node.type == "heredoc_redirect":
            doubt = _heredoc_doubt(node)
            if doubt or node.start_point[0] in heredoc_lines:
                return doubt or "It holds several here-documents, which cannot be checked."
            heredoc_lines.add(node.start_point[0])
        if node.child_count == 0 and not _in_heredoc(node):
            leaves.append(node)
    if any(_leaf_is_odd(leaf, source) for leaf in leaves):
        return "The shell line has a form that cannot be checked."
    bodies = [node for node, _depth in every(root) if node.type in ("heredoc_body", "heredoc_end")]
    return (
        ""
        if _covers(sorted(leaves + bodies, key=lambda n: n.start_byte), source)
        else ("The shell line has a form that cannot be checked.")
    )


def every(root: Node) -> Iterator[tuple[Node, int]]:
    """Every node with its depth, without recursion: the line may be hostile."""
    stack = [(root, 0)]
    while stack:
        node, depth = stack.pop()
        yield node, depth
        stack.extend((child, depth + 1) for child in reversed(node.children))


def _in_heredoc(node: Node) -> bool:
    above = node
    for _ in range(3):
        if above.type in ("heredoc_body", "heredoc_end"):
            return True
        if above.parent is None:
            return False
        above = above.parent
    return False


def _leaf_is_odd(leaf: Node, source: bytes) -> bool:
    """Whether a leaf hides something that bash would act on."""
    text = text_of(leaf)
    before = source[max(leaf.start_byte - 1, 0) : leaf.start_byte]
    if leaf.type == "!" and source[leaf.end_byte : leaf.end_byte + 1] not in (b" ", b"\t", b"("):
        return _is_negation(leaf)
    after = source[leaf.end_byte : leaf.end_byte + 1]
    if leaf.start_byte == leaf.end_byte or (text.isdecimal() and after in (b"<", b">") and _is_word(leaf)):
        return True  # a missing piece; or digits that bash takes for a descriptor
    if leaf.type == "file_descriptor":
        return not text.isdecimal() or (before != b"" and before not in b" \t\n;&|()")
    if leaf.type == "variable_name" and _is_set(leaf):
        return not re.fullmatch(r"[A-Za-z_]\w*", text, re.ASCII)
    if leaf.type == "comment":
        return "\n" in text or (before != b"" and before not in b" \t\n;&|()")
    if leaf.type == "`" or _is_backticked(leaf):
        return "\\" in text
    if leaf.type in ("word", "command_name", "regex", "extglob_pattern"):
        return bool(_META.search(text.replace("\\\n", ""))) or "$(" in text or bool(_HANGING.search(text))
    if leaf.type == "string_content":
        return bool(re.search(r"(?<!\\)(?:\\\\)*(?:`|\$[({])", text))
    return False


def _is_word(leaf: Node) -> bool:
    return leaf.type in ("word", "number") and leaf.parent is not None and leaf.parent.type != "concatenation"


def _is_negation(leaf: Node) -> bool:
    return leaf.parent is not None and leaf.parent.type == "negated_command"


def _is_set(leaf: Node) -> bool:
    return leaf.parent is not None and leaf.parent.type in ("variable_assignment", "subscript")


def _is_backticked(leaf: Node) -> bool:
    above: Node | None = leaf.parent
    while above is not None:
        if above.type == "command_substitution" and above.children[0].type == "`":
            return True
        above = above.parent
    return False


def _covers(nodes: list[Node], source: bytes) -> bool:
    """Whether the leaves leave out nothing but blanks, and no line break inside a simple command."""
    end = 0
    for left, node in pairwise([None, *nodes]):
        assert node is not None
        gap = source[end : max(node.start_byte, end)]
        if node.type == "<<" and gap.strip() == b"-":
            gap = b" "  # the grammar drops the lone dash of `python3 - <<EOF`
        if not _BLANK_GAP.fullmatch(gap):
            return False
        blank = gap.replace(b"\\\n", b"")
        if gap and not blank:
            return False  # a continued line joins the words on its two sides
        if left is not None and (_runs_together(left, node) or (gap and _meet(left, node) in _UNBROKEN)):
            return False
        if left is not None and b"\n" in blank and _same_command(left, node):
            return False
        end = max(end, node.end_byte)
    return bool(_BLANK_GAP.fullmatch(source[end:]))


def _runs_together(left: Node, right: Node) -> bool:
    """Whether bash would read as one word what the tree has as two."""
    if left.end_byte != right.start_byte or "heredoc" in left.type or "heredoc" in right.type:
        return False
    opens = right.type in ("<(", ">(", "`", "$(")
    closes = left.type in (")", "`", "))") and left.parent is not None and left.parent.type in _INNER
    if (text_of(left)[-1:] in _BREAKS and not closes) or (text_of(right)[:1] in _BREAKS and not opens):
        return False
    return _meet(left, right) not in _JOINING


def _meet(left: Node, right: Node) -> str:
    """The type of the lowest node that holds both leaves."""
    above = left.parent
    while above is not None and above.end_byte < right.end_byte:
        above = above.parent
    return above.type if above is not None else ""


def _same_command(left: Node, right: Node) -> bool:
    command = _command_above(left)
    return command is not None and command == _command_above(right)


def _command_above(node: Node) -> Node | None:
    above = node.parent
    while above is not None and above.type in ("command_name", "concatenation", "word", "file_redirect"):
        above = above.parent
    return above if above is not None and above.type in ("command", "declaration_command") else None


def _heredoc_doubt(node: Node) -> str:
    """A here-document must end where bash ends it, and must not run commands from inside its text."""
    kinds = {child.type: child for child in node.children}
    start, end, body = kinds.get("heredoc_start"), kinds.get("heredoc_end"), kinds.get("heredoc_body")
    if start is None or end is None:
        return "A here-document has no end."
    written = text_of(start)
    if not _DELIMITER.fullmatch(written):
        return "A here-document has a form that cannot be checked."
    name = written.replace("'", "").replace('"', "").replace("\\", "")
    if body is not None:
        lines = text_of(body).split("\n")
        if any((line.lstrip("\t") if text_of(node).startswith("<<-") else line) == name for line in lines):
            return "A here-document ends elsewhere than it seems."
        if written == name and RUNS_INSIDE.search(text_of(body)):
            return "A here-document runs commands from inside its text."
    return "" if text_of(end).strip("\t") == name else "A here-document ends elsewhere than it seems."


def text_of(node: Node) -> str:
    """The source of a node."""
    return (node.text or b"").decode()
