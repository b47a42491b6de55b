"""The environment that templates are rendered in."""

from __future__ import annotations

from typing import Any, Final

from flask.templating import Environment

_OF_DICTS: Final = frozenset(dir(dict))


class Templates(Environment):
    """Flask's environment, which finds `x.key` of a plain dict without an exception first.

    Parts, tools' inputs and metadata are dicts, read some 9,000 times by a page of a session. What a name means does
    not change: a dict's own methods come before its keys, as in Jinja.
    """

    def getattr(self, obj: Any, attribute: str) -> Any:
        """What a template's `obj.attribute` is; undefined where there is neither attribute nor key."""
        if type(obj) is dict and attribute not in _OF_DICTS:
            try:
                return obj[attribute]
            except KeyError:
                return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)
