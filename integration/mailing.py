"""Mail to the carers: an invitation with the calendar file, an update, a move, a goodbye.

What is to be sent follows from the timetable a carer was last told; each mail is one durable step
with a Message-ID of its own, so a mail repeated after a kill is recognised as the same.
"""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Protocol
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import structlog

from course.calendar_file import calendar_file, is_dropped
from course.model import Carer, Cohort, CohortState, Platform, Rehearsal, Session
from course.store import cohorts, mail, rehearsals
from course.store.cohorts import Enrolment
from course.store.database import Database
from course.store.mail import StoredMail
from integration.durable import StepRefused, Work
from integration.provider import ProviderError

INVITATION, UPDATE, CANCELLATION = "invitation", "update", "cancellation"
MOVE = "move"
TIMEOUT = 15.0
TRUSTED = ("127.0.0.1", "::1", "localhost")
log = structlog.get_logger(__name__)


# RFC 3463, section 3: what is wrong with the sender, or with a rule of the server. Postfix says so
# only when it is told the recipient: https://www.postfix.org/postconf.5.html#smtpd_delay_reject
OURS = (b"5.1.7", b"5.1.8", b"5.7.")


class AddressRefused(ProviderError):
    """The server takes no mail for that address: not a matter of the sender, nor of the server."""


class Post(Protocol):
    """Hands one mail over. Raises `ProviderError`, or of it `AddressRefused`."""

    def send(self, message: EmailMessage) -> None: ...


@dataclass(frozen=True, slots=True)
class SmtpPost:
    """A mail server, `smtp://user:password@host:port` (with STARTTLS) or `smtps://…`."""

    url: str

    def send(self, message: EmailMessage) -> None:
        """Hand it over, encrypted; without encryption only to this machine."""
        self._with_server(lambda server: server.send_message(message))

    def check(self) -> None:
        """Say who we are and go. Raises `ProviderError`."""
        self._with_server(lambda server: server.noop())

    def _with_server(self, do: Callable[[smtplib.SMTP], object]) -> None:
        parts = urlsplit(self.url)
        host, secure = parts.hostname or "", parts.scheme == "smtps"
        context = ssl.create_default_context()
        try:
            server = (
                smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT, context=context)
                if secure
                else smtplib.SMTP(host, parts.port or 587, timeout=TIMEOUT)
            )
            with server:
                if not secure and host not in TRUSTED:
                    server.starttls(context=context)
                if parts.username:
                    server.login(unquote(parts.username), unquote(parts.password or ""))
                do(server)
        except smtplib.SMTPRecipientsRefused as e:
            code, says = next(iter(e.recipients.values()), (550, b""))
            raise _refused(code, of_address=code >= 500 and not says.startswith(OURS)) from None
        except smtplib.SMTPResponseException as e:
            raise _refused(e.smtp_code) from None
        except (smtplib.SMTPException, OSError) as e:
            raise ProviderError(
                f"The mail server does not answer ({type(e).__name__}).", permanent=False
            ) from None


def _refused(code: int, *, of_address: bool = False) -> ProviderError:
    """The server's own text may hold the address: not quoted."""
    return (AddressRefused if of_address else ProviderError)(
        f"The mail server refused with {code}. "
        "Check SMTP_URL, MAIL_FROM and the address that it goes to.",
        permanent=code >= 500,
    )


