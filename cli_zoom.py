"""Zoom's own commands of `circle`: calibrate the quality reports, and hear the media streams."""

from __future__ import annotations

import signal
import threading
from typing import Any

import click

from cli_common import json_option, json_text, now, open_database, read_settings

LOOK_EVERY = 0.2  # seconds: the SDK hands over what has come when it is asked
SIDES_HELP = "Name shown in the meeting of the person whose camera was"


@click.command()
@click.option("--on", "on_name", required=True, help=f"{SIDES_HELP} on.")
@click.option("--off", "off_name", required=True, help=f"{SIDES_HELP} off.")
@click.option("--instance", help="uuid of the held meeting  [default: the last one reported]")
@json_option
def calibrate(on_name: str, off_name: str, instance: str | None, *, as_json: bool) -> None:
    """Find out which side of Zoom's quality reports is what a person sends.

    Hold a meeting of some minutes with two people, one camera on and one off.
    """
    from course.store import evidence, notifications
    from integration.calibration import advice, compare

    settings = read_settings()
    with open_database(settings).read() as connection:
        told = notifications.quality_reports(connection, instance)
        events = evidence.instance_events(connection, told[0].instance_ref or "") if told else []
    sides = compare(told, events, on=on_name, off=off_name)
    says = advice(sides, configured=settings.qos_sent_direction)
    if as_json:
        rows = [{"side": s.name, "on": s.on, "off": s.off, "tells": s.tells} for s in sides]
        click.echo(json_text({"sides": rows, "advice": says}))
        return
    click.echo(f"{'side':<8}{'minutes with video: ' + on_name:<36}{off_name}")
    for side in sides:
        shown = f"{side.on[0]} of {side.on[1]}"
        click.echo(f"{side.name:<8}{shown:<36}{side.off[0]} of {side.off[1]}")
    click.echo(says)


@click.command("media-streams")
def media_streams() -> None:
    """Hear exactly when cameras are switched, over Zoom's realtime media streams.

    Runs beside the service until it is stopped. Needs the extra: pip install circle[rtms].
    """
    try:
        from integration.zoom_rtms import RtmsConnection
    except ImportError as e:
        raise click.ClickException(
            "Zoom's media streams need the extra package: pip install 'circle[rtms]'"
        ) from e
    import structlog

    from course.store.database import STORAGE_TROUBLE
    from integration.media_streams import MediaStreams

    log = structlog.get_logger(__name__)
    settings = read_settings()
    if settings.zoom is None:
        raise click.ClickException("Zoom is not configured; see docs/connect-zoom.md.")
    zoom, over = settings.zoom, threading.Event()

    def connect(stream: Any, **heard: Any) -> RtmsConnection:
        return RtmsConnection(
            stream,
            client_id=zoom.stream_client_id,
            client_secret=zoom.stream_client_secret,
            **heard,
        )

    streams = MediaStreams(open_database(settings), connect, clock=now)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    click.echo("Waiting for media streams; Ctrl-C ends it.")
    while not over.wait(LOOK_EVERY):
        try:
            streams.look()
        except STORAGE_TROUBLE:
            log.exception("streams_not_stored")  # what was heard waits for the next look
    streams.close()


@click.command()
@click.argument("platform", type=click.Choice(["zoom"]))
@json_option
def reconnect(platform: str, *, as_json: bool) -> None:
    """Say that our app is in the account again, after the platform said it was taken out."""
    from course.model import Platform
    from course.store.notifications import settle_flags

    with open_database(read_settings()).write() as connection:
        settled = settle_flags(connection, Platform(platform))
    if as_json:
        click.echo(json_text({"platform": platform, "asked_again": bool(settled)}))
        return
    click.echo(
        f"{platform} is asked again from now on."
        if settled
        else f"{platform} has not said that our app was taken out; nothing to do."
    )
