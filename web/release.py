"""Which release this is: what pyproject.toml says, read from the installed package."""

from __future__ import annotations

from importlib.metadata import version

VERSION = version("circle")
