"""The data map: of every column what it is, why it is kept, for how long, and who sees it.

The one place where this is written down: `circle privacy map` prints it, `docs/privacy/data-map.md`
is made from it, and a test fails when a column has no entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Column

from course.store import tables
from course.store.types import Sealed, SealedJson

RECORD = "7 years after the course (KEEP_RECORDS_DAYS)"
LIVE = (
    "90 days after the last session (KEEP_MEDIA_DAYS), then only the verdict; who people "
    "were whom nobody knew 30 days after their session (KEEP_UNMATCHED_DAYS)"
)
RAW = "30 days (KEEP_NOTIFICATION_DAYS)"
COURSE = "as long as the course's record"
STAFF, ADMIN, NOBODY = "staff of the cohort", "admins", "nobody: the service alone"
MORE = "admins and facilitators of the cohort"
_SHORT = {
    "@join": "course end + 14 days (KEEP_JOIN_DAYS)",
    "@told": "until the platform has done it",
    "@more": MORE,
    "@nobody": NOBODY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One column."""

    table: str
    column: str
    what: str
    why: str
    keep: str
    seen_by: str
    sealed: bool


@dataclass(frozen=True, slots=True)
class _Of:
    """A table: why, how long, who sees it, unless a column says otherwise (`what | keep | who`)."""

    why: str
    keep: str
    seen_by: str
    columns: dict[str, str]


def _columns(text: str) -> dict[str, str]:
    found = (line.split(":", 1) for line in text.strip().splitlines())
    return {name.strip(): what.strip() for name, what in found}


