"""Logging: JSON lines with ids and counts, and nothing about a person.

Every line, ours or a library's, goes through `redact`: addresses, tokens, join links and long
opaque strings are cut out, and an exception is reported as its kind and the places it passed,
never with its text, which could hold anything.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

_SECRET = re.compile(
    r"[\w.+-]+@[\w-]+\.[\w.-]+"  # e-mail addresses
    r"|(?i:bearer|basic)\s+\S+"
    r"|/join/[\w-]+"
    r"|https?://\S*[?&](?:tk|pwd|context|validationToken)=\S*"
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]*"  # JSON web tokens
    r"|\+?\d[\d ()-]{8,}\d"  # telephone numbers
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _CONTROL.sub(" ", _SECRET.sub("[removed]", value))[:500]
    if isinstance(value, dict):
        return {str(k): _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(v) for v in value]
    return value if isinstance(value, bool | int | float | None) else _clean(str(value))


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Cut personal values and secrets out of every field."""
    kept = {key: event.pop(key) for key in ("timestamp",) if key in event}
    return {**{key: _clean(value) for key, value in event.items()}, **kept}


def place_of_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace an exception by its kind and the places it passed."""
    found = event.pop("exc_info", None)
    error = sys.exc_info()[1] if found is True else found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)
        event["error"] = type(error).__name__
        event["places"] = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames[-6:]]
    return event


class _Unfailing:
    """Standard error, except that a full disk or a closed pipe behind it harms nobody.

    A line that cannot be written is lost; the work that wanted to write it is not.
    """

    def write(self, text: str) -> int:
        try:
            return sys.stderr.write(text)
        except (OSError, ValueError):
            return 0

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def configure(level: str) -> None:
    """Send our own and the libraries' log lines to standard error, cleaned."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        place_of_exception,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Unfailing())),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(cast(TextIO, _Unfailing()))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("dbos", "alembic", "urllib3", "werkzeug", "_granian", "granian.access"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        # urllib3 warns with whole addresses at every retry, which our own steps tell better.
        library.setLevel(logging.ERROR if name == "urllib3" else logging.WARNING)
