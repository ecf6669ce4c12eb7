"""What whoever runs the service asks of it, as `/openapi.json` tells: for everybody, nameless."""

from __future__ import annotations

from typing import Any

_JSON = "application/json"
PROBES: dict[str, tuple[str, dict[int, str]]] = {
    "/healthz": ("Whether this process lives", {200: _JSON}),
    "/readyz": ("Whether it can do its work now, with the reasons", {200: _JSON, 503: _JSON}),
    "/metrics": ("Figures for Prometheus", {200: "text/plain"}),
    "/openapi.json": ("This document", {200: _JSON}),
}


def documented() -> dict[str, dict[str, Any]]:
    """Their part of the document's `paths`."""
    return {
        path: {
            "get": {
                "summary": summary,
                "description": "For everybody; names nobody.",
                "security": [],
                "parameters": [],
                "responses": {
                    str(code): {
                        "description": summary,
                        "content": {media: {"schema": {"type": _TYPES[media]}}},
                    }
                    for code, media in answers.items()
                },
            }
        }
        for path, (summary, answers) in PROBES.items()
    }


_TYPES = {_JSON: "object", "text/plain": "string"}