_MAP = {
    "cohort": _Of(
        "to run the course",
        COURSE,
        STAFF,
        _columns("""
            id: our id
            name: what staff call the group
            platform: Zoom or Teams
            state: how far the platform agrees with the plan
            problem: what is wrong, as a sentence without names
            organiser: the address of the account that hosts
            timezone: of the timetable
            first_session_on: first Saturday
            rule: what counts as attending
            created_at: when it was opened
            version: number of changes
            settled_version: number of changes carried out
            settled_at: when
            remake_version: change with which a deleted series may be made again
            moved_at: when it came from the other platform
            drifted_at: when the platform was found changed
            cancel_requested_at: when it was cancelled
        """),
    ),
    "idempotency": _Of(
        "so that a repeated call opens one cohort",
        COURSE,
        NOBODY,
        _columns("""
            key: hash of the caller's key
            fingerprint: hash of the request
            cohort_id: which cohort
            created_at: when
        """),
    ),
    "session": _Of(
        "to run the course",
        COURSE,
        STAFF,
        _columns("""
            cohort_id: which cohort
            week: 1 to 8
            topic: what it is about
            starts_at: planned start
            ends_at: planned end
            state: to be held or dropped
            occurrence_ref: the platform's id
            sequence: number of changes, for calendars
            platforms: where it was held, before the cohort moved to another platform
        """),
    ),
    "carer": _Of(
        "to let the carer in and to know who attended",
        RECORD,
        STAFF,
        _columns("""
            id: our id
            cohort_id: which cohort
            household: the family's reference
            position: order in the household
            name: the carer's name
            email: the carer's address | | @more
            phone: number to ring when they are missing | | @more
            enrolled_at: when they were enrolled
            withdrawn_at: when they stopped taking part
            join_token: the secret in their own link | @join | @more
            join_token_hash: the same, for looking up | @join | @nobody
            transferred_from: the same person's id in an earlier cohort
            restricted_at: since when nothing may be done with their data
            erased_at: this is an empty shell in the place of somebody who was erased
        """),
    ),
    "notice_shown": _Of(
        "to show which privacy notice a carer was given",
        RECORD,
        ADMIN,
        _columns("""
            carer_id: whose
            version: which version of the notice
            first_shown_at: when it was first shown
        """),
    ),
    "rehearsal": _Of(
        "to let carers try camera and microphone",
        COURSE,
        STAFF,
        _columns("""
            id: our id
            cohort_id: which cohort
            starts_at: planned start
            ends_at: planned end
            offered_by: by whom
            offered_at: when
            withdrawn_at: when it was called off
        """),
    ),
    "former_name": _Of(
        "so that a correction does not break the history",
        RECORD,
        ADMIN,
        _columns("""
            id: number
            carer_id: whose
            name: the name before
            email: the address before
            phone: the number before
            reason: why it was put right
            made_by: by whom
            made_at: when
        """),
    ),
    "tombstone": _Of(
        "so that an erasure survives a restored backup and late notifications",
        "for good; it says of nobody who it was",
        ADMIN,
        _columns("""
            id: random
            cohort_id: which cohort
            erased_at: when
            made_by: by whom
            scope: what was erased
            reason: why, without names
            hash_key: key of the hashes | | @nobody
            hashes: keyed hashes of what identified the carer | | @nobody
            version: the cohort's version of the erasure
            to_tell: whom to take off the platform | @told | @nobody
            tell_at: when the platform is asked next
            tries: how often it was asked
            problem: why it has not yet
            compacted_at: when the bytes were cleared from the files
        """),
    ),
    "facilitator": _Of(
        "to say who runs the sessions and to write to them",
        COURSE,
        STAFF,
        _columns("""
            cohort_id: which cohort
            position: order
            name: the facilitator's name
            email: the facilitator's address | | @more
        """),
    ),
    "series": _Of(
        "to find the meetings on the platform",
        COURSE,
        NOBODY,
        _columns("""
            cohort_id: which cohort
            platform: where
            organiser: the address of the account that hosted there
            attempted_at: when making it was tried
            series_ref: the platform's id
            organiser_ref: the platform's id of the host
            meeting_ref: the platform's id of the meeting
            join_url: the link that all share
            cancelled_at: when it was taken off
        """),
    ),
    "former_series": _Of(
        "to understand older evidence",
        COURSE,
        NOBODY,
        _columns("""
            platform: where
            series_ref: the platform's id
            cohort_id: which cohort
            ended_at: when it was not used any more
            organiser_ref: the platform's id of the host
            meeting_ref: the platform's id of the meeting
            join_url: the link that all shared
            removed_at: when it went from the platform
            tried_at: when removing it was last tried
            problem: why it could not be removed yet
        """),
    ),
    "invitation": _Of(
        "to let the carer in",
        RECORD,
        STAFF,
        _columns("""
            carer_id: whose
            platform: where
            invitation_ref: the platform's id of the personal link
            join_url: the personal link | | @more
            problem: why there is none
        """),
    ),
    "former_invitation": _Of(
        "to understand older evidence",
        RECORD,
        NOBODY,
        _columns("""
            carer_id: whose
            invitation_ref: the platform's id of a link that is gone
        """),
    ),
    "mail": _Of(
        "so that nobody is told twice or never",
        RECORD,
        STAFF,
        _columns("""
            id: our id
            cohort_id: which cohort
            carer_id: to whom
            kind: invitation, update or cancellation
            timetable: hash of the dates that it told
            made_at: when it was due
            sent_at: when it was sent
            problem: why it was not
        """),
    ),
    "facilitator_letter": _Of(
        "so that no facilitator is told twice or never, where mail to them is switched on",
        RECORD,
        STAFF,
        _columns("""
            cohort_id: which cohort
            letter: which mail: its kind, and of which week and start or of which move
            position: to which facilitator
            taken_until: until when whoever is about to send it has it to themselves
            sent_at: when it was sent
            refused_at: when it was first refused
            is_final: whether it was refused for good
            problem: why
        """),
    ),
    "pace": _Of(
        "to stay below the platforms' limits",
        "minutes",
        NOBODY,
        _columns("""
            bucket: which limit
            place: which place below it
            free_at: when it is free
            holder: which process
        """),
    ),
    "watch": _Of(
        "to hear from Teams who comes and goes",
        COURSE,
        NOBODY,
        _columns("""
            id: our id
            cohort_id: which cohort
            platform: where
            series_ref: of which series
            client_state: secret that proves a notification
            client_state_hash: the same, for looking up
            watch_ref: the platform's id
            certificate_ref: what it is encrypted to
            made_at: when
            expires_at: until when
            renewal_due_at: when to renew
            renewed_at: last renewal
            ended_at: when it ended
            problem: what is wrong
        """),
    ),
    "bot_call": _Of(
        "to hear from Teams about cameras and microphones, where switched on",
        COURSE,
        NOBODY,
        _columns("""
            id: our id
            cohort_id: which cohort
            week: which session
            platform: where
            series_ref: of which series
            secret_hash: hash of the secret in the callback's address
            asked_at: when
            call_ref: the platform's id
            kept_alive_at: last sign of life
            ended_at: when it ended
            problem: what is wrong
            changed_in: while it lasts, in which roster each participant last changed
        """),
    ),
    "mailbox_watch": _Of(
        "to hear when somebody changes the series on the platform",
        "until two days after the last course that needs it",
        NOBODY,
        _columns("""
            platform: where
            mailbox_ref: whose calendar
            client_state: secret that proves a notification
            client_state_hash: the same, for looking up
            watch_ref: the platform's id
            expires_at: until when
            renewal_due_at: when to renew
            problem: what is wrong
        """),
    ),
    "notification": _Of(
        "to prove what the platform told, and to read it again after a fault of ours",
        RAW,
        "admins and facilitators of the cohort, with the evidence",
        _columns("""
            id: hash of the delivery
            platform: from where
            received_at: when
            kind: the platform's name for it
            series_ref: of which series
            instance_ref: of which meeting held
            state: read, waiting, quarantined
            reason: why
            attempts: how often it was read
            body: the delivery, without devices, addresses of machines and places
        """),
    ),
    "participant_event": _Of(
        "the evidence for attendance",
        LIVE,
        "admins and facilitators of the cohort, with the evidence",
        _columns("""
            key: hash of the fact
            platform: where
            series_ref: of which series
            instance_ref: of which meeting held
            kind: joined, left, camera, microphone ...
            occurred_at: when
            until_at: until when
            source: who told it
            instance_started_at: when that meeting began
            connection_ref: the platform's id of one device's stay
            seat_ref: the platform's other id of it
            level: camera or microphone: on, off ...
            carer_id: whose, where our own page or a facilitator told it
            notification_id: which delivery told it
            told_as: the platform's name for it
            received_at: when it was told
            participant: shown name, address and ids on the platform
        """),
    ),
    "correction": _Of(
        "a person's word stands above the machine's",
        RECORD,
        STAFF,
        _columns("""
            id: number
            cohort_id: which cohort
            week: which session
            carer_id: whose
            verdict: what it says
            kind: correction, catch-up, exemption or excuse
            reason: why
            made_by: by whom
            made_at: when
        """),
    ),
    "link": _Of(
        "to remember who a participant was",
        RECORD,
        STAFF,
        _columns("""
            id: number
            cohort_id: which cohort
            ref: hash of how the platform showed them
            carer_id: who it was
            taken_back: whether it was withdrawn
            made_by: by whom
            made_at: when
        """),
    ),
    "attestation": _Of(
        "two carers at one device",
        RECORD,
        STAFF,
        _columns("""
            id: number
            cohort_id: which cohort
            week: which session
            carer_id: who
            with_carer_id: at whose device
            reason: how it is known
            made_by: by whom
            made_at: when
        """),
    ),
    "message": _Of(
        "what carers tell the practice, and staff's notes on a carer",
        RECORD,
        "admins and facilitators of the cohort; the carer their own, but not notes",
        _columns("""
            id: number
            cohort_id: which cohort
            week: which session
            carer_id: who
            kind: absence, objection, note, together
            text: what they wrote
            sent_at: when
            taken_back_at: when they took it back
            settled_at: when it was dealt with
            settled_by: by whom
        """),
    ),
    "rule_change": _Of(
        "to show under which rule a verdict was made",
        RECORD,
        STAFF,
        _columns("""
            id: number
            cohort_id: which cohort
            rule: the new rule
            before: the rule before
            reason: why
            made_by: by whom
            made_at: when
        """),
    ),
    "register": _Of(
        "the record of attendance",
        RECORD,
        STAFF,
        _columns("""
            cohort_id: which cohort
            week: which session
            closed_at: when it was closed
            record_fetched_at: when the platform's record was fetched
            record_complete: whether it shows the session
            record_digest: hash of it
            resync_at: when it is fetched again
            trouble_since: since when it cannot be
            problem: what is wrong
            verdicts: of each carer: verdict, minutes, camera
            frozen: what the report says of the session, once the evidence is gone
        """),
    ),
    "looked": _Of(
        "to miss nothing that came in while no worker ran",
        "as long as it is used",
        NOBODY,
        _columns("""
            chore: which chore
            until: until when it has looked
        """),
    ),
    "stranger_look": _Of(
        "to forget in time who people were whom nobody knew",
        RECORD,
        NOBODY,
        _columns("""
            cohort_id: which cohort
            looked_at: when it was last looked at
            next_at: when it is next
        """),
    ),
    "standing": _Of(
        "to list cohorts by where households stand; derived, and derived anew at any change",
        COURSE,
        STAFF,
        _columns("""
            carer_id: whose
            cohort_id: which cohort
            household: the practice's own reference
            all_sessions: where the carer stands against the rule
            household_stands: where the household stands
            missed_weeks: the weeks that were missed
        """),
    ),
    "attention_item": _Of(
        "to list what waits for a person; derived, and derived anew at any change",
        "until a person has dealt with it",
        MORE,
        _columns("""
            cohort_id: which cohort
            place: its place in the list
            audience: who sees it: all, admins, or all but admins
            kind: what kind of thing it is
            week: which session
            carer_id: whom it is about
            since: since when it waits
            told: what it says; it may name people, or quote them
        """),
    ),
    "derivation": _Of(
        "to know when the derived rows of a cohort must be derived anew",
        COURSE,
        NOBODY,
        _columns("""
            cohort_id: which cohort
            turn: how often its rows were derived
            mark: counts of the evidence from which they were
            derived_at: when that was
            checked_at: when they were last compared with the evidence
            next_at: when time alone may change them
        """),
    ),
    "cohort_change": _Of(
        "to know which cohorts changed since their rows were derived",
        "until they are derived anew, a minute",
        NOBODY,
        _columns("""
            id: number
            cohort_id: which cohort
        """),
    ),
    "register_version": _Of(
        "to show what a register said earlier, and why it changed",
        RECORD,
        STAFF,
        _columns("""
            id: number
            cohort_id: which cohort
            week: which session
            made_at: when
            cause: why
            verdicts: of each carer: verdict, minutes, camera
        """),
    ),
    "access_token": _Of(
        "to know who calls",
        "until they expire",
        ADMIN,
        _columns("""
            id: our id
            token_hash: hash of the token
            name: whose
            role: what they may do
            cohort_ids: which cohorts they see
            created_at: when
            expires_at: until when
            revoked_at: when it was ended
        """),
    ),
    "signin_link": _Of(
        "to sign in once",
        "90 days (KEEP_SIGNIN_DAYS)",
        ADMIN,
        _columns("""
            link_hash: hash of the link
            name: whose
            role: what they may do
            cohort_ids: which cohorts they see
            created_at: when
            expires_at: until when
            used_at: when it was used
        """),
    ),
    "staff_session": _Of(
        "to know who is signed in",
        "90 days (KEEP_SIGNIN_DAYS)",
        ADMIN,
        _columns("""
            session_hash: hash of the cookie
            name: who
            role: what they may do
            cohort_ids: which cohorts they see
            created_at: when
            token_id: with which token
            account: their account at the identity provider
            seen_at: last use
            ended_at: when it ended
        """),
    ),
    "second_factor": _Of(
        "so that a link or token alone signs nobody in",
        "until removed or reset; 2 years after the last use",
        NOBODY,
        _columns("""
            person: keyed hash of the name, for looking up
            name: whose
            secret: from which their authenticator app makes the codes
            last_step: the half minute whose code was used last
            added_at: when it was set up
            used_at: last use
        """),
    ),
    "audit": _Of(
        "to show who saw and changed what",
        "7 years (KEEP_AUDIT_DAYS)",
        ADMIN,
        _columns("""
            id: number
            at: when
            actor: who
            action: what
            subject: about what, by id
            detail: with what reason
            done_by: keyed hash of who and what, for looking up
            detail_hash: keyed hash of the detail
            previous_hash: hash of the line before
            hash: keyed hash of this line
        """),
    ),
    "audit_head": _Of(
        "so that tampering with the trail shows",
        "for good",
        NOBODY,
        _columns("""
            id: always 1
            state: key of the chain, its beginning and its end
        """),
    ),
}