class Mailing:
    """Sends what the carers of a cohort have not been told yet."""

    def __init__(
        self,
        *,
        database: Database,
        post: Post,
        sender: str,
        public_url: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._post = post
        self._sender = sender
        self._public_url = public_url
        self._clock = clock

    def send_due(self, cohort_id: str, work: Work) -> None:
        """Inside a workflow: note what is to be sent, then send it, mail by mail."""
        for mail_id in work.step("list the mail", self.plan, cohort_id):
            try:
                work.step(f"send {mail_id}", self.send, cohort_id, mail_id)
            except StepRefused as e:
                work.step("note the refusal", self.note_refusal, mail_id, str(e))

    def plan(self, cohort_id: str) -> list[str]:
        """Note the mails that the newest timetable calls for; ids of all that wait."""
        now = self._clock()
        with self._database.write() as connection:
            cohort = cohorts.read_cohort(connection, cohort_id)
            if cohort is None or cohort.state is CohortState.FAILED:
                return []
            known = mail.read_mail(connection, cohort_id)
            for enrolment in cohorts.read_enrolments(connection, cohort_id):
                theirs = [m for m in known if m.carer_id == enrolment.carer.id]
                kind = self._kind(cohort, enrolment, theirs, now)
                if kind is not None:
                    mail.plan_mail(
                        connection,
                        cohort_id=cohort_id,
                        carer_id=enrolment.carer.id,
                        kind=kind,
                        timetable=timetable_of(cohort, enrolment.carer),
                        now=now,
                    )
            return [
                m.id
                for m in mail.read_mail(connection, cohort_id)
                if m.sent_at is None and m.problem is None
            ]

    def _kind(
        self, cohort: Cohort, enrolment: Enrolment, theirs: list[StoredMail], now: datetime
    ) -> str | None:
        carer, told = enrolment.carer, [m for m in theirs if m.sent_at is not None]
        if carer.restricted:
            return None
        if all(s.ends_at <= now for s in cohort.sessions):
            return None  # a course entered afterwards, or over: nothing to invite to
        if all(is_dropped(cohort, carer, s) for s in cohort.sessions):
            return CANCELLATION if told else None
        if enrolment.platform_join_url is None:
            return None  # the link comes first
        if not told:
            return INVITATION
        last = max(m.sent_at for m in told if m.sent_at is not None)
        return MOVE if cohort.moved_at is not None and last < cohort.moved_at else UPDATE

    def send(self, cohort_id: str, mail_id: str) -> None:
        """Send one mail, unless a newer timetable has overtaken it."""
        with self._database.read() as connection:
            cohort = cohorts.read_cohort(connection, cohort_id)
            known = {e.carer.id: e for e in cohorts.read_enrolments(connection, cohort_id)}
            waiting = next(
                (m for m in mail.read_mail(connection, cohort_id) if m.id == mail_id), None
            )
            offered = rehearsals.read_rehearsals(connection, cohort_id)
        enrolment = known.get(waiting.carer_id) if waiting is not None else None
        if cohort is None or waiting is None or enrolment is None:
            return  # erased since it was noted
        if waiting.sent_at is not None or enrolment.carer.restricted:
            return
        if waiting.timetable != timetable_of(cohort, enrolment.carer):
            self.note_refusal(mail_id, mail.OVERTAKEN)
            return
        self._post.send(self._message(cohort, enrolment, waiting, offered))
        with self._database.write() as connection:
            mail.note_mail(connection, mail_id, sent_at=self._clock(), problem=None)
        log.info("mail_sent", cohort=cohort_id, kind=waiting.kind)

    def note_refusal(self, mail_id: str, problem: str) -> None:
        """Keep why a mail could not be sent."""
        with self._database.write() as connection:
            mail.note_mail(connection, mail_id, sent_at=None, problem=problem)

    def _message(
        self,
        cohort: Cohort,
        enrolment: Enrolment,
        waiting: StoredMail,
        offered: Sequence[Rehearsal],
    ) -> EmailMessage:
        carer = enrolment.carer
        join_url = f"{self._public_url}/join/{enrolment.join_token}"
        message = EmailMessage(policy=SMTP)
        message["From"] = self._sender
        message["To"] = carer.email
        message["Subject"] = _subject(cohort, waiting.kind)
        message["Message-ID"] = f"<{waiting.id}@circle>"
        message["Date"] = now = self._clock()
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(
            _move_text(cohort, carer, join_url, now)
            if waiting.kind == MOVE
            else _text(cohort, carer, join_url, waiting.kind)
        )
        method = "CANCEL" if waiting.kind == CANCELLATION else "REQUEST"
        message.add_attachment(
            calendar_file(
                cohort,
                carer,
                join_url=join_url,
                method=method,
                sender=self._sender,
                rehearsals=offered,
            ),
            maintype="text",
            subtype="calendar",
            filename="sessions.ics",
            params={"method": method, "charset": "utf-8"},
        )
        return message


def timetable_of(cohort: Cohort, carer: Carer) -> str:
    """What a carer is to know, as a hash: the same timetable is never told twice."""
    told: list[tuple[object, ...]] = [
        (
            s.week,
            s.starts_at.isoformat(),
            s.ends_at.isoformat(),
            s.sequence,
            is_dropped(cohort, carer, s),
        )
        for s in cohort.sessions
    ]
    if cohort.moved_at is not None:
        told += [(cohort.platform, cohort.moved_at.isoformat())]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _subject(cohort: Cohort, kind: str) -> str:
    begins = cohort.sessions[0].starts_at.astimezone(ZoneInfo(cohort.timezone))
    here, there = _platforms(cohort)
    return {
        INVITATION: f"Your place: eight sessions from {begins:%-d %B %Y}",
        UPDATE: "Your sessions: a change of dates or times",
        CANCELLATION: "Your sessions: they do not take place",
        MOVE: f"Your sessions: on {here} now, not on {there}",
    }[kind]


def _platforms(cohort: Cohort) -> tuple[str, str]:
    """The names of the platform where a cohort meets and of the one where it met."""
    there = next(p for p in Platform if p is not cohort.platform)
    return cohort.platform.capitalize(), there.capitalize()


def _move_text(cohort: Cohort, carer: Carer, join_url: str, now: datetime) -> str:
    here, there = _platforms(cohort)
    coming = [s for s in cohort.sessions if s.ends_at > now]
    dates = _dates(coming, ZoneInfo(cohort.timezone))
    return (
        f"Dear {carer.name},\n\nfrom now on we meet on {here} instead of {there}. The times stay "
        f"as they are:\n\n{dates}\n\nYour own page is the same as before, and it leads to {here}:\n"
        f"{join_url}\n\nPlease come in by that page: a link to {there} that you may have kept "
        "leads nowhere any more.\n"
    )


def _dates(sessions: Sequence[Session], zone: ZoneInfo) -> str:
    return "\n".join(
        f"  week {s.week}  {s.starts_at.astimezone(zone):%A %-d %B %Y, %H:%M}"
        f" to {s.ends_at.astimezone(zone):%H:%M}"
        for s in sessions
    )


def _text(cohort: Cohort, carer: Carer, join_url: str, kind: str) -> str:
    dates = _dates(cohort.sessions, ZoneInfo(cohort.timezone))
    if kind == CANCELLATION:
        return (
            f"Dear {carer.name},\n\nthe sessions below do not take place for you any more. "
            "Please call or write to us if that is a surprise.\n\n"
            f"{dates}\n\nThe attached file takes them out of your calendar.\n"
        )
    opening = (
        "your place is booked."
        if kind == INVITATION
        else "something has changed: these are your sessions now."
    )
    return (
        f"Dear {carer.name},\n\n{opening} Each session builds on the last, so please plan to be "
        f"there for all of them.\n\n{dates}\n\n"
        "This page is yours alone, and it is the way in each time, with a camera and a "
        f"microphone:\n{join_url}\n\n"
        "Please do not pass it on: we would take whoever uses it for you. The attached file puts "
        "the sessions into your calendar.\n"
    )
