"""Our bot in a call on the Graph stand-in: joins, is kept, leaves, and can prove who tells it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests

from course.model import EventKind, Level, Platform
from integration.provider import ProviderError, Series, SeriesPlan, Slot
from integration.teams_keys import SigningKeys
from tests.factories import FIRST
from tests.stand_ins import StandIns, stand_ins
from webhooks.teams_calls import parse, verify_bearer


@pytest.fixture(scope="module")
def running() -> Iterator[StandIns]:
    with stand_ins() as found:
        yield found


@pytest.fixture(scope="module")
def series(running: StandIns) -> Series:
    provider = running.teams()
    plan = SeriesPlan(
        marker="one",
        name="One",
        organiser=running.config.teams_host_id,
        timezone="Europe/London",
        slots=tuple(
            Slot(starts_at=FIRST + timedelta(weeks=n), length=timedelta(minutes=30))
            for n in range(8)
        ),
        usual_length=timedelta(minutes=30),
    )
    return provider.resolve_meeting(provider.create_series(plan))


def test_the_bot_joins_is_kept_and_leaves(running: StandIns, series: Series) -> None:
    provider = running.teams()
    ref = provider.join_call(series, "http://127.0.0.1:9/webhooks/teams/calls/secret")
    told = requests.get(f"{running.config.base_url}/control/teams/calls", timeout=10).json()
    assert told == {"calls": [ref]}
    provider.keep_call(ref)
    provider.leave_call(ref)
    provider.leave_call(ref)  # gone already
    with pytest.raises(ProviderError) as gone:
        provider.keep_call(ref)
    assert gone.value.gone


def test_what_the_bot_is_told_is_signed_with_a_key_that_can_be_found(
    running: StandIns, series: Series
) -> None:
    heard: list[tuple[str, bytes]] = []
    with running.listener(heard) as address:
        ref = running.teams().join_call(series, address)
        somebody = {"id": "p1", "isMuted": True, "info": {"identity": {"guest": {"id": "g"}}}}
        told = requests.post(
            f"{running.config.base_url}/control/teams/calls/{ref}/participants",
            json=[somebody],
            timeout=10,
        )
    assert told.json() == {"answered": 202}
    ((authorization, body),) = heard
    keys = SigningKeys(
        login_url=f"{running.config.base_url}/login",
        tenant_id=running.config.teams_tenant_id,
        jwks_url=None,
        metadata_url=f"{running.config.base_url}/login/common/v2.0/.well-known/openid-configuration",
    )
    verify_bearer(
        authorization,
        keys=keys.current(),
        audience=running.config.teams_client_id,
        now=running.clock(),
    )
    ((seen,),) = parse(body, organiser_ref=None).rosters
    assert (seen.ref, seen.muted, seen.camera) == ("p1", True, None)


def test_a_finished_call_tells_what_was_used_and_by_whom_nobody_knows(
    running: StandIns, series: Series
) -> None:
    scene = {
        "series_ref": series.ref,
        "starts_at": FIRST.isoformat(),
        "opens": 0,
        "closes": 30,
        "people": {"maya": {"name": "Maya Patel"}, "dev": {"name": "Dev", "reports_media": False}},
        "acts": [
            {"at": 1, "person": "maya", "deed": "join", "camera": True, "microphone": True},
            {"at": 2, "person": "dev", "deed": "join"},
            {"at": 21, "person": "maya", "deed": "leave"},
        ],
    }
    running.play(Platform.TEAMS, scene)
    (stands,) = running.state(Platform.TEAMS)
    record_ref = stands["call_records"][-1]
    provider = running.teams()
    bare = provider.fetch_call_record(record_ref, with_events=False)
    assert (bare.join_url, bare.events) == (series.join_url, ())
    found = provider.fetch_call_record(record_ref, with_events=True)
    told = {(e.kind, e.level) for e in found.events}
    assert told == {
        (EventKind.MICROPHONE, Level.SENDING),
        (EventKind.CAMERA, Level.DEVICE_PRESENT),  # it worked; when, nobody says
    }
    assert {e.occurred_at for e in found.events} == {FIRST + timedelta(minutes=1)}
    assert all(e.participant is None and e.connection_ref is None for e in found.events)
    with pytest.raises(ProviderError) as gone:
        provider.fetch_call_record("unknown", with_events=False)
    assert gone.value.gone