def entries() -> Iterator[Entry]:
    """Every column of every table. Raises `KeyError` for one that nobody has described."""
    for table in tables.metadata.sorted_tables:
        of = _MAP[table.name]
        for column in table.c:
            parts = [part.strip() for part in of.columns[column.name].split("|")]
            what, keep, seen_by = (_SHORT.get(p, p) for p in [*parts, "", ""][:3])
            yield Entry(
                table=table.name,
                column=column.name,
                what=what,
                why=of.why,
                keep=keep or of.keep,
                seen_by=seen_by or of.seen_by,
                sealed=_is_sealed(column),
            )


def _is_sealed(column: Column[object]) -> bool:
    return isinstance(column.type, Sealed | SealedJson)


def as_markdown() -> str:
    """The map as `docs/privacy/data-map.md` has it."""
    lines = [
        "# Data map",
        "",
        "Made by `circle privacy map` from the tables of the code; do not edit. *Sealed* columns",
        "are encrypted in the database with AES-256-GCM (see [keys.md](keys.md)).",
    ]
    table = ""
    for entry in entries():
        if entry.table != table:
            table = entry.table
            lines += [
                "",
                f"## {table}",
                "",
                f"Why: {entry.why}.",
                "",
                "| column | what | kept | seen by | sealed |",
                "|---|---|---|---|---|",
            ]
        lines.append(
            f"| {entry.column} | {entry.what} | {entry.keep} | {entry.seen_by} | "
            f"{'yes' if entry.sealed else ''} |"
        )
    return "\n".join(lines) + "\n"
