"""Mail to the carers, received by a real mail server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from icalendar import Calendar

from course.model import CohortState, Platform
from course.store.erasures import Erasures
from course.store.mail import read_mail
from course.store.rectifying import restrict
from demo import free_port
from integration.durable import NO_TROUBLE, StepRefused, Work
from integration.mailing import Mailing, SmtpPost
from integration.provider import ProviderError
from integration.scheduling import NewCarer, NewHousehold
from tests.integration.conftest import ACTOR, Office

LONDON = ZoneInfo("Europe/London")


class Mailbox:
    """Keeps what it gets; refuses the addresses it is told to, with the code it is told.

    `sender` and `content` are what it says to those, `password` what is wrong with that.
    """

    def __init__(self) -> None:
        self.got: list[EmailMessage] = []
        self.refuse: dict[str, str] = {}
        self.sender = self.password = self.content = ""

    def authenticate(self, *_: Any) -> AuthResult:
        return AuthResult(success=not self.password, handled=False)

    async def handle_MAIL(  # noqa: N802  the library's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if not self.sender:
            envelope.mail_from = address
        return self.sender or "250 OK"

    async def handle_RCPT(  # noqa: N802  the library's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.content:
            return self.content
        parsed = BytesParser(policy=default).parsebytes(envelope.content)
        self.got.append(parsed)
        return "250 OK"

    def to(self, address: str) -> list[EmailMessage]:
        return [m for m in self.got if m["To"] == address]


@contextmanager
def mail_server() -> Iterator[tuple[Mailbox, str]]:
    """One that wants a name and a password."""
    mailbox, port = Mailbox(), free_port()
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=port,
        authenticator=mailbox.authenticate,
        auth_require_tls=False,
    )
    controller.start()
    try:
        yield mailbox, f"smtp://practice:secret@127.0.0.1:{port}"
    finally:
        controller.stop()


@pytest.fixture
def server() -> Iterator[tuple[Mailbox, str]]:
    with mail_server() as made:
        yield made


def post(office: Office, url: str) -> Mailing:
    return Mailing(
        database=office.database,
        post=SmtpPost(url),
        sender="course@practice.example",
        public_url="https://circle.example",
        clock=office.clock,
    )


class Straight(Work):
    """The steps one after the other, without an engine: what is refused is refused."""

    def __init__(self) -> None:
        super().__init__(NO_TROUBLE, on_trouble=lambda _: None, pointless=lambda: False)

    def step(self, name: str, action: Any, *arguments: Any) -> Any:
        try:
            return action(*arguments)
        except ProviderError as e:
            assert e.permanent, name
            raise StepRefused(str(e)) from e


def calendar_of(message: EmailMessage) -> Any:
    (part,) = [p for p in message.walk() if p.get_content_type() == "text/calendar"]
    return Calendar.from_ical(cast(bytes, part.get_payload(decode=True)))


def test_every_carer_gets_one_invitation_with_their_own_page_and_the_eight_dates(
    office: Office, server: tuple[Mailbox, str]
) -> None:
    mailbox, url = server
    cohort = office.open(first_session_on=date(2027, 2, 27))
    mailing = post(office, url)
    for _ in range(3):  # the same timetable is told once
        mailing.send_due(cohort.id, Straight())
    assert sorted(m["To"] for m in mailbox.got) == [
        "dev@example.com",
        "maya@example.com",
        "zoe@example.com",
    ]
    (told,) = mailbox.to("maya@example.com")
    body = told.get_body(preferencelist=("plain",))
    assert body is not None
    text = body.get_content()
    assert "Saturday 27 February 2027, 10:00 to 10:30" in text
    assert "Saturday 17 April 2027, 10:00 to 12:00" in text
    assert "https://circle.example/join/" in text
    assert "parenting" not in str(told).lower()
    assert told["Message-ID"].endswith("@circle>")
    events = list(calendar_of(told).walk("VEVENT"))
    assert [e["DTSTART"].dt for e in events] == [
        datetime(2027, 2, 27, 10, tzinfo=LONDON) + timedelta(weeks=n) for n in range(8)
    ]
    assert {str(e["STATUS"]) for e in events} == {"CONFIRMED"}
    assert calendar_of(told)["METHOD"] == "REQUEST"


def test_a_changed_session_sends_one_update_that_raises_only_its_sequence(
    office: Office, server: tuple[Mailbox, str]
) -> None:
    mailbox, url = server
    cohort, mailing = office.open(), post(office, url)
    mailing.send_due(cohort.id, Straight())
    for hour in (11, 12):  # two changes before anybody was told
        office.scheduling.move_session(
            cohort.id,
            2,
            starts_at=datetime(2027, 1, 16, hour, tzinfo=LONDON),
            minutes=None,
            expected=None,
            actor=ACTOR,
        )
        office.settled(cohort.id)
    for _ in range(2):
        mailing.send_due(cohort.id, Straight())
    first, update = mailbox.to("maya@example.com")
    assert "change of dates" in update["Subject"]
    before, after = (list(calendar_of(m).walk("VEVENT")) for m in (first, update))
    assert [str(e["UID"]) for e in before] == [str(e["UID"]) for e in after]
    assert [e["SEQUENCE"] for e in after] == [0, 2, 0, 0, 0, 0, 0, 0]
    assert after[1]["DTSTART"].dt == datetime(2027, 1, 16, 12, tzinfo=LONDON)


def test_who_comes_later_is_invited_and_who_leaves_is_told(
    office: Office, server: tuple[Mailbox, str]
) -> None:
    mailbox, url = server
    cohort, mailing = office.open(), post(office, url)
    mailing.send_due(cohort.id, Straight())
    new = NewHousehold(reference="H9", carers=(NewCarer(name="Ann Oak", email="ann@example.com"),))
    office.scheduling.enrol(cohort.id, new, expected=None, actor=ACTOR)
    zoe = next(c for c in cohort.carers if c.name == "Zoë Ash")
    office.scheduling.withdraw(cohort.id, zoe.id, expected=None, actor=ACTOR)
    office.finished(cohort.id)
    mailing.send_due(cohort.id, Straight())
    assert len(mailbox.to("ann@example.com")) == 1
    assert len(mailbox.to("maya@example.com")) == 1
    goodbye = mailbox.to("zoe@example.com")[-1]
    assert calendar_of(goodbye)["METHOD"] == "CANCEL"
    assert {str(e["STATUS"]) for e in calendar_of(goodbye).walk("VEVENT")} == {"CANCELLED"}
    office.scheduling.cancel_cohort(cohort.id, expected=None, actor=ACTOR)
    assert office.finished(cohort.id).state is CohortState.CANCELLED
    mailing.send_due(cohort.id, Straight())
    assert len(mailbox.to("zoe@example.com")) == 2
    assert calendar_of(mailbox.to("maya@example.com")[-1])["METHOD"] == "CANCEL"


def test_a_refused_address_keeps_nobody_else_from_their_mail(
    office: Office, server: tuple[Mailbox, str]
) -> None:
    mailbox, url = server
    mailbox.refuse["maya@example.com"] = "550 no such mailbox maya@example.com"
    cohort, mailing = office.open(), post(office, url)
    mailing.send_due(cohort.id, Straight())
    assert len(mailbox.got) == 2
    with office.database.read() as connection:
        (problem,) = {m.problem for m in read_mail(connection, cohort.id) if m.problem}
    assert "refused with 550" in problem
    assert "maya" not in problem


def test_what_the_server_refuses_of_ours_is_noted_of_each_carer_with_its_code(
    office: Office, server: tuple[Mailbox, str]
) -> None:
    mailbox, url = server
    mailbox.password = "expired"
    cohort, mailing = office.open(), post(office, url)
    mailing.send_due(cohort.id, Straight())
    with office.database.read() as connection:
        problems = [m.problem or "" for m in read_mail(connection, cohort.id)]
    assert len(problems) == 3
    assert all("refused with 535" in problem for problem in problems)


def test_a_mail_server_that_is_away_is_asked_again(office: Office) -> None:
    cohort = office.open()
    mailing = post(office, f"smtp://127.0.0.1:{free_port()}")
    (waiting, *_) = mailing.plan(cohort.id)
    with pytest.raises(ProviderError) as error:
        mailing.send(cohort.id, waiting)
    assert not error.value.permanent
    assert mailing.plan(cohort.id)[0] == waiting


def test_a_course_that_is_over_invites_nobody(office: Office) -> None:
    cohort = office.open()
    office.clock.move(timedelta(weeks=20))
    assert post(office, "smtp://127.0.0.1:1").plan(cohort.id) == []


def test_a_mail_that_waits_for_somebody_erased_or_restricted_is_never_sent(
    office: Office, server: tuple[Mailbox, str], tmp_path: Path
) -> None:
    mailbox, url = server
    cohort = office.open(first_session_on=date(2027, 2, 27))
    mailing = post(office, url)
    waiting = mailing.plan(cohort.id)
    who = {c.name: c.id for c in cohort.carers}
    erasures = Erasures(office.database, data_dir=tmp_path, clock=office.clock)
    erasures.erase(who["Dev Patel"], reason="asked", actor=ACTOR)
    with office.database.write() as connection:
        restrict(connection, who["Zoë Ash"], since=office.clock())
    for mail_id in waiting:
        mailing.send(cohort.id, mail_id)
    assert [m["To"] for m in mailbox.got] == ["maya@example.com"]
    assert len(mailing.plan(cohort.id)) == 1  # the restricted one's still waits


def test_a_move_to_the_other_platform_tells_everybody_once_in_a_few_words(
    office: Office, server: tuple[Mailbox, str]
) -> None:
    mailbox, url = server
    cohort, mailing = office.open(), post(office, url)
    mailing.send_due(cohort.id, Straight())
    (invitation,) = mailbox.to("maya@example.com")
    mailbox.got.clear()
    office.clock.now = cohort.sessions[3].starts_at - timedelta(minutes=30)
    office.scheduling.move_platform(
        cohort.id, Platform.TEAMS, organiser=None, expected=None, actor=ACTOR
    )
    office.finished(cohort.id)
    for _ in range(2):
        mailing.send_due(cohort.id, Straight())
    assert len(mailbox.got) == 3
    (told,) = mailbox.to("maya@example.com")
    assert told["Subject"] == "Your sessions: on Teams now, not on Zoom"
    body = told.get_body(preferencelist=("plain",))
    assert body is not None
    text = body.get_content()
    assert "from now on we meet on Teams instead of Zoom" in text
    assert "week 4  Saturday 30 January 2027, 10:00 to 12:00" in text
    assert "week 3" not in text
    link = next(line for line in text.splitlines() if "/join/" in line)
    assert link in invitation.get_body(preferencelist=("plain",)).get_content()  # type: ignore[union-attr]
    first, second = (list(calendar_of(m).walk("VEVENT")) for m in (invitation, told))
    assert [(str(e["UID"]), int(e["SEQUENCE"]), e["DTSTART"].dt) for e in first] == [
        (str(e["UID"]), int(e["SEQUENCE"]), e["DTSTART"].dt) for e in second
    ]
