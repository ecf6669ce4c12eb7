"""Mail to facilitators who want it: the evening before, who is missing, a move to another platform.

Sent once for each session, which the audit trail remembers. They name carers, so they are off until
MAIL_FACILITATORS is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from zoneinfo import ZoneInfo

import structlog

from course.board import Board, Place, Seat, build_board
from course.model import Cohort, Evidence, Session
from course.rehearsal import coming_rehearsal
from course.restriction import shown_name
from course.store import access, cohorts, evidence, mail, registers, watches
from course.store.database import Connection, Database
from integration.mailing import Post
from integration.provider import ProviderError

EVENING = 18  # o'clock, where the cohort is
MISSING_AFTER, MISSING_UNTIL = timedelta(minutes=10), timedelta(minutes=40)
REMEMBERED = timedelta(days=3)
MOVED_FOR = timedelta(days=6)  # the next session after a move is no more than so far away
ACTOR = "mail to facilitators"

log = structlog.get_logger(__name__)


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
        with self._database.read() as connection:
            near = registers.sessions_between(
                connection, since=now - MISSING_UNTIL, until=now + timedelta(days=2)
            )
        for cohort_id, week in near:
            with self._database.read() as connection:
                cohort = cohorts.read_cohort(connection, cohort_id)
                session = cohort.session(week) if cohort else None
                if cohort is None or session is None:
                    continue
                due = self._due(connection, cohort, session, now)
            if due is not None:
                sent += self._tell(cohort, session, *due, now=now)
        return sent

    def _due(
        self, connection: Connection, cohort: Cohort, session: Session, now: datetime
    ) -> tuple[str, str, str] | None:
        """The action, the subject and the text of a mail that is due now."""
        moved = self._moved(connection, cohort, session, now)
        if moved is not None:
            return moved
        begins = session.starts_at
        local = now.astimezone(ZoneInfo(cohort.timezone))
        eve = begins.astimezone(local.tzinfo).replace(hour=EVENING, minute=0) - timedelta(days=1)
        if eve <= now < begins:
            action = "mail.evening"
        elif begins + MISSING_AFTER <= now < begins + MISSING_UNTIL:
            action = "mail.missing"
        else:
            return None
        about = f"{cohort.id}/{session.week}"
        if access.audited_since(
            connection, actor=ACTOR, action=action, subject=about, since=now - REMEMBERED
        ):
            return None
        found = evidence.read_evidence(connection, cohort)
        board = build_board(cohort, found, session, now=now)
        if action == "mail.evening":
            text = self._evening(connection, cohort, session, board, found)
            return action, f"Tomorrow: week {session.week}, {cohort.name}", text
        missing = _missing(cohort, board)
        if not missing:
            return None
        return action, f"Missing now: week {session.week}, {cohort.name}", missing

    def _moved(
        self, connection: Connection, cohort: Cohort, session: Session, now: datetime
    ) -> tuple[str, str, str] | None:
        """That the cohort meets elsewhere now, before the next session there."""
        at = cohort.moved_at
        if at is None or now - at > MOVED_FOR or cohort.next_session(now) != session:
            return None
        action, platform = f"mail.moved.{at:%m%d%H%M%S}", cohort.platform.capitalize()
        if access.audited_since(
            connection,
            actor=ACTOR,
            action=action,
            subject=f"{cohort.id}/{session.week}",
            since=at,
        ):
            return None
        text = (
            f"{cohort.name} meets on {platform} from now on, and {cohort.organiser} hosts it. The "
            "carers' own pages are the same as before and lead there."
        )
        return action, f"On {platform} now: {cohort.name}", text

    def _evening(
        self,
        connection: Connection,
        cohort: Cohort,
        session: Session,
        board: Board,
        found: Evidence,
    ) -> str:
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
                [
                    shown_name(s.carer, to_admin=False)
                    for s in expected
                    if s.carer.id not in invited
                ],
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

    def _tell(
        self,
        cohort: Cohort,
        session: Session,
        action: str,
        subject: str,
        text: str,
        *,
        now: datetime,
    ) -> int:
        board = f"{self._public_url}/cohorts/{cohort.id}/sessions/{session.week}"
        try:
            for facilitator in cohort.facilitators:
                message = EmailMessage(policy=SMTP)
                message["From"], message["To"] = self._sender, facilitator.email
                message["Subject"] = subject
                place = cohort.facilitators.index(facilitator)
                message["Message-ID"] = f"<{cohort.id}.{session.week}.{action}.{place}@circle>"
                message["Date"] = now
                message["Auto-Submitted"] = "auto-generated"
                message.set_content(
                    f"Dear {facilitator.name},\n\n{text}\n\nThe live board: {board}\n"
                )
                self._post.send(message)
        except ProviderError as e:
            log.warning("facilitators_not_told", cohort=cohort.id, week=session.week, reason=str(e))
            return 0
        with self._database.write() as connection:
            access.add_audit(
                connection,
                actor=ACTOR,
                action=action,
                subject=f"{cohort.id}/{session.week}",
                now=now,
            )
        return len(cohort.facilitators)


def _missing(cohort: Cohort, board: Board) -> str:
    """Who is missing ten minutes after the start; empty when nobody is."""
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
