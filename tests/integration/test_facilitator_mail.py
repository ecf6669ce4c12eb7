"""Mail to facilitators: once the evening before, and once when somebody is missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage

import pytest

from course.model import Platform
from course.store import changes, cohorts
from course.store.database import Database
from integration.facilitator_mail import FacilitatorMail
from integration.provider import ProviderError
from tests.attendance.room import HOST_NAME, Room, at

MAYA, TOM = "Maya Patel", "Tom Becker"
EVE = -16 * 60  # six in the evening before


class Letterbox:
    """Keeps what it is given; out of order when a test says so."""

    def __init__(self) -> None:
        self.got: list[EmailMessage] = []
        self.broken = False

    def send(self, message: EmailMessage) -> None:
        if self.broken:
            raise ProviderError("The mail server does not answer.", permanent=False)
        self.got.append(message)


@pytest.fixture
def room(database: Database) -> Iterator[Room]:
    made = Room(database, Platform.TEAMS)
    yield made
    made.inbox.close()


def letters(room: Room, box: Letterbox) -> FacilitatorMail:
    return FacilitatorMail(
        database=room.database,
        post=box,
        sender="circle@practice.example",
        public_url="https://circle.example",
        clock=room.clock,
    )


def test_the_evening_before_they_hear_who_comes_and_who_never_tested(room: Room) -> None:
    box = Letterbox()
    mail = letters(room, box)
    room.clock.now = at(EVE - 60)
    room.check_devices(MAYA, {"camera": True, "microphone": True})
    room.page(TOM, "/weeks/2/absence", text="A wedding")
    room.clock.now = at(EVE - 1)
    assert mail.send_due() == 0
    room.clock.now = at(EVE)
    assert [mail.send_due(), mail.send_due()] == [1, 0]
    (letter,) = box.got
    assert (letter["To"], letter["Subject"]) == ("lee@example.org", "Tomorrow: week 2, Spring 2027")
    text = letter.get_content()
    for words in (
        "Saturday 16 January, 10:00 to 12:00",
        "Carers expected: 1.",
        "cannot come: Tom Becker",
        "never sent their link by mail: Maya Patel",
        "https://circle.example/cohorts/cohort-1/sessions/2",
    ):
        assert words in text
    assert "Never tested" not in text  # the one who is expected did
    assert "wedding" not in text  # why, they read where they are signed in


def test_the_evening_before_they_hear_of_the_rehearsal_and_whom_it_tested(room: Room) -> None:
    box = Letterbox()
    room.clock.now = at(EVE - 24 * 60)
    wanted = {"starts_at": at(EVE - 60).isoformat(), "minutes": 90}
    room.call("POST", "/rehearsal", 201, json=wanted)
    room.open_page(MAYA, EVE - 50)
    room.clock.now = at(EVE)
    room.started(EVE - 60)
    room.stay(MAYA, EVE - 49, EVE - 30)
    assert letters(room, box).send_due() == 1
    text = box.got[0].get_content()
    assert "Rehearsal: Friday 15 January, 17:00 to 18:30" in text
    never = next(line for line in text.splitlines() if line.startswith("Never tested"))
    assert "Tom Becker" in never
    assert MAYA not in never


def test_ten_minutes_after_the_start_they_hear_who_is_missing(room: Room) -> None:
    box = Letterbox()
    mail = letters(room, box)
    room.clock.now = at(9)
    room.started(-5)
    room.join(HOST_NAME, -5)
    room.open_page(MAYA, -6)
    room.join(MAYA, -1)
    room.join("iPad", 1)
    assert mail.send_due() == 0
    room.clock.now = at(10)
    assert [mail.send_due(), mail.send_due()] == [1, 0]
    text = box.got[0].get_content()
    assert "At 10:10:" in text
    assert "Not seen: Tom Becker." in text
    assert "Nobody knows who this is: iPad." in text
    assert MAYA not in text


def test_a_mail_that_did_not_go_is_tried_again(room: Room) -> None:
    box = Letterbox()
    mail = letters(room, box)
    box.broken = True
    room.clock.now = at(EVE)
    assert mail.send_due() == 0
    box.broken = False
    room.clock.move(timedelta(minutes=1))
    assert mail.send_due() == 1


def test_a_move_to_the_other_platform_is_told_once_before_the_next_session(room: Room) -> None:
    box = Letterbox()
    room.clock.now = at(-30)
    with room.database.write() as connection:
        cohort = cohorts.read_cohort(connection, room.cohort_id)
        assert cohort is not None
        changes.move_platform(
            connection, cohort, Platform.ZOOM, "host@example.org", now=room.clock.now
        )
    for _ in range(2):
        letters(room, box).send_due()
    told = [m for m in box.got if "On Zoom now" in str(m["Subject"])]
    assert len(told) == 1
    assert "own pages are the same" in told[0].get_content()
