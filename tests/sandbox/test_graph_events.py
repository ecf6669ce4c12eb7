"""The Graph stand-in's calendar: what it accepts, and what it makes of times."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.graph_client import CONFIG, GraphClient, recurrence, refusal

LONDON = "Europe/London"


def at(wall: str, zone: str = LONDON) -> dict[str, str]:
    """A point as events name it."""
    return {"dateTime": wall, "timeZone": zone}


@pytest.mark.parametrize(
    "changes",
    [
        {"recurrence": None},
        {"recurrence": {"pattern": "weekly", "range": {}}},
        {"recurrence": recurrence(pattern={"type": "daily"})},
        {"recurrence": recurrence(pattern={"daysOfWeek": ["sunday"]})},
        {"recurrence": recurrence(pattern={"daysOfWeek": "saturday"})},
        {"recurrence": recurrence(pattern={"interval": "1"})},
        {"recurrence": recurrence(span={"startDate": "2027-02-20"})},
        {"recurrence": recurrence(span={"startDate": "soon"})},
        {"recurrence": recurrence(span={"numberOfOccurrences": None})},
        {"recurrence": recurrence(span={"recurrenceTimeZone": "Mars"})},
        {"start": None},
        {"start": at("soon")},
        {"start": {"dateTime": "2027-02-27T10:00:00"}},
        {"attendees": "everybody"},
        {"attendees": [{"emailAddress": {"name": "Maya Patel"}}]},
        {"attendees": [{"emailAddress": {"address": "maya@example.com"}, "type": "guest"}]},
        {"isOnlineMeeting": "yes"},
        {"subject": 7},
        {"onlineMeetingProvider": "skypeForBusiness"},
    ],
)
def test_what_an_event_cannot_be_is_a_400_in_graphs_shape(changes: dict[str, Any]) -> None:
    graph = GraphClient()
    graph.headers["client-request-id"] = "our own"
    answer = graph.create(changes)
    assert answer.status_code == 400
    error = answer.json["error"]
    assert error["code"]
    assert error["message"]
    assert set(error["innerError"]) == {"date", "request-id", "client-request-id"}
    assert error["innerError"]["client-request-id"] == "our own"


def test_a_body_that_is_no_json_object_is_refused() -> None:
    graph = GraphClient()
    assert refusal(graph.call("POST", f"{graph.user}/events", [])) == (400, "BadRequest")


def test_a_host_of_another_tenant_has_no_mailbox_and_ours_has_one_by_address_too() -> None:
    graph = GraphClient()
    answer = graph.call("GET", "/users/other@example.com/events")
    assert refusal(answer) == (404, "ErrorInvalidUser")
    assert graph.call("GET", f"/users/{CONFIG.teams_host_email}/events").status_code == 200


def test_a_local_time_with_a_z_is_taken_as_utc_whatever_the_zone_says() -> None:
    summer = {
        "start": at("2027-04-03T10:00:00Z"),
        "end": at("2027-04-03T12:00:00Z"),
        "recurrence": recurrence(span={"startDate": "2027-04-03"}),
    }
    graph = GraphClient()
    ref = graph.create(summer).json["id"]
    first = graph.instances(ref, prefer=f'outlook.timezone="{LONDON}"')[0]
    assert first["start"] == {"dateTime": "2027-04-03T11:00:00.0000000", "timeZone": LONDON}


def test_times_are_answered_in_utc_unless_another_zone_is_preferred() -> None:
    graph = GraphClient()
    ref = graph.create().json["id"]
    path = f"{graph.user}/events/{ref}"
    last = graph.instances(ref)[-1]
    assert last["start"] == {"dateTime": "2027-05-15T09:00:00.0000000", "timeZone": "UTC"}
    london = graph.instances(ref, prefer='outlook.timezone="GMT Standard Time"')[-1]
    assert london["start"]["dateTime"] == "2027-05-15T10:00:00.0000000"
    master = graph.call("GET", path, prefer='outlook.timezone="Europe/Paris"').json
    assert master["start"]["dateTime"] == "2027-02-27T11:00:00.0000000"
    assert master["originalStartTimeZone"] == "GMT Standard Time"
    answer = graph.call("GET", path, prefer='outlook.timezone="Mars"')
    assert refusal(answer) == (400, "TimeZoneNotSupportedException")


def test_greenwich_standard_time_is_icelands_and_has_no_summer() -> None:
    zone = "Greenwich Standard Time"
    graph = GraphClient()
    made = graph.create(
        {"start": at("2027-02-27T10:00:00", zone), "end": at("2027-02-27T12:00:00", zone)}
    )
    hours = {i["start"]["dateTime"][11:13] for i in graph.instances(made.json["id"])}
    assert hours == {"10"}


def test_only_the_instance_that_was_changed_becomes_an_exception() -> None:
    graph = GraphClient()
    ref = graph.create().json["id"]
    before = graph.instances(ref)
    path = f"{graph.user}/events/{before[4]['id']}"
    answer = graph.call("PATCH", path, {"end": at("2027-03-27T10:30:00")})
    assert (answer.status_code, answer.json["type"]) == (200, "exception")
    after = graph.instances(ref)
    assert after[0]["id"] == before[4]["id"]  # no order is promised
    assert after[0]["end"]["dateTime"] == "2027-03-27T10:30:00.0000000"
    assert after[1:] == [i for n, i in enumerate(before) if n != 4]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (
            {"start": at("2027-03-13T10:00:00"), "end": at("2027-03-13T12:00:00")},
            "ErrorOccurrenceCrossingBoundary",
        ),
        (
            {"start": at("2027-04-24T10:00:00"), "end": at("2027-04-24T12:00:00")},
            "ErrorOccurrenceCrossingBoundary",
        ),
        ({"end": at("2027-02-27T09:00:00")}, "ErrorPropertyValidationFailure"),
        ({"recurrence": recurrence()}, "ErrorInvalidRequest"),
        ({"colour": "blue"}, "RequestBodyRead"),
    ],
)
def test_an_instance_cannot_pass_its_neighbours_or_become_something_else(
    changes: dict[str, Any], code: str
) -> None:
    graph = GraphClient()
    ref = graph.create().json["id"]
    before = graph.instances(ref)
    answer = graph.call("PATCH", f"{graph.user}/events/{before[0]['id']}", changes)
    assert refusal(answer) == (400, code)
    assert graph.instances(ref) == before


def test_patching_the_attendees_replaces_the_whole_list() -> None:
    graph = GraphClient()
    maya, tom = (
        {"emailAddress": {"address": f"{name}@example.com", "name": name}, "type": "required"}
        for name in ("maya", "tom")
    )
    path = f"{graph.user}/events/{graph.create({'attendees': [maya]}).json['id']}"
    graph.call("PATCH", path, {"attendees": [tom]})
    found = graph.call("GET", f"{path}?$select=attendees").json
    assert set(found) == {"id", "attendees"}
    assert [a["emailAddress"]["address"] for a in found["attendees"]] == ["tom@example.com"]
    assert graph.call("GET", f"{path}?$select=colour").status_code == 400
    assert graph.call("PATCH", path, {"start": at("2027-02-27T11:00:00")}).status_code == 400


def test_a_dropped_instance_is_gone_and_the_others_stay() -> None:
    graph = GraphClient()
    ref = graph.create().json["id"]
    before = graph.instances(ref)
    path = f"{graph.user}/events/{before[2]['id']}"
    assert graph.call("DELETE", path).status_code == 204
    assert refusal(graph.call("GET", path)) == (404, "ErrorItemNotFound")
    assert graph.instances(ref) == [i for n, i in enumerate(before) if n != 2]


def test_a_cancelled_series_leaves_the_calendar_but_its_meeting_stays() -> None:
    graph = GraphClient()
    made = graph.create().json
    path = f"{graph.user}/events/{made['id']}"
    assert graph.call("POST", f"{path}/cancel", {"reason": "none"}).status_code == 400
    answer = graph.call("POST", f"{path}/cancel", {"comment": "Not this time."})
    assert (answer.status_code, answer.data) == (202, b"")
    assert refusal(graph.call("POST", f"{path}/cancel")) == (404, "ErrorItemNotFound")
    assert graph.call("GET", f"{graph.user}/events").json["value"] == []
    assert len(graph.meeting(made["onlineMeeting"]["joinUrl"]).json["value"]) == 1
    assert graph.create().json["id"] != made["id"]


def test_events_are_found_by_subject_over_all_pages() -> None:
    graph = GraphClient()
    for n in range(13):
        graph.create({"subject": "Spring's course", "transactionId": f"t-{n}"})
    graph.create({"subject": "Another", "transactionId": "t-other"})
    path = f"{graph.user}/events?$filter=subject%20eq%20'Spring''s%20course'"
    first = graph.call("GET", path).json
    following = first["@odata.nextLink"].removeprefix(f"{CONFIG.base_url}/graph/v1.0")
    second = graph.call("GET", following).json
    assert (len(first["value"]), len(second["value"])) == (10, 3)
    assert "@odata.nextLink" not in second
    assert graph.call("GET", f"{graph.user}/events?$filter=start%20gt%201").status_code == 400
    assert graph.call("GET", f"{graph.user}/events?$skip=x").status_code == 400


def test_an_event_without_online_meeting_has_no_link() -> None:
    made = GraphClient().create({"isOnlineMeeting": False}).json
    assert (made["isOnlineMeeting"], made["onlineMeeting"]) == (False, None)


def test_the_join_link_is_the_long_form_with_escapes_of_its_own() -> None:
    link = GraphClient().create().json["onlineMeeting"]["joinUrl"]
    assert link.startswith("https://teams.microsoft.com/l/meetup-join/19%3ameeting_")
    assert "%40thread.v2/0?context=%7b%22Tid%22%3a%22" in link
    assert f"%22Oid%22%3a%22{CONFIG.teams_host_id}%22%7d" in link
