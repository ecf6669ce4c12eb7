"""Staff's calls about cohorts: stored at once, carried out on the platform by a durable workflow.

Nothing remote happens in the request. One workflow at a time works on a cohort: it compares what
the platform holds with what is planned and does what is missing, each remote call a recorded step.
A kill at any point resumes at the step it was in, and a change made meanwhile is simply the next
version. A series is never made twice: before a create is repeated the platform is asked.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time as wall
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time, timedelta

from dbos import DBOS, DBOSConfiguredInstance, SetEnqueueOptions, SetWorkflowID

from course.model import (
    Cohort,
    CohortState,
    Facilitator,
    HouseholdRule,
    Platform,
    Rule,
)
from course.programme import COURSE
from course.store import access, changes, cohorts, idempotency
from course.store import series as series_store
from course.store.database import STORAGE_TROUBLE, Conflict, Database, Transaction
from course.timetable import plan_sessions
from integration.alignment import Alignment, Made
from integration.amending import Amending, Refused
from integration.durable import NO_TROUBLE, Parked, StepRefused, Superseded, Trouble, Work
from integration.enrolment import Enrolment
from integration.holdings import Holdings
from integration.households import NewCarer, NewHousehold, draft_carers
from integration.leftovers import Leftovers

__all__ = ["NewCarer", "NewCohort", "NewHousehold", "Refused", "Scheduling"]

AT_A_TIME = 16  # cohorts of one platform that one process works on at once
POLL, MAIL_POLL = 0.25, 1.0  # seconds between looks into a queue
REMOVE_AGAIN = 3600.0  # seconds until a refused removal is tried again
MOST_ROUNDS = 5  # of comparing and mending
MAIL_QUEUE = "mail"
ECHO = timedelta(seconds=3)  # how late news of our own changes may come


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCohort:
    """What staff asked for, already checked. `organiser` None: the platform's default host."""

    name: str
    platform: Platform
    first_session_on: date
    skip_dates: tuple[date, ...]
    organiser: str | None
    session_minutes: int
    first_session_minutes: int
    starts_at: time
    household_rule: HouseholdRule
    facilitators: tuple[Facilitator, ...]
    households: tuple[NewHousehold, ...]
    allow_past: bool


class _KeyTaken(Exception):
    """Another request with the same key was faster."""


def _bound(key: str, actor: str) -> str:
    """Two people may choose the same key."""
    return f"{actor}\n{key}"


