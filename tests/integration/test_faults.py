"""The platforms at their worst, over HTTP: every fault ends in one series and true words."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from course.model import Cohort, CohortState, Platform
from integration.scheduling import NewCarer, NewCohort, NewHousehold
from tests.factories import make_new_cohort
from tests.integration.conftest import ACTOR, Practice

BOTH = pytest.mark.parametrize("platform", list(Platform))
HOSTED = {"organiser": "host@practice.example", "first_session_on": date(2027, 2, 27)}
SERVER = {Platform.ZOOM: "zoom", Platform.TEAMS: "graph"}
FEW = (NewHousehold(reference="H1", carers=(NewCarer(name="Maya Patel", email="m@example.com"),)),)
CREATE = {Platform.ZOOM: r"/users/[^/]+/meetings$", Platform.TEAMS: r"/events$"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds instead of minutes: the same waits, shorter."""
    monkeypatch.setattr("integration.durable.FIRST_WAIT", 0.02)
    monkeypatch.setattr("integration.http.READ", 0.7)
    monkeypatch.setattr("integration.http.WHOLE_CALL", 1.5)


@dataclass
class Told:
    """What the staff see and what stands on the platform."""

    cohort: Cohort
    series: int
    calls: list[str] = field(default_factory=list)


def wanted(platform: Platform, **changes: object) -> NewCohort:
    """Under a name of its own: the practice stands for the whole file."""
    name = {"name": f"Cohort {uuid.uuid4().hex[:8]}"}
    return make_new_cohort(platform=platform, **HOSTED | name | changes)


def opened(
    practice: Practice, platform: Platform, *, within: float = 30.0, **changes: object
) -> Told:
    new = wanted(platform, **changes)
    cohort_id = practice.scheduling.open_cohort(new, key=None, actor=ACTOR)
    cohort = practice.finished(cohort_id, within=within)
    return Told(cohort, len(practice.platforms.state(platform)), practice.platforms.calls())


def is_exact(practice: Practice, platform: Platform, told: Told) -> bool:
    return (
        (told.cohort.state, told.cohort.problem, told.series) == (CohortState.READY, None, 1)
        and practice.platforms.sessions(platform)
        == [(s.starts_at, s.length) for s in told.cohort.sessions]
        and len(practice.platforms.people(platform)) == len(told.cohort.carers)
        and all(c.invitation_ref for c in told.cohort.carers) is (platform is Platform.ZOOM)
    )


def calls_of_an_opening(practice: Practice, platform: Platform) -> int:
    practice.platforms.no_trouble()
    told = opened(practice, platform, households=FEW)
    assert is_exact(practice, platform, told)
    return len([c for c in told.calls if f" /{SERVER[platform]}/" in c])


@pytest.mark.parametrize(
    "do", ["answer", "refuse", "lose_reply", "cut_reply", "garble_reply", "empty_reply"]
)
@BOTH
def test_whatever_goes_wrong_once_at_any_call_ends_in_one_exact_series(
    practice: Practice, platform: Platform, do: str
) -> None:
    calls = calls_of_an_opening(practice, platform)
    assert calls >= 3
    for nth in range(1, calls + 1):
        practice.platforms.fresh()
        practice.platforms.trouble(platform=SERVER[platform], do=do, nth=nth)
        told = opened(practice, platform, households=FEW)
        assert is_exact(practice, platform, told), (do, nth, told.cohort.problem, told.series)


@pytest.mark.parametrize("do", ["hang", "drip_reply"])
@BOTH
def test_a_platform_that_hangs_or_drips_is_given_up_on_and_asked_again(
    practice: Practice, platform: Platform, do: str
) -> None:
    practice.platforms.trouble(
        platform=SERVER[platform], do=do, method="POST", path=CREATE[platform], seconds=3
    )
    assert is_exact(practice, platform, opened(practice, platform))


@BOTH
def test_one_platform_down_for_ever_is_told_and_the_other_goes_on(
    practice: Practice, platform: Platform
) -> None:
    practice.platforms.trouble(
        platform=SERVER[platform],
        do="answer",
        status=503,
        method="POST",
        path="/v[12]",
        times=None,
    )
    new = wanted(platform)
    stuck = practice.scheduling.open_cohort(new, key=None, actor=ACTOR)
    other = next(p for p in Platform if p is not platform)
    assert is_exact(practice, other, opened(practice, other))
    told = practice.until(stuck, CohortState.NEEDS_ATTENTION, within=40)
    assert "has trouble of its own" in (told.problem or "")
    assert "Still trying" in (told.problem or "")
    # And when staff give up on it, nothing is left behind.
    practice.platforms.no_trouble()
    practice.scheduling.cancel_cohort(stuck, expected=None, actor=ACTOR)
    assert practice.finished(stuck).state is CohortState.CANCELLED
    assert practice.platforms.state(platform) == []


