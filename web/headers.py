"""Headers that every answer carries; a route may set stricter ones of its own."""

from __future__ import annotations

from flask import Flask, Response

POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

# What no page of ours asks a browser for; the join page alone looks at camera and microphone.
_UNUSED = ("geolocation", "display-capture", "payment", "usb", "serial", "midi")
ALLOWED = f"camera=(), microphone=(), {', '.join(f'{name}=()' for name in _UNUSED)}"
FOR_DEVICES = ALLOWED.replace("camera=(), microphone=()", "camera=(self), microphone=(self)")
HSTS = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")


def install_headers(app: Flask, *, public_url: str) -> None:
    """No framing, no sniffing, no referrer, nothing kept by caches, no other site's access."""

    @app.after_request
    def harden(answer: Response) -> Response:
        answer.headers.setdefault("Content-Security-Policy", POLICY)
        answer.headers.setdefault("X-Content-Type-Options", "nosniff")
        answer.headers.setdefault("X-Frame-Options", "DENY")  # for browsers before CSP 2
        answer.headers.setdefault("Referrer-Policy", "no-referrer")
        answer.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        answer.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        answer.headers.setdefault("Permissions-Policy", ALLOWED)
        answer.headers.setdefault("Cache-Control", "no-store")
        if public_url.startswith("https://"):
            answer.headers.setdefault(*HSTS)
        return answer
