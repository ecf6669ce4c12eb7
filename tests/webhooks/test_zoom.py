"""Zoom's webhooks: forgeries are refused, genuine ones are read, the same fact is one fact."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from course.model import EventKind, Level, Role
from webhooks import zoom
from webhooks.rejected import Malformed, Rejected

NOW = datetime(2027, 1, 16, 10, 5, tzinfo=UTC)
SECRET = "s3cret"
STAMP = str(int(NOW.timestamp()))


def sign(body: bytes, *, stamp: str = STAMP, secret: str = SECRET) -> dict[str, str]:
    signed = b"v0:" + stamp.encode() + b":" + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return {"x-zm-signature": f"v0={digest}", "x-zm-request-timestamp": stamp}


def joined(**changes: Any) -> dict[str, Any]:
    participant = {
        "user_id": "16778240",
        "user_name": "Zoë 😀 Ash",
        "participant_uuid": "EE57CA2F-6867-3C4F-0919-B196E7606EFB",
        "registrant_id": "reg-1",
        "email": "zoe@example.com",
        "id": "",
        "join_time": "2027-01-16T10:00:01Z",
        "public_ip": "203.0.113.9",
        "phone_number": "447700900123",
    } | changes
    meeting = {
        "uuid": "/aDYlohsHRtCd4ii1uC2+hA==",
        "id": "81000000001",
        "host_id": "host-1",
        "start_time": "2027-01-16T09:55:00Z",
        "participant": participant,
    }
    return {
        "event": "meeting.participant_joined",
        "event_ts": 1800093602000,
        "payload": {"account_id": "A", "object": meeting},
    }


def raw(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def parse(body: dict[str, Any] | bytes) -> zoom.Parsed:
    return zoom.parse(
        body if isinstance(body, bytes) else raw(body), received_at=NOW, sent_direction="output"
    )


def check(headers: dict[str, str], body: bytes, *, secrets: list[str] | None = None) -> None:
    zoom.verify(headers, body, secrets=[SECRET] if secrets is None else secrets, now=NOW)


def test_a_genuine_delivery_is_believed_byte_for_byte() -> None:
    body = raw(joined())
    check(sign(body), body)
    again = json.dumps(json.loads(body)).encode()  # the same JSON, other bytes
    with pytest.raises(Rejected):
        check(sign(body), again)


GOOD = sign(b"{}")["x-zm-signature"]


@pytest.mark.parametrize(
    "changes",
    [
        {"x-zm-signature": ""},
        {"x-zm-signature": GOOD.upper()},
        {"x-zm-signature": GOOD.removeprefix("v0=")},
        {"x-zm-signature": "v0=" + "g" * 64},
        {"x-zm-signature": "v0=" + "0" * 64},
        {"x-zm-signature": GOOD + "00"},
        {"x-zm-signature": "v0=" + "é" * 64},
        {"x-zm-request-timestamp": ""},
        {"x-zm-request-timestamp": "soon"},
        {"x-zm-request-timestamp": "-1"},
        {"x-zm-request-timestamp": "9" * 400},
        {"x-zm-request-timestamp": "١٢٣"},
        {"x-zm-request-timestamp": f" {STAMP}"},
    ],
)
def test_every_kind_of_forgery_is_refused_in_the_same_way(changes: dict[str, str]) -> None:
    with pytest.raises(Rejected) as refused:
        check(sign(b"{}") | changes, b"{}")
    assert refused.value.reason == "bad_signature"


def test_missing_headers_a_wrong_secret_and_no_secret_are_refused() -> None:
    with pytest.raises(Rejected):
        check({}, b"{}")
    with pytest.raises(Rejected):
        check(sign(b"{}", secret="other"), b"{}")
    for secrets in ([], [""]):
        with pytest.raises(Rejected) as refused:
            check(sign(b"{}", secret=""), b"{}", secrets=secrets)
        assert refused.value.reason == "no_secret"


def test_old_and_new_secret_are_both_good_while_they_change() -> None:
    for used in ("old", "new"):
        headers = sign(b"{}", secret=used)
        assert zoom.verify(headers, b"{}", secrets=["new", "old"], now=NOW) == used
    with pytest.raises(Rejected):
        check(sign(b"{}", secret="old"), b"{}", secrets=["new"])


@pytest.mark.parametrize(
    ("seconds", "good"), [(0, True), (120, True), (600, False), (-120, True), (-85 * 60, True)]
)
def test_a_sender_whose_clock_is_a_little_off_and_a_late_repeat_are_believed(
    seconds: int,
    good: bool,
) -> None:
    headers = sign(b"{}", stamp=str(int(NOW.timestamp()) + seconds))
    if good:
        check(headers, b"{}")
    else:
        with pytest.raises(Rejected):
            check(headers, b"{}")


def test_a_request_captured_a_day_ago_is_stale() -> None:
    stamp = str(int((NOW - timedelta(days=1)).timestamp()))
    with pytest.raises(Rejected) as refused:
        check(sign(b"{}", stamp=stamp), b"{}")
    assert refused.value.reason == "stale"


@given(st.dictionaries(st.text(max_size=30), st.text(max_size=80), max_size=5), st.binary())
def test_whatever_comes_verify_only_ever_refuses(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(Rejected):
        zoom.verify(headers, body, secrets=[SECRET], now=NOW)


def test_the_address_check_is_answered_with_the_proof() -> None:
    body = raw({"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8-_vl"}})
    answer = zoom.handshake(body, secret=SECRET)
    proof = hmac.new(SECRET.encode(), b"qgg8-_vl", hashlib.sha256).hexdigest()
    assert answer == {"plainToken": "qgg8-_vl", "encryptedToken": proof}
    assert zoom.handshake(raw(joined()), secret=SECRET) is None


@pytest.mark.parametrize("token", ["v0:1:{}", "", "a" * 65, "a b", 7, None, ["a"]])
def test_nothing_that_could_be_a_forged_request_is_ever_signed(token: object) -> None:
    body = raw({"event": "endpoint.url_validation", "payload": {"plainToken": token}})
    with pytest.raises(Malformed):
        zoom.handshake(body, secret=SECRET)


def test_a_join_becomes_one_fact() -> None:
    found = parse(joined())
    (event,) = found.events
    assert event.kind is EventKind.JOINED
    assert event.occurred_at == datetime(2027, 1, 16, 10, 0, 1, tzinfo=UTC)
    assert (event.series_ref, event.instance_ref) == ("81000000001", "/aDYlohsHRtCd4ii1uC2+hA==")
    assert event.seat_ref == "16778240"
    assert event.participant is not None
    assert event.participant.invitation_ref == "reg-1"
    assert event.participant.display_name == "Zoë 😀 Ash"


def test_the_same_fact_told_differently_is_the_same_fact() -> None:
    number = joined()
    number["payload"]["object"]["id"] = 81000000001
    reordered = dict(reversed(list(joined().items())))
    later = joined() | {"event_ts": 1800099999999}
    renamed = joined(user_name="Somebody else")
    first = parse(joined())
    for again in (number, reordered, later, renamed):
        assert parse(again).events[0].key == first.events[0].key
        assert parse(again).delivery_key == first.delivery_key
    other = parse(joined(join_time="2027-01-16T10:00:02Z"))
    assert other.events[0].key != first.events[0].key


def test_nothing_personal_beyond_need_is_kept() -> None:
    kept = repr(parse(joined()))
    assert "203.0.113.9" not in kept
    assert "447700900123" not in kept
    assert "reg-1" in kept


@pytest.mark.parametrize("value", [None, ""])
def test_a_guest_without_registration_has_no_invitation(value: object) -> None:
    for body in (joined(registrant_id=value), joined()):
        if body["payload"]["object"]["participant"]["registrant_id"] == "reg-1":
            del body["payload"]["object"]["participant"]["registrant_id"]
        (event,) = parse(body).events
        assert event.participant is not None
        assert event.participant.invitation_ref is None


def test_the_host_is_an_organiser_and_never_a_carer() -> None:
    (event,) = parse(joined(id="host-1")).events
    assert event.participant is not None
    assert event.participant.role is Role.ORGANISER


def test_an_unknown_event_is_kept_and_counted_as_such() -> None:
    found = parse({"event": "meeting.something_new", "payload": {"object": {"id": 1}}})
    assert (found.known, found.events) == (False, ())


def qos(*rows: tuple[object, str, str]) -> dict[str, Any]:
    participant = {
        "user_id": 16778240,
        "qos": [
            {"date_time": at, "type": kind, "details": {"bitrate": rate}} for at, kind, rate in rows
        ],
    }
    return {
        "event": "meeting.participant_qos",
        "payload": {"object": {"uuid": "u==", "participant": participant}},
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b'{"event": NaN}',
        b"[1]",
        b"null",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"event": "a", "event": "b"}',
        b"[" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"event": 7}',
        b'{"event": "meeting.participant_joined", "payload": null}',
        b'{"event": "meeting.participant_joined", "payload": {"object": null}}',
        b'{"event": "meeting.participant_joined", "payload": {"object": {"participant": []}}}',
        raw(joined(join_time="yesterday")),
        raw(joined(join_time="0001-01-01T00:00:00+23:59")),
        raw(joined(join_time="9999-12-31T23:59:59-23:59")),
        json.dumps(joined(user_name="\ud800")).encode(),
        json.dumps(joined() | {"event": "\udfff"}).encode(),
        raw(joined(user_id={"a": 1})),
        raw(joined(join_time=1700000000)),
        raw(joined(join_time={})),
        raw(joined(join_time=False)),
        raw(joined(leave_time=7)),
        raw(joined(user_name=5)),
        raw(joined(user_name=["Zoë"])),
        raw(joined(email=True)),
        raw(joined() | {"event_ts": "x"}),
        raw(joined() | {"event_ts": "1800093602000"}),
        raw(joined() | {"event_ts": True}),
        raw(joined() | {"event_ts": [1800093602000]}),
        raw({"event": "meeting.started", "payload": {"object": {"id": 1, "start_time": 5}}}),
        raw({"event": "meeting.updated", "event_ts": "x", "payload": {"object": {"id": 1}}}),
        raw(qos((1700000000, "video_output", "391 kbps"))),
        raw({"event": "meeting.started", "event_ts": 1e300, "payload": {"object": {"id": 1}}}),
    ],
)
def test_what_cannot_be_read_is_malformed_and_never_an_accident(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.sampled_from(sorted(zoom.KNOWN)), json_values, json_values)
def test_whatever_zoom_signs_is_read_or_malformed(name: str, meeting: Any, person: Any) -> None:
    body = {"event": name, "payload": {"object": {"id": 1, "uuid": "u", "participant": person}}}
    for found in (body, {"event": name, "payload": {"object": meeting}}):
        try:
            parse(found)
        except Malformed:
            continue


def test_quality_reports_become_minutes_of_sending_and_not_sending() -> None:
    found = parse(
        qos(
            ("2027-01-16T10:00:30Z", "video_output", "391 kbps"),
            ("2027-01-16T10:00:30Z", "audio_output", "27.15 kbps"),
            ("2027-01-16T10:01:30Z", "video_output", "391 kbps"),
            ("2027-01-16T10:01:30Z", "audio_input", "63 kbps"),
            ("2027-01-16T10:02:30Z", "video_output", "0 kbps"),
            ("2027-01-16T10:02:30Z", "audio_output", ""),
        )
    ).events
    told = [
        (e.kind, e.level, e.occurred_at.minute, e.until_at and e.until_at.minute) for e in found
    ]
    assert told == [
        (EventKind.CAMERA, Level.SENDING, 0, 2),
        (EventKind.CAMERA, Level.NOT_SENDING, 2, 3),
        (EventKind.MICROPHONE, Level.SENDING, 0, 1),
        (EventKind.MICROPHONE, Level.DEVICE_PRESENT, 1, 3),
    ]
    assert {e.seat_ref for e in found} == {"16778240"}


def test_device_names_prove_a_device_and_pass_no_further() -> None:
    body = {
        "event": "meeting.participant_data",
        "event_ts": 1800093602000,
        "payload": {
            "object": {
                "uuid": "u==",
                "participant": {
                    "participant_id": "16778240",
                    "data": [{"camera": "Some Camera", "microphone": "", "mac_addr": "00:00:5E"}],
                },
            }
        },
    }
    found = parse(body)
    assert [(e.kind, e.level) for e in found.events] == [(EventKind.CAMERA, Level.DEVICE_PRESENT)]
    assert "Some Camera" not in repr(found)
    assert "00:00:5E" not in repr(found)


@pytest.mark.parametrize("stamp", [0, 1, -1, None, 99999999999999])
def test_a_nonsense_time_of_telling_loses_no_fact(stamp: object) -> None:
    (event,) = parse(joined() | {"event_ts": stamp}).events
    assert event.occurred_at == datetime(2027, 1, 16, 10, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_time_that_is_not_given_is_that_of_the_telling(nothing: object) -> None:
    (event,) = parse(joined(join_time=nothing)).events
    assert event.occurred_at == datetime(2027, 1, 16, 10, 0, 2, tzinfo=UTC)


def test_a_character_that_no_database_keeps_is_left_out() -> None:
    (event,) = parse(joined(user_name="Zo\0e", participant_uuid="one\0")).events
    assert event.connection_ref == "one"
    assert event.participant is not None
    assert event.participant.display_name == "Zoe"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = sorted(zoom.KNOWN)


@example(name="meeting.deleted", stamp=None, about={"occurrences": True}, who={})
@given(
    name=st.sampled_from(NAMES),
    stamp=ANYTHING,
    about=st.dictionaries(st.sampled_from(["id", "uuid", "start_time", "occurrences"]), ANYTHING),
    who=st.dictionaries(
        st.sampled_from(
            ["user_id", "user_name", "participant_uuid", "join_time", "qos", "data", "email"]
        ),
        ANYTHING,
    ),
)
def test_whatever_a_signed_body_holds_it_is_read_or_malformed(
    name: str, stamp: object, about: dict[str, Any], who: dict[str, Any]
) -> None:
    meeting = about | {"participant": who}
    body = {"event": name, "event_ts": stamp, "payload": {"object": meeting}}
    try:
        found = parse(body)
    except Malformed:
        return
    assert all(2000 <= event.occurred_at.year < 2100 for event in found.events)
    if found.kept is not None:
        found.kept.encode()


def test_an_announced_media_stream_is_kept_with_where_to_join_it() -> None:
    told = parse(
        {
            "event": "meeting.rtms_started",
            "event_ts": 1800093602000,
            "payload": {
                "account_id": "A",
                "meeting_id": "81000000001",
                "meeting_uuid": "/aDYlohsHRtCd4ii1uC2+hA==",
                "operator_id": "u",
                "rtms_stream_id": "stream-1",
                "server_urls": "wss://rtms-1.zoom.us",
            },
        }
    )
    assert (told.known, told.events) == (True, ())
    assert (told.series_ref, told.instance_ref) == ("81000000001", "/aDYlohsHRtCd4ii1uC2+hA==")
    assert json.loads(told.kept or "")["stream"] == {
        "id": "stream-1",
        "server_urls": "wss://rtms-1.zoom.us",
    }


def test_a_caller_by_telephone_is_known_by_the_number_that_is_shown() -> None:
    def by_phone(name: str) -> bool:
        (event,) = parse(joined(user_name=name)).events
        assert event.participant is not None
        return event.participant.by_phone

    assert [by_phone(n) for n in ("+44 7700 900123", "1443***1234", "Room 101", "Zoë")] == [
        *(True, True),
        *(False, False),
    ]