@pytest.mark.parametrize("how", ["seconds", "instant"])
@BOTH
def test_a_platform_that_asks_to_wait_is_waited_for(
    practice: Practice, platform: Platform, how: str
) -> None:
    wait = timedelta(seconds=2)
    at = practice.platforms.clock() + wait
    value = "2" if how == "seconds" else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    practice.platforms.trouble(
        platform=SERVER[platform],
        do="answer",
        status=429,
        headers={"Retry-After": value},
        body={"code": 429, "message": "Too many."},
        method="POST",
        path=CREATE[platform],
    )
    began = time.monotonic()
    assert is_exact(practice, platform, opened(practice, platform))
    assert time.monotonic() - began > 0.9


def test_the_daily_limit_parks_the_cohort_until_midnight_utc_and_burns_no_tries(
    practice: Practice,
) -> None:
    practice.platforms.trouble(
        platform="zoom",
        do="answer",
        status=429,
        body={
            "code": 429,
            "message": "You have exceeded the daily rate limit of (100) for Meeting Create/Update "
            "API requests. You may resume these requests at GMT 00:00:00.",
        },
        method="POST",
        path=CREATE[Platform.ZOOM],
        times=None,
    )
    new = wanted(Platform.ZOOM)
    cohort_id = practice.scheduling.open_cohort(new, key=None, actor=ACTOR)
    told = practice.until(cohort_id, CohortState.NEEDS_ATTENTION)
    assert "daily limit" in (told.problem or "")
    assert "at 00:00 UTC" in (told.problem or "")
    time.sleep(1.5)
    creates = [c for c in practice.platforms.calls() if c.endswith("/meetings")]
    assert len(creates) == 1


@pytest.mark.parametrize("trick", ["one_fewer", "an_hour_late"])
def test_an_answer_that_is_not_true_is_read_back(practice: Practice, trick: str) -> None:
    practice.platforms.trouble(
        platform="zoom", do="spoil_reply", method="POST", path=CREATE[Platform.ZOOM], trick=trick
    )
    assert is_exact(practice, Platform.ZOOM, opened(practice, Platform.ZOOM))


def test_a_series_that_stays_an_hour_late_is_never_called_ready(practice: Practice) -> None:
    for method, path in (("POST", CREATE[Platform.ZOOM]), ("GET", r"/meetings/\d+$")):
        practice.platforms.trouble(
            platform="zoom",
            do="spoil_reply",
            method=method,
            path=path,
            trick="an_hour_late",
            times=None,
        )
    told = opened(practice, Platform.ZOOM)
    assert told.cohort.state is CohortState.NEEDS_ATTENTION
    assert "week 1 stands there as 27 February 2027 11:00" in (told.cohort.problem or "")


@BOTH
def test_a_token_that_dies_on_the_way_is_renewed_once(
    practice: Practice, platform: Platform
) -> None:
    opened(practice, platform)  # so that there is a token
    practice.platforms.fresh()
    practice.platforms.trouble(
        platform=SERVER[platform],
        do="answer",
        status=401,
        body={"code": 124, "message": "Access token is expired."},
        nth=2,
    )
    told = opened(practice, platform)
    assert is_exact(practice, platform, told)
    tokens = [c for c in told.calls if c.startswith("POST") and c.endswith("/token")]
    assert len(tokens) == 1


REFUSALS: list[tuple[Platform, dict[str, Any], str]] = [
    (Platform.ZOOM, {"status": 401, "body": {"code": 124}}, "turns down a fresh access token"),
    (Platform.TEAMS, {"status": 401}, "turns down a fresh access token"),
    (
        Platform.ZOOM,
        {"status": 400, "body": {"code": 4711, "message": "scopes:[meeting:write]"}},
        "lacks a scope: [meeting:write]",
    ),
    (Platform.TEAMS, {"status": 403}, "grant Calendars.ReadWrite"),
    (Platform.ZOOM, {"status": 404, "body": {"code": 1001}}, "knows no such organiser"),
    (
        Platform.TEAMS,
        {"status": 404, "body": {"error": {"code": "ErrorInvalidUser", "message": "x"}}},
        "knows no such organiser",
    ),
    (Platform.ZOOM, {"status": 400, "body": {"code": 3161}}, "no Zoom licence"),
    (Platform.ZOOM, {"status": 302, "headers": {"Location": "http://x.example/"}}, "a redirect"),
    (Platform.TEAMS, {"status": 302, "headers": {"Location": "http://x.example/"}}, "a redirect"),
]


