"""Mail to facilitators: once the evening before, and once when somebody is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage

import pytest
from sqlalchemy import update

from course.model import Facilitator, Platform, SessionState
from course.store import access, changes, cohorts, tables
from course.store.database import Database
from integration.amending import Amending
from integration.facilitator_mail import ACTOR as SENDER
from integration.facilitator_mail import FacilitatorMail
from integration.mailing import AddressRefused, Post, SmtpPost
from integration.provider import ProviderError
from tests.attendance.room import HOST_NAME, Room, at
from tests.integration.conftest import ACTOR
from tests.integration.test_mailing import mail_server

MAYA, TOM = "Maya Patel", "Tom Becker"
EVE = -16 * 60  # six in the evening before


class Letterbox:
    """Keeps what it is given; out of order, or closed to an address, when a test says so."""

    def __init__(self) -> None:
        self.got: list[EmailMessage] = []
        self.broken = False
        self.refused: dict[str, ProviderError] = {}

    def send(self, message: EmailMessage) -> None:
        if self.broken:
            raise ProviderError("The mail server does not answer.", permanent=False)
        if message["To"] in self.refused:
            raise self.refused[message["To"]]
        self.got.append(message)

    def to(self, address: str) -> list[str]:
        """The subjects of what came for that address."""
        return [str(message["Subject"]) for message in self.got if message["To"] == address]


@pytest.fixture
def room(database: Database) -> Iterator[Room]:
    made = Room(database, Platform.TEAMS)
    yield made
    made.inbox.close()


@pytest.fixture
def pair(database: Database) -> Iterator[Room]:
    """A room with two facilitators."""
    both = (
        Facilitator(name=HOST_NAME, email="lee@example.org"),
        Facilitator(name="Sam Reed", email="reed@example.org"),
    )
    made = Room(database, Platform.TEAMS, facilitators=both)
    yield made
    made.inbox.close()


def letters(room: Room, box: Post) -> FacilitatorMail:
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


def skip_week_2(room: Room) -> None:
    amending = Amending(room.database, room.clock)
    amending.skip_session(room.cohort_id, 2, expected=None, actor=ACTOR)


@pytest.mark.parametrize(
    ("minute", "subject"),
    [(EVE, "Tomorrow: week 2, Spring 2027"), (10, "Missing now: week 2, Spring 2027")],
)
def test_a_session_put_off_after_its_mail_has_its_mail_on_the_new_day_too(
    room: Room, minute: int, subject: str
) -> None:
    box = Letterbox()
    mail = letters(room, box)
    room.clock.now = at(minute)
    mail.send_due()
    room.clock.move(timedelta(hours=4))
    skip_week_2(room)
    room.clock.now = at(minute) + timedelta(weeks=1)
    assert [mail.send_due(), mail.send_due()] == [1, 0]
    assert box.to("lee@example.org") == [subject, subject]
    assert len({str(message["Message-ID"]) for message in box.got}) == 2


def test_another_hour_of_the_session_is_told_the_same_evening(room: Room) -> None:
    box = Letterbox()
    room.clock.now = at(EVE)
    letters(room, box).send_due()
    with room.database.write() as connection:
        cohort = cohorts.read_cohort(connection, room.cohort_id)
        assert cohort is not None
        session, later = cohort.sessions[1], timedelta(hours=1)
        changes.save_session(
            connection,
            cohort.id,
            replace(session, starts_at=session.starts_at + later, ends_at=session.ends_at + later),
        )
    room.clock.move(timedelta(minutes=30))
    assert [letters(room, box).send_due() for _ in range(2)] == [1, 0]
    assert "Saturday 16 January, 11:00 to 13:00" in box.got[-1].get_content()


def move(room: Room) -> None:
    with room.database.write() as connection:
        cohort = cohorts.read_cohort(connection, room.cohort_id)
        assert cohort is not None
        changes.move_platform(
            connection, cohort, Platform.ZOOM, "host@example.org", now=room.clock.now
        )


@pytest.mark.parametrize("days", [-17, -10, 0, 12, 19])
def test_a_move_to_the_other_platform_is_told_at_once_and_once(room: Room, days: int) -> None:
    """Before the course, in it, and in a gap: whenever the next session is."""
    skipped = timedelta(days=days) > timedelta(days=7)
    if skipped:
        with room.database.write() as connection:
            connection.execute(
                update(tables.session)
                .where(tables.session.c.week.in_((4, 5)))
                .values(state=SessionState.CANCELLED.value)
            )
    box = Letterbox()
    room.clock.now = at(-30) + timedelta(days=days)
    move(room)
    letters(room, box).send_due()
    told = [m for m in box.got if "On Zoom now" in str(m["Subject"])]
    assert len(told) == 1
    assert "own pages are the same" in told[0].get_content()
    for _ in range(28):
        room.clock.move(timedelta(hours=12))
        letters(room, box).send_due()
    assert len([m for m in box.got if "On Zoom now" in str(m["Subject"])]) == 1


def test_a_move_after_the_last_session_or_long_ago_is_told_to_nobody(room: Room) -> None:
    box = Letterbox()
    room.clock.now = at(0) - timedelta(days=10)
    move(room)
    room.clock.move(timedelta(days=8))  # the mail was switched on after the move
    letters(room, box).send_due()
    room.clock.now = at(0) + timedelta(weeks=7)
    move(room)
    letters(room, box).send_due()
    assert [m for m in box.got if "On Zoom now" in str(m["Subject"])] == []


def test_an_address_that_is_refused_for_good_keeps_nobody_else_from_their_one_mail(
    pair: Room,
) -> None:
    box = Letterbox()
    mail = letters(pair, box)
    box.refused["reed@example.org"] = AddressRefused("Refused with 550.", permanent=True)
    pair.clock.now = at(EVE)
    for _ in range(30):
        mail.send_due()
        pair.clock.move(timedelta(minutes=1))
    assert box.to("lee@example.org") == ["Tomorrow: week 2, Spring 2027"]
    (item,) = [i for i in pair.attention() if i["kind"] == "mail"]
    assert "Sam Reed was not told by mail about tomorrow's session" in item["says"]
    assert "Refused with 550." in item["says"]
    box.refused.clear()
    mail.send_due()
    assert box.to("reed@example.org") == []  # the server said never


def test_a_later_mail_that_arrives_settles_the_trouble_with_an_address(pair: Room) -> None:
    box = Letterbox()
    mail = letters(pair, box)
    box.refused["reed@example.org"] = AddressRefused("Refused with 550.", permanent=True)
    pair.clock.now = at(EVE)
    mail.send_due()
    box.refused.clear()
    pair.clock.now = at(11)
    mail.send_due()
    assert box.to("reed@example.org") == ["Missing now: week 2, Spring 2027"]
    assert [i for i in pair.attention() if i["kind"] == "mail"] == []


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("password", "535 expired"),
        ("sender", "553 not a sender of this server"),
        ("content", "554 looks like spam"),
        ("recipient", "553 5.7.1 <circle@practice.example>: Sender address rejected: not owned"),
    ],
)
def test_what_the_server_refuses_of_ours_is_no_ones_address_and_is_tried_until_it_goes(
    pair: Room, what: str, answer: str
) -> None:
    with mail_server() as (mailbox, url):
        mail = letters(pair, SmtpPost(url))
        pair.clock.now = at(EVE)
        if what == "recipient":
            mailbox.refuse = {"lee@example.org": answer, "reed@example.org": answer}
        else:
            setattr(mailbox, what, answer)
        mail.send_due()
        pair.clock.move(timedelta(minutes=20))
        mail.send_due()
        told = [i for i in pair.attention() if i["kind"] == "mail"]
        assert len(told) == 2
        assert {i["since"] for i in told} == {at(EVE).isoformat()}
        assert all(f"refused with {answer[:3]}" in i["says"] for i in told)
        mailbox.refuse, mailbox.sender, mailbox.password, mailbox.content = {}, "", "", ""
        pair.clock.move(timedelta(minutes=20))
        mail.send_due()
        assert len(mailbox.to("lee@example.org")) == len(mailbox.to("reed@example.org")) == 1
        assert [i for i in pair.attention() if i["kind"] == "mail"] == []


def test_a_server_that_refuses_what_is_ours_is_not_asked_every_minute(pair: Room) -> None:
    asked: list[str] = []

    class Locked:
        def send(self, message: EmailMessage) -> None:
            asked.append(str(message["To"]))
            raise ProviderError("Refused with 535.", permanent=True)

    mail = letters(pair, Locked())
    pair.clock.now = at(EVE)
    for _ in range(30):
        mail.send_due()
        pair.clock.move(timedelta(minutes=1))
    assert asked == ["lee@example.org", "reed@example.org"] * 3


def test_an_address_that_the_server_does_not_know_is_not_tried_again(pair: Room) -> None:
    with mail_server() as (mailbox, url):
        mail = letters(pair, SmtpPost(url))
        mailbox.refuse["reed@example.org"] = "550 5.1.1 no such mailbox"
        pair.clock.now = at(EVE)
        mail.send_due()
        mailbox.refuse.clear()
        pair.clock.move(timedelta(hours=1))
        mail.send_due()
        assert len(mailbox.to("lee@example.org")) == 1
        assert mailbox.to("reed@example.org") == []


def test_only_the_facilitator_whose_mail_did_not_go_gets_it_later(pair: Room) -> None:
    box = Letterbox()
    mail = letters(pair, box)
    box.refused["reed@example.org"] = ProviderError("Try later: 451.", permanent=False)
    pair.clock.now = at(EVE)
    mail.send_due()
    box.refused.clear()
    pair.clock.move(timedelta(minutes=1))
    mail.send_due()
    assert box.to("lee@example.org") == box.to("reed@example.org")
    assert len(box.got) == 2


def test_two_processes_at_the_same_work_send_one_mail_to_each(pair: Room) -> None:
    box = Letterbox()
    other = letters(pair, box)

    class Slow:
        """While the first mail is on its way another process begins its round."""

        def send(self, message: EmailMessage) -> None:
            other.send_due()
            box.send(message)

    pair.clock.now = at(EVE)
    letters(pair, Slow()).send_due()
    assert len(box.to("lee@example.org")) == 1
    assert len(box.to("reed@example.org")) == 1


def test_a_mail_that_a_dead_process_had_in_hand_is_sent_by_another(pair: Room) -> None:
    class Died(BaseException):
        pass

    class Dying:
        def send(self, message: EmailMessage) -> None:  # noqa: ARG002
            raise Died

    pair.clock.now = at(EVE)
    with pytest.raises(Died):
        letters(pair, Dying()).send_due()
    box = Letterbox()
    for _ in range(5):
        pair.clock.move(timedelta(minutes=1))
        letters(pair, box).send_due()
    assert len(box.to("lee@example.org")) == 1
    assert len(box.to("reed@example.org")) == 1


def told_by_an_older_release(room: Room, action: str, week: int) -> None:
    """It remembered what it sent by a line of the trail, and by nothing else."""
    with room.database.write() as connection:
        access.add_audit(
            connection,
            actor=SENDER,
            action=action,
            subject=f"{room.cohort_id}/{week}",
            now=room.clock.now,
        )


@pytest.mark.parametrize(("minute", "action"), [(EVE, "mail.evening"), (10, "mail.missing")])
def test_what_an_older_release_told_of_a_session_is_not_told_again(
    room: Room, minute: int, action: str
) -> None:
    room.clock.now = at(minute)
    told_by_an_older_release(room, action, 2)
    box = Letterbox()
    room.clock.move(timedelta(minutes=5))
    letters(room, box).send_due()
    assert box.got == []
    room.clock.now = at(minute) + timedelta(weeks=1)
    letters(room, box).send_due()
    assert len(box.got) == 1  # that one is of week 3


def test_a_move_that_an_older_release_told_before_an_earlier_session_is_not_told_again(
    room: Room,
) -> None:
    room.clock.now = at(EVE - 24 * 60)
    move(room)
    told_by_an_older_release(room, f"mail.moved.{room.clock.now:%m%d%H%M%S}", 2)
    box = Letterbox()
    room.clock.now = at(180)  # the next session is that of week 3
    letters(room, box).send_due()
    assert [m for m in box.got if "On Zoom now" in str(m["Subject"])] == []


def test_what_an_older_release_told_before_a_session_was_put_off_is_told_of_its_new_day(
    room: Room,
) -> None:
    room.clock.now = at(EVE)
    told_by_an_older_release(room, "mail.evening", 2)
    room.clock.move(timedelta(hours=1))
    skip_week_2(room)
    room.clock.now = at(EVE) + timedelta(weeks=1)
    box = Letterbox()
    letters(room, box).send_due()
    assert box.to("lee@example.org") == ["Tomorrow: week 2, Spring 2027"]


def test_a_facilitator_who_is_told_later_is_not_kept_from_it_by_the_trail_of_the_others(
    pair: Room,
) -> None:
    box = Letterbox()
    pair.clock.now = at(EVE)
    box.refused["reed@example.org"] = ProviderError("Try later: 451.", permanent=False)
    letters(pair, box).send_due()
    told_by_an_older_release(pair, "mail.evening", 5)  # of another session
    pair.clock.move(timedelta(minutes=1))
    box.refused.clear()
    letters(pair, box).send_due()
    assert len(box.to("reed@example.org")) == 1


def test_an_older_release_beside_finds_in_the_trail_what_this_one_told(room: Room) -> None:
    room.clock.now = at(EVE - 24 * 60)
    move(room)
    moved_at = room.clock.now
    assert letters(room, Letterbox()).send_due() == 1
    with room.database.read() as connection:
        assert access.audited_since(
            connection,
            actor=SENDER,
            action=f"mail.moved.{moved_at:%m%d%H%M%S}",
            subject=f"{room.cohort_id}/2",
            since=moved_at,
        )
