"""Plays the demonstration course against a running service, through its API like staff would.

Opens the cohort in one call, has the stand-in play each week, closes the registers, says who the
obvious namesakes are, and compares the report with the story.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import requests

from sandbox.cast import EXPECTED, HOST, HOUSEHOLDS, STANDING, STRANGER, address, scene
from sandbox.desk import Desk, ServiceRefused

# What a facilitator who knows the families would say of a name that is nobody's.
KNOWN_NAMES = {"Niamh's iPad": "Niamh Byrne"}


class DemoFailed(Exception):
    """An expectation of the story was not met; the message says which."""


class Course:
    """One cohort of the demonstration, driven through the API like a member of staff would."""

    def __init__(self, *, api: str, token: str, sandbox: str, platform: str) -> None:
        self._desk = Desk(service=api, token=token)
        self._sandbox = sandbox
        self.platform = platform
        self.cohort: dict[str, Any] = {}

    def _call(self, method: str, path: str, body: object = None) -> Any:
        try:
            return self._desk.call(method, path, body)
        except ServiceRefused as e:
            raise DemoFailed(f"{method} {path}: {e}") from e

    def open(self, first_session_on: date) -> None:
        """Open the cohort in one call, and wait should it take longer than an answer may."""
        asked = {
            "name": f"Demonstration {first_session_on:%B %Y}",
            "platform": self.platform,
            "first_session_on": first_session_on.isoformat(),
            "allow_past": True,
            "facilitators": [{"name": HOST, "email": "alma.lee@example.org"}],
            "households": [
                {
                    "reference": reference,
                    "carers": [{"name": name, "email": address(name)} for name in carers],
                }
                for reference, carers in HOUSEHOLDS.items()
            ],
        }
        try:
            self.cohort = self._desk.open(asked, key=secrets.token_hex(8))
        except ServiceRefused as e:
            raise DemoFailed(str(e)) from e

    def play(self, week: int) -> None:
        """Play one week; its notifications have reached the service when this returns."""
        session = self.cohort["sessions"][week - 1]
        starts_at = datetime.fromisoformat(session["starts_at"]).astimezone(UTC)
        ends_at = datetime.fromisoformat(session["ends_at"])
        played = scene(
            week=week,
            series_ref=self.cohort["series_ref"],
            starts_at=starts_at,
            minutes=(ends_at - starts_at).total_seconds() / 60,
            invitation_refs=self._registrants(),
        )
        body = asdict(played) | {"starts_at": starts_at.isoformat()}
        answer = requests.post(
            f"{self._sandbox}/control/{self.platform}/scenes", json=body, timeout=60
        )
        if not answer.ok:
            raise DemoFailed(f"week {week} on {self.platform}: {answer.text}")
        if failed := answer.json()["failed"]:
            raise DemoFailed(f"week {week} on {self.platform}: not delivered: {failed[:3]}")

    def _registrants(self) -> dict[str, str]:
        if self.platform != "zoom":
            return {}
        state = requests.get(f"{self._sandbox}/control/state", timeout=10).json()
        by_email = {
            person["email"]: person["id"]
            for series in state["zoom"]["series"]
            if str(series["id"]) == self.cohort["series_ref"]
            for person in series["registrants"]
        }
        return {
            name: by_email[address(name)]
            for carers in HOUSEHOLDS.values()
            for name in carers
            if address(name) in by_email
        }

    def close(self, week: int) -> None:
        """Reconcile and close the register; then say who the exact namesakes are, as one would."""
        self._call("POST", f"/cohorts/{self.cohort['id']}/sessions/{week}/close")
        carers = {c["name"]: c["id"] for c in self.cohort["carers"]}
        for seen in self.report()["unmatched"]:
            name = KNOWN_NAMES.get(seen["display_name"], seen["display_name"])
            if name in carers and seen["week"] == week:
                self._call(
                    "PUT",
                    f"/cohorts/{self.cohort['id']}/sessions/{week}/participants/{seen['ref']}",
                    {"carer": carers[name]},
                )

    def report(self) -> dict[str, Any]:
        """The attendance report."""
        found: dict[str, Any] = self._call("GET", f"/cohorts/{self.cohort['id']}/attendance")
        return found

    def write(self, folder: Path) -> list[Path]:
        """Write the report in every format that there is."""
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for ending in ("csv", "xlsx", "pdf", "html", "json"):
            suffix = "" if ending == "json" else f".{ending}"
            answer = self._desk.get(f"/cohorts/{self.cohort['id']}/attendance{suffix}")
            answer.raise_for_status()
            path = folder / f"{self.platform}-attendance.{ending}"
            path.write_bytes(answer.content)
            written.append(path)
        return written

    def unmet(self) -> list[str]:
        """What the report says otherwise than the story."""
        report = self.report()
        by_name = {carer["name"]: carer for carer in report["carers"]}
        faults = []
        for expected in EXPECTED:
            week = by_name[expected.carer]["weeks"][expected.week - 1]
            told = json.dumps(week["reasons"])
            met = (
                week["verdict"] == expected.verdict
                and (expected.camera is None or week["camera"] == expected.camera)
                and expected.says in told
                and (expected.source is None or expected.source in week["sources"])
            )
            if not met:
                faults.append(
                    f"{self.platform}: {expected.carer}, week {expected.week} ({expected.why}): "
                    f"expected {expected.verdict}, the report says {week['verdict']}, camera "
                    f"{week['camera']}, {told}"
                )
        for name, standing in STANDING.items():
            if by_name[name]["all_sessions"] != standing:
                faults.append(
                    f"{self.platform}: {name} should be {standing}, "
                    f"the report says {by_name[name]['all_sessions']}"
                )
        strangers = [s["display_name"] for s in report["unmatched"]]
        if strangers != [STRANGER]:
            faults.append(f"{self.platform}: the only stranger is {STRANGER}, not {strangers}")
        return faults