@pytest.mark.parametrize(("platform", "answer", "says"), REFUSALS)
def test_a_refusal_is_not_repeated_and_says_what_to_do(
    practice: Practice, platform: Platform, answer: dict[str, Any], says: str
) -> None:
    practice.platforms.trouble(
        platform=SERVER[platform],
        do="answer",
        method="POST",
        path=CREATE[platform],
        times=None,
        **answer,
    )
    told = opened(practice, platform)
    assert (told.cohort.state, told.series) == (CohortState.FAILED, 0)
    assert says in (told.cohort.problem or "")
    creates = [
        c for c in told.calls if c.startswith("POST") and c.endswith(("/meetings", "/events"))
    ]
    assert len(creates) <= 2  # the second only with a fresh token
    # Put right, it goes on with the same cohort.
    practice.platforms.no_trouble()
    practice.scheduling.repair(told.cohort.id, expected=None, actor=ACTOR)
    cohort = practice.finished(told.cohort.id)
    assert is_exact(practice, platform, Told(cohort, len(practice.platforms.state(platform))))


def test_only_those_who_could_not_be_invited_are_invited_again(practice: Practice) -> None:
    practice.platforms.trouble(
        platform="zoom",
        do="answer",
        status=400,
        body={"code": 300, "message": "Validation Failed.", "errors": [{"field": "email"}]},
        method="POST",
        path="/registrants$",
        nth=2,
    )
    told = opened(practice, Platform.ZOOM)
    assert told.cohort.state is CohortState.NEEDS_ATTENTION
    assert "1 carers could not be invited" in (told.cohort.problem or "")
    assert len(practice.platforms.people(Platform.ZOOM)) == 2
    practice.platforms.no_trouble()
    practice.scheduling.repair(told.cohort.id, expected=None, actor=ACTOR)
    after = practice.finished(told.cohort.id)
    assert is_exact(practice, Platform.ZOOM, Told(after, 1))
    invited = [c for c in practice.platforms.calls() if c.endswith("/registrants")]
    assert [c.split()[0] for c in invited] == ["POST"]


@BOTH
def test_a_half_made_cohort_that_is_cancelled_leaves_nothing(
    practice: Practice, platform: Platform
) -> None:
    practice.platforms.trouble(
        platform=SERVER[platform], do="lose_reply", method="POST", path=CREATE[platform]
    )
    practice.platforms.trouble(
        platform=SERVER[platform], do="answer", status=500, method="GET", times=None
    )
    new = wanted(platform)
    cohort_id = practice.scheduling.open_cohort(new, key=None, actor=ACTOR)
    until = time.monotonic() + 10
    while not practice.platforms.state(platform) and time.monotonic() < until:
        time.sleep(0.02)
    assert len(practice.platforms.state(platform)) == 1  # it stands, and nobody was told
    practice.scheduling.cancel_cohort(cohort_id, expected=None, actor=ACTOR)
    practice.platforms.no_trouble()
    assert practice.finished(cohort_id, within=40).state is CohortState.CANCELLED
    assert practice.platforms.state(platform) == []


SATURDAYS = [
    (date(2027, 2, 27), (), 5, "2027-04-17"),  # into summer time
    (date(2027, 10, 2), (), 5, "2027-11-20"),  # out of it
    (date(2028, 1, 29), (), 8, "2028-03-18"),  # a leap year
    (date(2027, 11, 20), (date(2027, 12, 25), date(2028, 1, 1)), 8, "2028-01-22"),
]


@pytest.mark.parametrize(("first", "skips", "same_offset", "last"), SATURDAYS)
@BOTH
def test_ten_o_clock_in_london_stays_ten_o_clock_on_the_platform(
    practice: Practice,
    platform: Platform,
    first: date,
    skips: tuple[date, ...],
    same_offset: int,
    last: str,
) -> None:
    new = wanted(platform, first_session_on=first, skip_dates=skips, session_minutes=105)
    cohort = practice.finished(practice.scheduling.open_cohort(new, key=None, actor=ACTOR))
    assert (cohort.state, cohort.problem) == (CohortState.READY, None)
    held = practice.platforms.sessions(platform)
    assert len(held) == 8
    assert [at.hour for at, _ in held].count(held[0][0].hour) == same_offset
    assert held == [(s.starts_at, s.length) for s in cohort.sessions]
    assert f"{held[-1][0]:%Y-%m-%d}" == last
    assert [length for _, length in held] == [timedelta(minutes=30)] + [timedelta(minutes=105)] * 7


def test_the_servers_own_time_zone_changes_nothing(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    for zone in ("Pacific/Auckland", "America/St_Johns"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        told = opened(practice, Platform.ZOOM)
        assert practice.platforms.sessions(Platform.ZOOM)[0][0] == datetime(
            2027, 2, 27, 10, tzinfo=UTC
        )
        practice.scheduling.cancel_cohort(told.cohort.id, expected=None, actor=ACTOR)
        practice.finished(told.cohort.id)


@pytest.fixture(autouse=True)
def zone_of_the_server() -> Iterator[None]:
    yield
    time.tzset()
