"""`circle cohort create`: opens a cohort through the service and waits until it is ready."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from threading import Thread
from typing import IO, Any
from urllib.parse import urljoin

import click

from cli_common import json_option, json_text, open_database, paint, read_settings, width
from cli_token import TOKEN_LIFE_OF_A_CALL, passing_token

ANSWERS_WITHIN = 60.0  # seconds; the service itself waits for 20
LOOK_EVERY = 0.5
# The platforms' own limits may stretch the opening of a big cohort over minutes.
LOOK_FOR = 240.0
# What the service told, and where to look on.
Told = tuple[dict[str, Any], str | None]


@click.command("create")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--url", help="Address of the running service  [default: PUBLIC_URL]")
@json_option
def cohort_create(file: IO[str], url: str | None, *, as_json: bool) -> None:
    """Open the cohort described in FILE (JSON, - for standard input) through the service.

    Waits until the platform holds it; exits with 1 when it does not come so far.
    """
    from web.tables import schedule_table

    settings = read_settings()
    try:
        body = json.load(file)
    except ValueError as e:
        raise click.ClickException(f"{file.name} is not JSON: {e}") from e
    database = open_database(settings)
    with passing_token(database, name="circle command", life=TOKEN_LIFE_OF_A_CALL) as token:
        told = carried_out(
            RunningService(url or settings.public_url, token), "/api/v1/cohorts", body
        )
    click.echo(
        json_text(told)
        if as_json
        else f"{told['id']}\n"
        + schedule_table(told, timezone=settings.timezone, paint=paint, width=width())
    )
    if told["state"] == "opening":
        raise click.ClickException(
            f"It is still being opened. Look again: circle cohort show {told['id']}"
        )
    if told["state"] != "ready":
        raise click.ClickException(
            f"The cohort is not ready: {told['problem'] or told['state'].replace('_', ' ')}"
        )


class RunningService:
    """The running service, asked over HTTP like anybody else would."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, body: object = None) -> Told:
        """One call. Whatever goes wrong with it is one clear line."""
        import requests

        try:
            answer = requests.request(
                method,
                urljoin(self._url, path),
                json=body,
                headers=self._headers,
                timeout=ANSWERS_WITHIN,
            )
        except requests.RequestException as e:
            raise click.ClickException(
                f"No service answers at {self._url}. Start it: circle serve"
            ) from e
        try:
            told: dict[str, Any] = answer.json()
        except ValueError as e:
            raise click.ClickException(
                f"What answers at {self._url} is not this service ({answer.status_code}). "
                "Give its address: --url"
            ) from e
        if not answer.ok:
            raise click.ClickException(_refusal(told))
        return told, answer.headers.get("Location")


def _refusal(told: dict[str, Any]) -> str:
    faults = [f"{fault['field']}: {fault['message']}" for fault in told.get("errors", [])]
    said = f"{told.get('title', 'Refused').rstrip('.')}. {told.get('detail', '')}".strip()
    return f"{said} {'; '.join(faults)}".strip()


def carried_out(service: RunningService, path: str, body: object) -> dict[str, Any]:
    """The cohort when the work on it is over, or when we have waited long enough."""
    told: dict[str, Any] = {}

    def states() -> Iterator[str]:
        answer = _begun(lambda: service.ask("POST", path, body))
        while wait([answer], timeout=LOOK_EVERY).not_done:
            yield "asking the service"
        found, where = answer.result()
        until = time.monotonic() + LOOK_FOR
        while found["state"] == "opening" and where and time.monotonic() < until:
            yield f"{found['state']} on {found['platform'].capitalize()}"
            time.sleep(LOOK_EVERY)
            found, _ = service.ask("GET", where)
        told.update(found)

    with click.progressbar(
        states(),
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
        item_show_func=lambda state: state,
    ) as bar:
        for _ in bar:
            pass
    return told


def _begun(call: Callable[[], Told]) -> Future[Told]:
    """The call, under way in a thread that Ctrl-C does not wait for."""
    answer: Future[Told] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except Exception as e:
            answer.set_exception(e)

    Thread(target=run, daemon=True).start()
    return answer
