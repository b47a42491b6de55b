"""YAML as plain data, read and written: no tags, no aliases, nothing deep."""

from __future__ import annotations

from typing import Any

import yaml

DEEPEST = 8


class _Loader(yaml.SafeLoader):
    """Plain data only."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose what has no tag and no anchor, is no alias, and is not too deep."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None):
            raise yaml.YAMLError("no anchors")
        if getattr(event, "tag", None):
            raise yaml.YAMLError("no tags")
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.YAMLError("too deep")
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def load(text: str) -> Any:
    """The data that the text spells; ValueError for what is none, or more than plain."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader that takes less
    except (yaml.YAMLError, RecursionError, OverflowError) as error:  # the last for 1:1:1… with a dot, in base 60
        raise ValueError(str(error)) from error


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, and nothing by a reference."""

    def ignore_aliases(self, _data: Any) -> bool:
        """Write everything out."""
        return True


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _block)


def dump(data: Any) -> str:
    """Plain data as text that `load` reads again, keys in their order."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))
