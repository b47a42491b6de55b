"""Python source as a syntax tree, whatever else goes on in the process."""

from __future__ import annotations

import ast
import gc


def parse(text: str, name: str = "<unknown>") -> ast.Module:
    """What `ast.parse` makes of a text.

    Python before 3.11.8 counts how deep it is in a tree for all of a process together
    (https://github.com/python/cpython/issues/106905). A collection in the middle of one runs what is collected, and lets
    other threads go on; if one of those parses too, as every traceback that is written does, the tree fails.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(text, name)
    finally:
        if was_on:
            gc.enable()
