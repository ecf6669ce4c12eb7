"""Lets a session of a cohort take place now, on the stand-in that holds its series.

It is moved to now through the staff API, as a facilitator could, and then people arrive by the
clock: real notifications at their own moments, and at the end the platform's own record.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from sandbox.desk import Desk, ServiceRefused
from sandbox.live_story import Invited, Story, begins_at, example_cohort, live_story
from sandbox.pace import Pace
from sandbox.scene import Scene
from sandbox.zoom_account import ZoomStandIn

READY_IN = timedelta(seconds=4)  # a platform needs a moment for a session that is moved
SAMPLED = timedelta(minutes=1)  # how often Zoom tells of a camera
SOONEST_SAMPLE = timedelta(seconds=4)
SATURDAY = 5

log = logging.getLogger(__name__)


class Stage(Protocol):
    """Plays scenes on one platform."""

    def play(self, scene: Scene, pace: Pace | None = None) -> dict[str, object]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Playing:
    """A session that is, or was, played."""

    week: int
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One cohort whose series a stand-in holds: the week that may be played, or why none may."""

    cohort_id: str
    name: str
    platform: str
    week: int | None
    minutes: int
    why_not: str
    played: Playing | None


class Live:
    """Which cohorts there are to play, and what is played."""

    def __init__(
        self,
        *,
        desk: Desk,
        stages: Mapping[str, Stage],
        held: Mapping[str, Callable[[], set[str]]],
        zoom: ZoomStandIn,
        clock: Callable[[], datetime],
    ) -> None:
        """`held`: the series that stand on each platform."""
        self.desk = desk
        self._stages = stages
        self._held = held
        self._zoom = zoom
        self.clock = clock
        self.playing: dict[str, Playing] = {}
        self._line = threading.Lock()

    def offers(self) -> list[Offer]:
        """The cohorts of which a stand-in holds the series, the newest first."""
        found = self.desk.call("GET", "/cohorts?state=ready&limit=100")["cohorts"]
        held = {platform: refs() for platform, refs in self._held.items()}
        return [
            self._offer(cohort)
            for cohort in found
            if cohort["series_ref"] in held.get(cohort["platform"], set())
        ]

    def open_example(self, platform: str) -> str:
        """Open a cohort with five families, from the next Saturday on; its id."""
        now = self.clock()
        cohort = example_cohort(
            name=f"Example, {now.astimezone():%-d %B %H:%M:%S}",
            platform=platform,
            first_session_on=_next_saturday(now.astimezone().date()).isoformat(),
        )
        opened = self.desk.open(cohort, key=secrets.token_hex(8))
        return str(opened["id"])

    def play(self, cohort_id: str, *, speed: float) -> int:
        """Move the next session to now and let it begin; its week. Raises `ServiceRefused`."""
        with self._line:  # two clicks are one session
            cohort = self.desk.call("GET", f"/cohorts/{cohort_id}")
            offer = self._offer(cohort)
            if offer.week is None:
                raise ServiceRefused(offer.why_not)
            starts_at = begins_at(self.clock(), speed=speed, ready_in=READY_IN)
            self.desk.call(
                "PATCH",
                f"/cohorts/{cohort_id}/sessions/{offer.week}",
                {"starts_at": starts_at.isoformat()},
            )
            story = live_story(
                self._invited(cohort),
                series_ref=str(cohort["series_ref"]),
                starts_at=starts_at,
                minutes=offer.minutes,
                speed=speed,
            )
            ends_at = starts_at + timedelta(minutes=story.scene.closes)
            self.playing[cohort_id] = Playing(week=offer.week, ends_at=ends_at)
        pace = Pace(clock=self.clock, sampled=max(SAMPLED / speed, SOONEST_SAMPLE))
        for target, args in (
            (self._press, (story, pace)),
            (self._perform, (str(cohort["platform"]), story, pace)),
        ):
            threading.Thread(target=target, args=args, daemon=True).start()
        return offer.week

    def _press(self, story: Story, pace: Pace) -> None:
        for press in pace.each(story.presses):
            self.desk.press(press.join_page, both=press.both)

    def _perform(self, platform: str, story: Story, pace: Pace) -> None:
        told = self._stages[platform].play(story.scene, pace)
        if told["failed"]:
            log.warning("not delivered while a session was played: %s", told["failed"])

    def _offer(self, cohort: dict[str, Any]) -> Offer:
        now, played = self.clock(), self.playing.get(cohort["id"])
        sessions = [s for s in cohort["sessions"] if s["state"] == "scheduled"]
        coming = next((s for s in sessions if _at(s["starts_at"]) > now), None)
        why_not, minutes = "", 0
        if played is not None and now < played.ends_at:
            why_not = f"Week {played.week} is being played."
        elif coming is None:
            why_not = "No session is left to play."
        else:
            length = _at(coming["ends_at"]) - _at(coming["starts_at"])
            minutes = int(length.total_seconds() / 60)
            today = now.astimezone(_at(coming["starts_at"]).tzinfo).date()
            before = [s for s in sessions if s["week"] < coming["week"]]
            if before and _at(before[-1]["starts_at"]).date() >= today:
                why_not = (
                    f"Week {before[-1]['week']} was today. Each session builds on the last, so "
                    f"week {coming['week']} cannot be on the same day."
                )
        return Offer(
            cohort_id=cohort["id"],
            name=cohort["name"],
            platform=cohort["platform"],
            week=None if why_not or coming is None else coming["week"],
            minutes=minutes,
            why_not=why_not,
            played=played,
        )

    def _invited(self, cohort: dict[str, Any]) -> list[Invited]:
        refs = self._registrants(str(cohort["series_ref"])) if cohort["platform"] == "zoom" else {}
        return [
            Invited(
                name=carer["name"],
                household=carer["household"],
                join_page=carer["join_url"],
                invitation_ref=refs.get(carer["email"]),
            )
            for carer in cohort["carers"]
            if carer["withdrawn_at"] is None
        ]

    def _registrants(self, series_ref: str) -> dict[str, str]:
        with self._zoom.lock:
            return {r.email: r.id for r in self._zoom.meeting(series_ref).registrants}


def _at(written: str) -> datetime:
    return datetime.fromisoformat(written)


def _next_saturday(today: date) -> date:
    """After today, so that the plan never lies in the past."""
    return today + timedelta(days=(SATURDAY - today.weekday()) % 7 or 7)
