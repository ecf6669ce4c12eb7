"""Mail to facilitators who want it: the evening before, who is missing, a move to another platform.

Each facilitator is sent each of them once, whatever becomes of the mail to another. They name
carers, so they are off until MAIL_FACILITATORS is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from zoneinfo import ZoneInfo

import structlog

from course.board import Place, Seat, build_board
from course.model import Cohort, Evidence, Facilitator, Session
from course.rehearsal import coming_rehearsal
from course.restriction import shown_name
from course.store import (
    access,
    cohorts,
    evidence,
    facilitator_letters,
    mail,
    registers,
    watches,
)
from course.store.database import Connection, Database
from integration.mailing import AddressRefused, Post
from integration.provider import ProviderError
from integration.told_before import Trail

EVENING = 18  # o'clock, where the cohort is
MISSING_AFTER, MISSING_UNTIL = timedelta(minutes=10), timedelta(minutes=40)
TAKEN_FOR = timedelta(minutes=2)  # to send one mail; whoever died over it leaves it to another
# A refused password is often put right in time; asked every minute, some servers lock one out.
REFUSED_FOR = timedelta(minutes=10)
MOVED_FOR = timedelta(days=6)  # a move is told at once; later than this it is no news any more
ACTOR = "mail to facilitators"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Letter:
    """One mail; `name` is what it is remembered by. `text` may take long to find out.

    `action` is what the audit trail calls it. Release 1.0 knows by the trail alone what was told:
    the actions are its own, so that it finds them when it still runs beside this one.
    `weeks`: with which of them it may stand there, from `since` on.
    """

    name: str
    action: str
    since: datetime
    weeks: tuple[int, ...]
    week: int
    subject: str
    text: Callable[[Connection], str]


class FacilitatorMail:
    """Tells facilitators what they want to know before and at the start of a session."""

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

    def send_due(self) -> int:
        """Send what is due and was not sent; how many mails."""
        now, sent = self._clock(), 0
        trail = Trail(actor=ACTOR, since=now - MOVED_FOR)
        with self._database.read() as connection:
            moved = cohorts.moved_since(connection, now - MOVED_FOR)
            near = registers.sessions_between(
                connection, since=now - MISSING_UNTIL, until=now + timedelta(days=2)
            )
        for cohort_id in moved:
            cohort = self._read(cohort_id)
            sent += self._tell(cohort, self._moved(cohort, now), trail) if cohort else 0
        for cohort_id, week in near:
            cohort = self._read(cohort_id)
            session = cohort.session(week) if cohort else None
            if cohort is not None and session is not None:
                sent += self._tell(cohort, self._due(cohort, session, now), trail)
        return sent

    def _read(self, cohort_id: str) -> Cohort | None:
        with self._database.read() as connection:
            return cohorts.read_cohort(connection, cohort_id)

    def _due(self, cohort: Cohort, session: Session, now: datetime) -> _Letter | None:
        """What is to be told about the session now."""
        begins = session.starts_at
        local = now.astimezone(ZoneInfo(cohort.timezone))
        eve = begins.astimezone(local.tzinfo).replace(hour=EVENING, minute=0) - timedelta(days=1)
        if eve <= now < begins:
            since = eve
            kind, subject, text = "evening", "Tomorrow", _evening
        elif begins + MISSING_AFTER <= now < begins + MISSING_UNTIL:
            since = begins + MISSING_AFTER
            kind, subject, text = "missing", "Missing now", _missing
        else:
            return None
        return _Letter(
            # With its start: a session that is put off is told of again, for its new day.
            name=f"{kind}.{session.week}.{begins:%Y%m%d%H%M}",
            action=f"mail.{kind}",
            since=since,
            weeks=(session.week,),
            week=session.week,
            subject=f"{subject}: week {session.week}, {cohort.name}",
            text=lambda connection: text(connection, cohort, session, now),
        )

    def _moved(self, cohort: Cohort, now: datetime) -> _Letter | None:
        """That the cohort meets elsewhere now; nobody needs it when no session is to come."""
        at, session = cohort.moved_at, cohort.next_session(now)
        if at is None or session is None:
            return None
        platform = cohort.platform.capitalize()
        says = (
            f"{cohort.name} meets on {platform} from now on, and {cohort.organiser} hosts it. The "
            "carers' own pages are the same as before and lead there."
        )
        return _Letter(
            name=f"moved.{at:%Y%m%d%H%M%S}",
            action=f"mail.moved.{at:%m%d%H%M%S}",
            since=at,
            weeks=tuple(s.week for s in cohort.sessions),  # whichever came next when it was told
            week=session.week,
            subject=f"On {platform} now: {cohort.name}",
            text=lambda _connection: says,
        )

    def _tell(self, cohort: Cohort, letter: _Letter | None, trail: Trail) -> int:
        """Send it, if there is anything, to those who have not got it; how many mails."""
        if letter is None:
            return 0
        with self._database.read() as connection:
            told = trail.told(
                connection,
                action=letter.action,
                subjects=[f"{cohort.id}/{week}" for week in letter.weeks],
                since=letter.since,
            )
            known = facilitator_letters.read_letters(connection, cohort.id)
            # What this release sends it notes in both at one instant: any other line is of an
            # older one, which wrote it when it had told everybody.
            if told - {one.sent_at for one in known}:
                return 0
            settled = {
                one.position for one in known if one.letter == letter.name and one.is_settled
            }
            left = [
                (position, facilitator)
                for position, facilitator in enumerate(cohort.facilitators)
                if position not in settled
            ]
            text = letter.text(connection) if left else ""
        if not text:
            return 0
        return sum(
            self._send(cohort, letter, position, facilitator, text)
            for position, facilitator in left
        )

    def _send(
        self,
        cohort: Cohort,
        letter: _Letter,
        position: int,
        facilitator: Facilitator,
        text: str,
    ) -> bool:
        # The mail to others may have taken minutes since the round began.
        now, which = self._clock(), (cohort.id, letter.name, position)
        with self._database.write() as connection:
            until = now + TAKEN_FOR
            if not facilitator_letters.take_letter(connection, *which, until=until, now=now):
                return False
        try:
            self._post.send(self._message(cohort, letter, position, facilitator, text, now))
        except ProviderError as e:
            log.warning("facilitator_not_told", cohort=cohort.id, letter=letter.name, reason=str(e))
            with self._database.write() as connection:
                facilitator_letters.note_letter(
                    connection,
                    *which,
                    taken_until=now + REFUSED_FOR if e.permanent else now,
                    refused_at=now if e.permanent else None,
                    is_final=isinstance(e, AddressRefused),
                    problem=str(e),
                )
            return False
        with self._database.write() as connection:
            facilitator_letters.note_letter(connection, *which, taken_until=now, sent_at=now)
            access.add_audit(
                connection,
                actor=ACTOR,
                action=letter.action,
                subject=f"{cohort.id}/{letter.week}",
                now=now,
            )
        return True

    def _message(
        self,
        cohort: Cohort,
        letter: _Letter,
        position: int,
        facilitator: Facilitator,
        text: str,
        now: datetime,
    ) -> EmailMessage:
        board = f"{self._public_url}/cohorts/{cohort.id}/sessions/{letter.week}"
        message = EmailMessage(policy=SMTP)
        message["From"], message["To"] = self._sender, facilitator.email
        message["Subject"] = letter.subject
        message["Message-ID"] = f"<{cohort.id}.{letter.name}.{position}@circle>"
        message["Date"] = now
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(f"Dear {facilitator.name},\n\n{text}\n\nThe live board: {board}\n")
        return message


def _evening(connection: Connection, cohort: Cohort, session: Session, now: datetime) -> str:
    """Who is expected tomorrow, and what is not ready yet."""
    found = evidence.read_evidence(connection, cohort)
    board = build_board(cohort, found, session, now=now)
    zone = ZoneInfo(cohort.timezone)
    invited = {m.carer_id for m in mail.read_mail(connection, cohort.id) if m.sent_at}
    expected = [seat for seat in board.seats if seat.absence is None]
    lines = [
        f"Week {session.week}, {session.topic}: "
        f"{session.starts_at.astimezone(zone):%A %-d %B, %H:%M} to "
        f"{session.ends_at.astimezone(zone):%H:%M}.",
        f"Carers expected: {len(expected)}.",
        *_named(
            "Told us that they cannot come",
            _names(s for s in board.seats if s.absence),
        ),
        *_rehearsal(found, now=board.as_of, zone=zone),
        *_named(
            "Never tested camera and microphone, neither on their page nor in a rehearsal",
            _names(s for s in expected if s.tested is None),
        ),
        *_named(
            "Were never sent their link by mail",
            [shown_name(s.carer, to_admin=False) for s in expected if s.carer.id not in invited],
        ),
    ]
    for watch in watches.live_watches(connection, cohort.id):
        alive = watch.expires_at.astimezone(zone) if watch.expires_at else None
        lines.append(
            f"The subscription needs a person: {watch.problem}"
            if watch.problem
            else f"Notifications are subscribed to until {alive:%-d %B, %H:%M}."
            if alive
            else "The subscription to notifications is being made."
        )
    return "\n".join(lines)


def _missing(connection: Connection, cohort: Cohort, session: Session, now: datetime) -> str:
    """Who is missing ten minutes after the start; empty when nobody is."""
    board = build_board(cohort, evidence.read_evidence(connection, cohort), session, now=now)
    if board.held_from is None:
        return "Nobody has opened the session yet."
    zone = ZoneInfo(cohort.timezone)
    away = [s for s in board.seats if s.absence is None and s.shared_with is None]
    lines = [
        *_named(
            "Not seen",
            _names(s for s in away if s.place is Place.NOT_SEEN),
        ),
        *_named(
            "In the waiting room",
            _names(s for s in away if s.place is Place.WAITING),
        ),
        *_named("Nobody knows who this is", [s.display_name or "no name" for s in board.strangers]),
    ]
    return f"At {board.as_of.astimezone(zone):%H:%M}:\n" + "\n".join(lines) if lines else ""


def _rehearsal(found: Evidence, *, now: datetime, zone: ZoneInfo) -> list[str]:
    """The rehearsal that is on or still to come."""
    offered = coming_rehearsal(found.rehearsals, now)
    if offered is None:
        return []
    begins, ends = offered.starts_at.astimezone(zone), offered.ends_at.astimezone(zone)
    return [
        f"Rehearsal: {begins:%A %-d %B, %H:%M} to {ends:%H:%M}; open the meeting of the session "
        "then. Whoever is seen counts as tested, not as attended."
    ]


def _names(seats: Iterable[Seat]) -> list[str]:
    return [shown_name(seat.carer, to_admin=False) for seat in seats]


def _named(what: str, names: list[str]) -> list[str]:
    return [f"{what}: {', '.join(names)}."] if names else []
