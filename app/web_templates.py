"""The environment that templates are rendered in."""

from __future__ import annotations

from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final

from flask.templating import Environment
from jinja2.runtime import Context, Macro

_OF_DICTS: Final = frozenset(dir(dict))
_PLAIN: Final = frozenset({FunctionType, MethodType, BuiltinFunctionType})


class Calls(Context):
    """Jinja's context, which calls what is plainly a function or a macro without asking first what else it might be.

    A page makes some thousand calls, and that question costs more than most of them.
    """

    def call(self, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        """What `called(...)` in a template is."""
        kind = type(called)
        if kind is not Macro and (kind not in _PLAIN or hasattr(called, "jinja_pass_arg")):
            return super().call(called, *args, **kwargs)
        # What Jinja gives along with each call, for those that want the context.
        kwargs.pop("_loop_vars", None)
        kwargs.pop("_block_vars", None)
        return called(self.eval_ctx, *args, **kwargs) if kind is Macro else called(*args, **kwargs)


class Templates(Environment):
    """Flask's environment, which finds `x.key` of a plain dict without an exception first.

    Parts, tools' inputs and metadata are dicts, read some 9,000 times by a page of a session. What a name means does
    not change: a dict's own methods come before its keys, as in Jinja.
    """

    context_class = Calls

    def getattr(self, obj: Any, attribute: str) -> Any:
        """What a template's `obj.attribute` is; undefined where there is neither attribute nor key."""
        if type(obj) is dict and attribute not in _OF_DICTS:
            try:
                return obj[attribute]
            except KeyError:
                return self.undefined(obj=obj, name=attribute)
        try:
            return getattr(obj, attribute)
        except AttributeError:
            return super().getattr(obj, attribute)