def _fingerprint(new: NewCohort) -> str:
    text = json.dumps(asdict(new), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _free_id(connection: Transaction, cohort: Cohort) -> str:
    """An id that follows from what the cohort is: the first one of a row that nobody has.

    So whoever opens a cohort again that was opened after a backup gives it the same id, by which
    its series is found on the platform.
    """
    natural = f"{cohort.platform}\n{cohort.name.lower()}\n{cohort.sessions[0].starts_at.date()}"
    for number in itertools.count():
        found = uuid.uuid5(uuid.NAMESPACE_OID, f"{natural}\n{number}").hex
        if cohorts.read_version(connection, found) is None:
            break
    return found


def _queue(platform: Platform) -> str:
    """Trouble with one platform never keeps the other's cohorts waiting."""
    return f"cohorts on {platform.value}"


def declare_queues(register: Callable[..., object], *, poll: float | None = None) -> None:
    """Declare what the work on cohorts waits in. The engine looks for new queues once a second,
    and finds those that it knows from an earlier start at once.
    """
    for platform in Platform:
        register(
            _queue(platform),
            worker_concurrency=AT_A_TIME,
            partition_concurrency=1,
            polling_interval_sec=poll or POLL,
        )
    register(
        MAIL_QUEUE,
        worker_concurrency=4,
        partition_concurrency=1,
        polling_interval_sec=poll or MAIL_POLL,
    )


@DBOS.dbos_class()
class Scheduling(DBOSConfiguredInstance):
    """Opens, changes and cancels cohorts. One per process, made before the engine is launched.

    `send_mail` gets a cohort's id when its carers may have something new to be told.
    """

    def __init__(
        self,
        *,
        database: Database,
        holdings: Holdings,
        alignment: Alignment,
        enrolment: Enrolment,
        leftovers: Leftovers,
        organisers: Mapping[Platform, str],
        rule: Rule,
        timezone: str,
        clock: Callable[[], datetime],
        send_mail: Callable[[str, Work], None] | None = None,
        name: str = "scheduling",
        poll: float | None = None,
    ) -> None:
        """`name` finds this object again after a restart; it must not change in production.

        `poll`: seconds between looks into a queue, unless they are the usual ones.
        """
        self._database = database
        self._holdings = holdings
        self._alignment = alignment
        self._enrolment = enrolment
        self._leftovers = leftovers
        self._amending = Amending(database, clock)
        self._organisers = organisers
        self._rule = rule
        self._timezone = timezone
        self._clock = clock
        self._send_mail = send_mail
        self._poll = poll
        self._checked: set[tuple[str, str]] = set()  # spares asking the engine every minute
        super().__init__(config_name=name)

    def launch(self) -> None:
        """After the engine has started: declare the queues and take up what was left."""
        declare_queues(DBOS.register_queue, poll=self._poll)
        self.take_up()

    def take_up(self) -> int:
        """Start what was stored but whose workflow never began; how many are on their way."""
        with self._database.read() as connection:
            waiting = changes.unsettled(connection)
        for cohort_id, platform, version in waiting:
            self._start(cohort_id, platform, version)
        return len(waiting)

    def opened_with(self, new: NewCohort, *, key: str, actor: str) -> str | None:
        """The id of the cohort that was opened with this key, or None. Raises `Refused` where it
        was another one.
        """
        with self._database.read() as connection:
            older = idempotency.read_key(connection, key=_bound(key, actor))
        return self._same_or_refuse(older, _fingerprint(new)) if older else None

    def open_cohort(self, new: NewCohort, *, key: str | None, actor: str) -> str:
        """Store the cohort and start opening it; its id (an older one's for the same key).

        Raises `Refused`.
        """
        fingerprint = _fingerprint(new)
        bound = _bound(key, actor) if key is not None else None
        try:
            with self._database.write() as connection:
                if bound is not None and (older := idempotency.read_key(connection, key=bound)):
                    return self._same_or_refuse(older, fingerprint)
                cohort, tokens = self._draft(new)
                namesake = cohorts.find_namesake(
                    connection,
                    platform=new.platform,
                    name=new.name,
                    first_session_on=cohort.sessions[0].starts_at.date(),
                )
                if namesake is not None:
                    raise Refused(
                        "duplicate",
                        "A cohort of that name on that platform begins on that day already. "
                        "Open it, or choose another name.",
                        cohort_id=namesake,
                    )
                cohort = replace(cohort, id=_free_id(connection, cohort))
                cohorts.insert_cohort(connection, cohort, tokens)
                access.add_audit(
                    connection,
                    actor=actor,
                    action="cohort.open",
                    subject=cohort.id,
                    now=cohort.created_at,
                )
                if bound is not None:
                    holder = idempotency.reserve_key(
                        connection,
                        key=bound,
                        fingerprint=fingerprint,
                        cohort_id=cohort.id,
                        now=cohort.created_at,
                    )
                    if holder[0] != cohort.id:
                        raise _KeyTaken
        except Conflict:
            with self._database.read() as connection:
                if cohorts.read_version(connection, cohort.id) is None:
                    raise
            # Somebody opened the same at this moment and was faster: theirs is found now.
            return self.open_cohort(new, key=key, actor=actor)
        except _KeyTaken:
            return self.open_cohort(new, key=key, actor=actor)
        self._start(cohort.id, cohort.platform, cohort.version)
        return cohort.id

    def _same_or_refuse(self, older: tuple[str, str], fingerprint: str) -> str:
        cohort_id, seen = older
        if seen != fingerprint:
            raise Refused(
                "key_reused",
                "This Idempotency-Key was used with another body. Use a new key for a new cohort.",
                cohort_id=cohort_id,
            )
        return cohort_id

    def _draft(self, new: NewCohort) -> tuple[Cohort, dict[str, str]]:
        now = self._clock()
        if new.platform not in self._organisers:
            raise Refused("not_configured", f"{new.platform.value} is not configured.")
        organiser = new.organiser or self._organisers[new.platform]
        if not organiser:
            raise Refused(
                "no_organiser",
                "Name the organiser whose account hosts the sessions, or set "
                f"{new.platform.value.upper()}_HOST.",
            )
        sessions = plan_sessions(
            COURSE,
            first_session_on=new.first_session_on,
            skip_dates=new.skip_dates,
            starts_at=new.starts_at,
            timezone=self._timezone,
            session_minutes=new.session_minutes,
            first_session_minutes=new.first_session_minutes,
        )
        # A course that has begun already counts its carers from its start.
        carers, tokens = draft_carers(new.households, enrolled_at=min(now, sessions[0].starts_at))
        cohort = Cohort(
            id=uuid.uuid4().hex,
            name=new.name,
            platform=new.platform,
            state=CohortState.OPENING,
            timezone=self._timezone,
            organiser=organiser,
            rule=replace(self._rule, household=new.household_rule),
            sessions=sessions,
            carers=carers,
            facilitators=new.facilitators,
            created_at=now,
        )
        return cohort, tokens

    def move_session(
        self,
        cohort_id: str,
        week: int,
        *,
        starts_at: datetime | None,
        minutes: int | None,
        expected: int | None,
        actor: str,
    ) -> None:
        """Another time or length for one session. This and the calls below raise `Refused`;
        `expected` is the version that the caller has read, None when they do not say.
        """
        self._carry_out(
            cohort_id,
            self._amending.move_session(
                cohort_id,
                week,
                starts_at=starts_at,
                minutes=minutes,
                expected=expected,
                actor=actor,
            ),
        )

    def skip_session(self, cohort_id: str, week: int, *, expected: int | None, actor: str) -> None:
        """Skip one Saturday; another is added at the end."""
        self._carry_out(
            cohort_id,
            self._amending.skip_session(cohort_id, week, expected=expected, actor=actor),
        )

    def enrol(
        self, cohort_id: str, household: NewHousehold, *, expected: int | None, actor: str
    ) -> None:
        """Enrol a household after the opening."""
        self._carry_out(
            cohort_id,
            self._amending.enrol(cohort_id, household, expected=expected, actor=actor),
        )

    def withdraw(self, cohort_id: str, carer_id: str, *, expected: int | None, actor: str) -> None:
        """One carer takes part no more; what they attended stays."""
        self._carry_out(
            cohort_id,
            self._amending.withdraw(cohort_id, carer_id, expected=expected, actor=actor),
        )

    def transfer(
        self, cohort_id: str, reference: str, to_cohort: str, *, expected: int | None, actor: str
    ) -> str:
        """Move a household to another cohort; what it is called there."""
        moved = self._amending.transfer(
            cohort_id, reference, to_cohort, expected=expected, actor=actor
        )
        self._carry_out(cohort_id, moved.here)
        self._carry_out(to_cohort, moved.there)
        return moved.household

    def repair(self, cohort_id: str, *, expected: int | None, actor: str) -> None:
        """Try again what was refused, and put back what was changed on the platform."""
        self._carry_out(cohort_id, self._amending.repair(cohort_id, expected=expected, actor=actor))

    def move_platform(
        self,
        cohort_id: str,
        platform: Platform,
        *,
        organiser: str | None,
        expected: int | None,
        actor: str,
    ) -> None:
        """The remaining sessions meet on another platform; the carers' own pages stay the same.

        `organiser` None: who hosted there before, else the platform's default host.
        """
        self._carry_out(
            cohort_id,
            self._amending.move_platform(
                cohort_id,
                platform,
                organiser=organiser,
                hosts=self._organisers,
                expected=expected,
                actor=actor,
            ),
        )

    def cancel_cohort(self, cohort_id: str, *, expected: int | None, actor: str) -> None:
        """The series goes from the platform, the evidence stays."""
        self._carry_out(cohort_id, self._amending.cancel(cohort_id, expected=expected, actor=actor))

    def _carry_out(self, cohort_id: str, version: int | None) -> None:
        if version is None:
            return
        with self._database.read() as connection:
            platform = cohorts.read_platform(connection, cohort_id)
        if platform is not None:
            self._start(cohort_id, platform, version)

    def _start(self, cohort_id: str, platform: Platform, version: int) -> None:
        with (
            SetWorkflowID(f"align-{cohort_id}-{version}"),
            SetEnqueueOptions(queue_partition_key=cohort_id),
        ):
            DBOS.enqueue_workflow(
                _queue(platform), self.align_workflow, cohort_id, version, 1, NO_TROUBLE
            )

    def series_changed(
        self, platform: Platform, series_ref: str, *, at: datetime, cause: str
    ) -> None:
        """The platform says that a series was changed: compare it with the plan, soon.

        Our own changes come back as such news as well, and are not looked at. `cause` is the same
        for the same news: it starts one comparison, however often it is told.
        """
        with self._database.read() as connection:
            cohort_id = series_store.find_cohort(connection, platform, series_ref)
            cohort = cohorts.read_cohort(connection, cohort_id) if cohort_id else None
        if cohort is None or cohort.settled_at is None or cohort.version != cohort.settled_version:
            return
        if at > cohort.settled_at + ECHO:
            self.check_cohort(cohort.id, platform, cause=cause)

    def check_cohort(self, cohort_id: str, platform: Platform, *, cause: str) -> None:
        """Compare one cohort's series with the plan, without mending."""
        with (
            SetWorkflowID(f"check-{cohort_id}-{cause}"),
            SetEnqueueOptions(queue_partition_key=cohort_id),
        ):
            DBOS.enqueue_workflow(_queue(platform), self.check_workflow, cohort_id)

    def check_due(self) -> int:
        """Compare the cohorts that have a session within a day, once a day each."""
        now = self._clock()
        with self._database.read() as connection:
            due = cohorts.with_session_between(
                connection, since=now, until=now + timedelta(hours=24)
            )
        asked = 0
        for cohort_id, platform, starts_at in due:
            cause = f"before-{starts_at:%Y%m%d%H%M}"
            if (cohort_id, cause) not in self._checked:
                self.check_cohort(cohort_id, platform, cause=cause)
                asked += 1
        self._checked = {(c, f"before-{at:%Y%m%d%H%M}") for c, _, at in due}
        return asked

    def wait_until_settled(self, cohort_id: str, *, timeout: timedelta) -> None:
        """Return when the newest version is carried out or in trouble, or the time is over."""
        until, pause = wall.monotonic() + timeout.total_seconds(), 0.05
        while wall.monotonic() < until:
            with self._database.read() as connection:
                if cohorts.read_state(connection, cohort_id) is not CohortState.OPENING:
                    return
            wall.sleep(pause)
            pause = min(pause * 1.5, 0.4)

    @DBOS.workflow(max_recovery_attempts=100_000)
    def align_workflow(self, cohort_id: str, version: int, attempt: int, trouble: Trouble) -> str:
        """Make the platform hold one version of a cohort; how it ended."""
        work = Work(
            trouble,
            on_trouble=lambda message: self._alignment.tell(cohort_id, version, message),
            pointless=lambda: self._holdings.is_superseded(cohort_id, version),
        )
        removing = False
        try:
            made = work.step("make the series", self._alignment.create, cohort_id, version)
            removing = made["cancelling"]
            if removing:
                work.step("remove the series", self._alignment.remove, cohort_id, version)
                ended = "cancelled"
            else:
                ended = self._align(work, cohort_id, version, made)
        except Superseded:
            return "superseded"
        except Parked as e:
            return self._come_back(cohort_id, version, attempt, work.trouble, e.wait)
        except StepRefused as e:
            if removing:  # what stands on the platform must go: kept until it is done
                DBOS.run_step(
                    {"name": "tell staff"}, self._alignment.tell, cohort_id, version, str(e)
                )
                return self._come_back(cohort_id, version, attempt, work.trouble, REMOVE_AGAIN)
            return str(
                DBOS.run_step(
                    {"name": "give up"}, self._alignment.give_up, cohort_id, version, str(e)
                )
            )
        if self._send_mail is not None:
            with (
                SetWorkflowID(f"mail-{cohort_id}-{version}"),
                SetEnqueueOptions(queue_partition_key=cohort_id),
            ):
                DBOS.enqueue_workflow(MAIL_QUEUE, self.mail_workflow, cohort_id, 1, NO_TROUBLE)
        if made.get("follows", False):
            # One try: where it is refused, or the platform is down, housekeeping goes on with it.
            DBOS.run_step({"name": "remove what was left"}, self._clear_once, cohort_id)
        return ended

    def _clear_once(self, cohort_id: str) -> int:
        try:
            return self._leftovers.clear(cohort_id)
        except STORAGE_TROUBLE:
            return 0

    def _come_back(
        self, cohort_id: str, version: int, attempt: int, trouble: Trouble, wait: float
    ) -> str:
        """End, and be started again after the wait: a thread is not kept for so long."""
        with self._database.read() as connection:
            platform = cohorts.read_platform(connection, cohort_id)
        if platform is None:
            return "superseded"
        with (
            SetWorkflowID(f"align-{cohort_id}-{version}-{attempt + 1}"),
            SetEnqueueOptions(queue_partition_key=cohort_id, delay_seconds=wait),
        ):
            DBOS.enqueue_workflow(
                _queue(platform), self.align_workflow, cohort_id, version, attempt + 1, trouble
            )
        return "parked"

    def _align(self, work: Work, cohort_id: str, version: int, made: Made) -> str:
        alignment, enrolment = self._alignment, self._enrolment
        of = (cohort_id, version)
        known = made["occurrences"]
        for _ in range(MOST_ROUNDS):
            found = work.step("compare", alignment.compare, *of, known)
            known = None
            if found["gone"]:
                work.step("forget the deleted series", alignment.forget, *of)
                made = work.step("make the series again", alignment.create, *of)
                known = made["occurrences"]
            elif found["missing"]:
                work.step("make it longer", alignment.extend, *of)
            else:
                for change in found["changes"]:
                    work.step(f"mend {change['ref']}", alignment.mend, *of, change)
                if not found["look_again"]:
                    break
        else:
            raise StepRefused(work.step("name the difference", alignment.difference, *of))
        if not made["resolved"]:
            work.step("find the meeting", alignment.resolve, *of)
        coming, going = work.step("list who comes and goes", enrolment.to_tell, *of)
        for carer_id in coming:
            try:
                work.step("invite", enrolment.invite, *of, carer_id)
            except StepRefused as e:
                work.step("note the refusal", enrolment.note_refusal, *of, carer_id, str(e))
        for carer_id in going:
            work.step("withdraw", enrolment.withdraw, *of, carer_id)
        work.step("share links and watch", self._share_and_watch, *of)
        return str(work.step("finish", alignment.finish, *of))

    def _share_and_watch(self, cohort_id: str, version: int) -> None:
        self._enrolment.share(cohort_id, version)
        self._alignment.watch(cohort_id, version)

    @DBOS.workflow(max_recovery_attempts=100_000)
    def check_workflow(self, cohort_id: str) -> str:
        """Compare without mending. Trouble ends it: the next news or day looks again."""
        work = Work(NO_TROUBLE, on_trouble=lambda _: None, pointless=lambda: False)
        try:
            return str(work.step("look for drift", self._alignment.look_for_drift, cohort_id))
        except (StepRefused, Superseded, Parked):
            return "not now"

    @DBOS.workflow(max_recovery_attempts=100_000)
    def mail_workflow(self, cohort_id: str, attempt: int, trouble: Trouble) -> str:
        """Send what the carers of a cohort have not been told yet."""
        work = Work(trouble, on_trouble=lambda _: None, pointless=lambda: False)
        if self._send_mail is None:
            return "no mail is configured"
        try:
            self._send_mail(cohort_id, work)
        except Parked as e:
            with (
                SetWorkflowID(f"{DBOS.workflow_id}-{attempt + 1}"),
                SetEnqueueOptions(queue_partition_key=cohort_id, delay_seconds=e.wait),
            ):
                DBOS.enqueue_workflow(
                    MAIL_QUEUE, self.mail_workflow, cohort_id, attempt + 1, work.trouble
                )
            return "parked"
        return "sent"
