"""Flask's rules with what is slow about them done once for each address, not once for each app.

Werkzeug compiles two functions for each rule, a hundred milliseconds for all of ours, and the tests
build hundreds of apps. The functions know nothing of the app: they get the rule as an argument.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask
from werkzeug.routing import Rule

Builder = Callable[..., tuple[str, str]]
_compiled: dict[tuple[object, ...], Builder] = {}


class RememberedRule(Rule):
    """A rule whose functions may have been compiled for another app before."""

    def _compile_builder(self, append_unknown: bool = True) -> Builder:
        defaults = tuple((self.defaults or {}).items())
        about = (self.rule, self.host, self.subdomain, self.merge_slashes, defaults, append_unknown)
        if about not in _compiled:
            _compiled[about] = super()._compile_builder(append_unknown)
        return _compiled[about]


def remember() -> None:
    """From now on, for every app of this process."""
    Flask.url_rule_class = RememberedRule
