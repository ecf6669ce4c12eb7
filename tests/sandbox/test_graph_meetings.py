"""The Graph stand-in's meetings and reports: who finds them, and what each version shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote

import pytest

from tests.sandbox.graph_client import CONFIG, GraphClient, refusal

PEOPLE = {
    "host": {"name": "Dr Alma Lee", "host": True},
    "maya": {"name": "Maya Patel"},
    "grace": {"name": "Grace Okafor", "reports_media": False},
}
ACTS: list[dict[str, Any]] = [
    {"at": 1, "person": "maya", "deed": "join", "lost": True},
    {"at": 2, "person": "grace", "deed": "join"},
    {"at": 5, "person": "maya", "deed": "camera_off"},
    {"at": 6, "person": "maya", "deed": "mute"},
    {"at": 10, "person": "maya", "deed": "leave"},
    {"at": 12, "person": "maya", "deed": "join", "camera": False},
]


class Held(GraphClient):
    """A series with one session that was held."""

    def __init__(self) -> None:
        super().__init__()
        made = self.create().json
        self.ref: str = made["id"]
        self.link: str = made["onlineMeeting"]["joinUrl"]
        assert self.play(self.ref, PEOPLE, ACTS).status_code == 200
        (found,) = self.meeting(self.link).json["value"]
        self.reports = f"{self.user}/onlineMeetings/{quote(found['id'])}/attendanceReports"

    def records(self, *, version: str, expand: bool = True) -> list[dict[str, Any]]:
        """The records of the newest report."""
        newest = self.call("GET", self.reports, version=version).json["value"][0]
        query = "?$expand=attendanceRecords" if expand else ""
        answer = self.call("GET", f"{self.reports}/{newest['id']}{query}", version=version)
        found: list[dict[str, Any]] = answer.json["attendanceRecords"]
        return found


def test_a_meeting_is_found_by_its_link_encoded_exactly_once() -> None:
    graph = GraphClient()
    link = graph.create().json["onlineMeeting"]["joinUrl"]
    (found,) = graph.meeting(link).json["value"]
    assert found["joinWebUrl"] == link
    assert found["chatInfo"]["threadId"].endswith("@thread.v2")
    assert found["participants"]["organizer"]["identity"]["user"]["id"] == CONFIG.teams_host_id
    for wrong in (unquote(link), quote(link, safe=""), link.upper()):
        assert graph.meeting(wrong).json["value"] == []


def test_meetings_are_under_the_object_id_and_never_under_the_address() -> None:
    graph = GraphClient()
    link = graph.create().json["onlineMeeting"]["joinUrl"]
    assert refusal(graph.meeting(link, user=CONFIG.teams_host_email)) == (400, "BadRequest")
    assert refusal(graph.call("GET", f"{graph.user}/onlineMeetings")) == (400, "BadRequest")


def test_without_the_access_policy_meetings_and_reports_are_forbidden() -> None:
    graph = GraphClient(replace(CONFIG, teams_access_policy=False))
    for path in ("onlineMeetings?$filter=JoinWebUrl eq 'x'", "onlineMeetings/m/attendanceReports"):
        answer = graph.call("GET", f"{graph.user}/{path}")
        assert refusal(answer) == (403, "Forbidden")
        assert "No application access policy found for this app" in answer.text


def test_unknown_meetings_reports_and_records_are_not_found() -> None:
    graph = Held()
    for path in (
        f"{graph.user}/onlineMeetings/unknown/attendanceReports",
        f"{graph.reports}/unknown",
        "/communications/callRecords/unknown",
    ):
        assert refusal(graph.call("GET", path)) == (404, "NotFound")


def test_a_report_has_a_record_for_each_join_with_the_typed_name_only() -> None:
    records = Held().records(version="beta")
    assert [r["identity"]["displayName"] for r in records] == [
        "Dr Alma Lee",
        "Maya Patel",
        "Grace Okafor",
        "Maya Patel",
    ]
    host, maya, _, again = records
    assert (host["role"], host["identity"]["id"]) == ("Organizer", CONFIG.teams_host_id)
    assert (maya["role"], maya["emailAddress"]) == ("Presenter", "")
    assert maya["identity"]["id"] != again["identity"]["id"]
    assert maya["attendanceIntervals"] == [
        {
            "joinDateTime": "2027-02-27T10:01:00.0000000Z",
            "leaveDateTime": "2027-02-27T10:10:00.0000000Z",
            "durationInSeconds": 540,
        }
    ]


def test_engagements_begin_at_the_join_and_are_in_beta_only() -> None:
    graph = Held()
    _, maya, grace, again = graph.records(version="beta")
    said = [(e["engagementSubType"], e["dateTime"][11:16]) for e in maya["engagements"]]
    assert said == [
        ("cameraOn", "10:01"),
        ("unmute", "10:01"),
        ("cameraOff", "10:05"),
        ("mute", "10:06"),
    ]
    assert grace["engagements"] == []  # never reported, which is not the same as off
    assert again["engagements"][0]["engagementSubType"] == "cameraOff"
    assert all("engagements" not in r for r in graph.records(version="v1.0"))


def test_records_are_there_only_when_expanded() -> None:
    graph = Held()
    assert graph.records(version="beta", expand=False) == []
    newest = graph.call("GET", graph.reports).json["value"][0]
    assert newest["attendanceRecords"] == []
    path = f"{graph.reports}/{newest['id']}?$expand=colour"
    assert refusal(graph.call("GET", path)) == (400, "BadRequest")


def test_every_call_makes_a_report_of_its_own_and_fifty_are_shown_at_most() -> None:
    graph = Held()
    for _ in range(51):
        graph.play(graph.ref, {}, [])
    found, path = [], graph.reports
    while path:
        answer = graph.call("GET", path).json
        found += answer["value"]
        following = answer.get("@odata.nextLink", "")
        path = following.removeprefix(f"{CONFIG.base_url}/graph/v1.0")
    assert len({r["id"] for r in found}) == 50
    assert found[0]["totalParticipantCount"] == 0


@pytest.mark.parametrize(
    ("expand", "sessions", "segments"),
    [("", 0, 0), ("?$expand=sessions", 4, 0), ("?$expand=sessions($expand=segments)", 4, 4)],
)
def test_a_call_record_shows_as_much_as_was_expanded(
    expand: str, sessions: int, segments: int
) -> None:
    found = call_record(Held(), expand)
    assert len(found["sessions"]) == sessions
    assert sum(len(s["segments"]) for s in found["sessions"]) == segments


def test_a_call_record_says_whether_a_camera_sent_and_names_nobody_but_the_host() -> None:
    graph = Held()
    found = call_record(graph, "?$expand=sessions($expand=segments)")
    assert found["joinWebUrl"] == graph.link
    assert [sent(session) for session in found["sessions"]] == [True, True, None, False]
    names = [s["caller"]["associatedIdentity"]["displayName"] for s in found["sessions"]]
    assert names == ["Dr Alma Lee", None, None, None]
    path = f"/communications/callRecords/{found['id']}?$expand=colour"
    assert refusal(graph.call("GET", path)) == (400, "BadRequest")


def call_record(graph: Held, expand: str) -> Any:
    """The only call record, found as its notification would name it."""
    series = graph.client.get("/control/state").json["teams"]["series"]
    assert len(series) == 1
    (ref,) = series[0]["call_records"]
    return graph.call("GET", f"/communications/callRecords/{ref}{expand}").json


def sent(session: dict[str, Any]) -> bool | None:
    """Whether the camera sent at all; None: nothing is known of it."""
    for media in session["segments"][0]["media"]:
        if media["label"] == "main-video":
            return any(
                stream["packetUtilization"] > 0
                for stream in media["streams"]
                if stream["streamDirection"] == "callerToCallee"
            )
    return None
