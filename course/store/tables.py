"""The tables. Unique keys carry the idempotency; nothing is counted up, nothing derived is truth.

Personal text is `Sealed`. `series` and `invitation` have a row per platform, so that a cohort can
move to the other platform and keep its past; `former_series` and `former_invitation`
are those that are gone and by which older evidence is still known. A former series without
`removed_at` still stands on its platform and is to be removed there. `session.platforms` says, once
a cohort has moved, where a session was held; empty: where the cohort meets.

`cohort.version` is raised by every change that staff make; `settled_version` is the last one that
was carried out on the platform or given up with a sentence for staff.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from course.store.types import Sealed, SealedJson, UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _partial(name: str, *columns: str, where: str) -> Index:
    """An index of some rows only."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


cohort = Table(
    "cohort",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", Sealed, nullable=False),
    Column("platform", String(16), nullable=False),
    Column("state", String(24), nullable=False),
    Column("problem", Sealed),
    Column("organiser", Text, nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("first_session_on", Date, nullable=False),
    Column("rule", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("version", Integer, nullable=False),
    Column("settled_version", Integer, nullable=False, server_default="0"),
    Column("settled_at", UtcDateTime),
    Column("remake_version", Integer, nullable=False, server_default="0"),
    Column("moved_at", UtcDateTime),
    Column("drifted_at", UtcDateTime),
    Column("cancel_requested_at", UtcDateTime),
    Index("ix_cohort_natural", "platform", "first_session_on"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("cohort_id", ForeignKey("cohort.id"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

session = Table(
    "session",
    metadata,
    Column("cohort_id", ForeignKey("cohort.id"), primary_key=True),
    Column("week", Integer, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("occurrence_ref", Text),
    Column("sequence", Integer, nullable=False, server_default="0"),
    Index("ix_session_week", "week", "starts_at"),
    Index("ix_session_ends_at", "ends_at"),
    Column("platforms", String(32)),
)

carer = Table(
    "carer",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("cohort_id", ForeignKey("cohort.id"), nullable=False, index=True),
    Column("household", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("name", Sealed, nullable=False),
    Column("email", Sealed, nullable=False),
    Column("phone", Sealed),
    Column("enrolled_at", UtcDateTime, nullable=False),
    Column("withdrawn_at", UtcDateTime),
    Column("join_token", Sealed, nullable=False),
    Column("join_token_hash", String(64), nullable=False, unique=True),
    Column("transferred_from", String(32)),
    Column("restricted_at", UtcDateTime),
    Column("erased_at", UtcDateTime),
    UniqueConstraint("cohort_id", "household", "position"),
)

former_name = Table(
    "former_name",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("carer_id", ForeignKey("carer.id"), nullable=False, index=True),
    Column("name", Sealed, nullable=False),
    Column("email", Sealed, nullable=False),
    Column("phone", Sealed),
    Column("reason", Sealed, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
)

# What is left of a carer who was erased: nothing that says who it was, and by keyed hashes enough
# to know them again when an old backup or a late notification brings them back.
tombstone = Table(
    "tombstone",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("cohort_id", ForeignKey("cohort.id"), nullable=False, index=True),
    Column("erased_at", UtcDateTime, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("scope", String(24), nullable=False),
    Column("reason", Sealed, nullable=False),
    Column("hash_key", Sealed, nullable=False),
    Column("hashes", JSON, nullable=False),
    Column("version", Integer, nullable=False),
    Column("to_tell", SealedJson),
    Column("tell_at", UtcDateTime),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("problem", Text),
    Column("compacted_at", UtcDateTime),
)

facilitator = Table(
    "facilitator",
    metadata,
    Column("cohort_id", ForeignKey("cohort.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", Sealed, nullable=False),
    Column("email", Sealed, nullable=False),
)

series = Table(
    "series",
    metadata,
    Column("cohort_id", ForeignKey("cohort.id"), primary_key=True),
    Column("platform", String(16), primary_key=True),
    Column("organiser", Text),
    Column("attempted_at", UtcDateTime),
    Column("series_ref", Text),
    Column("organiser_ref", Text),
    Column("meeting_ref", Text),
    Column("join_url", Sealed),
    Column("cancelled_at", UtcDateTime),
    UniqueConstraint("platform", "series_ref"),
)

former_series = Table(
    "former_series",
    metadata,
    Column("platform", String(16), primary_key=True),
    Column("series_ref", String(255), primary_key=True),
    Column("cohort_id", ForeignKey("cohort.id"), nullable=False, index=True),
    Column("ended_at", UtcDateTime, nullable=False),
    Column("organiser_ref", Text),
    Column("meeting_ref", Text),
    Column("join_url", Sealed),
    Column("removed_at", UtcDateTime),
    Column("tried_at", UtcDateTime),
    Column("problem", Text),
)

invitation = Table(
    "invitation",
    metadata,
    Column("carer_id", ForeignKey("carer.id"), primary_key=True),
    Column("platform", String(16), primary_key=True),
    Column("invitation_ref", Text),
    Column("join_url", Sealed),
    Column("problem", Sealed),
)

former_invitation = Table(
    "former_invitation",
    metadata,
    Column("carer_id", ForeignKey("carer.id"), primary_key=True),
    Column("invitation_ref", String(255), primary_key=True),
)

mail = Table(
    "mail",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("cohort_id", ForeignKey("cohort.id"), nullable=False, index=True),
    Column("carer_id", ForeignKey("carer.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("timetable", String(64), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("problem", Sealed),
    UniqueConstraint("carer_id", "timetable"),
)

pace = Table(
    "pace",
    metadata,
    Column("bucket", String(320), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("free_at", Float, nullable=False),
    Column("holder", String(64)),
)

watch = Table(
    "watch",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("cohort_id", ForeignKey("cohort.id"), nullable=False, index=True),
    Column("platform", String(16), nullable=False),
    Column("series_ref", Text, nullable=False),
    Column("client_state", Sealed, nullable=False),
    Column("client_state_hash", String(64), nullable=False, unique=True),
    Column("watch_ref", Text, index=True),
    Column("certificate_ref", String(64), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("renewal_due_at", UtcDateTime),
    Column("renewed_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("problem", Sealed),
)

bot_call = Table(
    "bot_call",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("cohort_id", ForeignKey("cohort.id"), nullable=False, index=True),
    Column("week", Integer, nullable=False),
    Column("platform", String(16), nullable=False),
    Column("series_ref", Text, nullable=False),
    Column("secret_hash", String(64), nullable=False, unique=True),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("call_ref", Text),
    Column("kept_alive_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("problem", Sealed),
    Column("changed_in", JSON(none_as_null=True)),
)

mailbox_watch = Table(
    "mailbox_watch",
    metadata,
    Column("platform", String(16), primary_key=True),
    Column("mailbox_ref", String(320), primary_key=True),
    Column("client_state", Sealed, nullable=False),
    Column("client_state_hash", String(64), nullable=False, unique=True),
    Column("watch_ref", Text),
    Column("expires_at", UtcDateTime),
    Column("renewal_due_at", UtcDateTime),
    Column("problem", Sealed),
)

# Arrives in rushes: as few indexes as can be, and none that is written in random order but the key.
notification = Table(
    "notification",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("platform", String(16), nullable=False),
    Column("received_at", UtcDateTime, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("series_ref", Text),
    Column("instance_ref", Text),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("attempts", Integer, nullable=False),
    Column("body", Sealed),
    _partial("ix_notification_open", "state", "received_at", where="state <> 'done'"),
    _partial("ix_notification_validation", "received_at", where="kind = 'endpoint.url_validation'"),
)

participant_event = Table(
    "participant_event",
    metadata,
    Column("key", String(96), primary_key=True),
    Column("platform", String(16), nullable=False),
    Column("series_ref", Text),
    Column("instance_ref", Text),
    Column("kind", String(24), nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("until_at", UtcDateTime),
    Column("source", String(24), nullable=False),
    Column("instance_started_at", UtcDateTime),
    Column("connection_ref", Text),
    Column("seat_ref", Text),
    Column("level", String(16)),
    Column("carer_id", String(32)),
    Column("notification_id", String(32)),
    Column("told_as", Text),
    Column("received_at", UtcDateTime),
    Column("participant", SealedJson),
    Index("ix_participant_event_series", "platform", "series_ref"),
    # Some media reports name only the instance, and only the join page names a carer.
    _partial(
        "ix_participant_event_instance", "platform", "instance_ref", where="series_ref IS NULL"
    ),
    _partial("ix_participant_event_carer_id", "carer_id", where="carer_id IS NOT NULL"),
    _partial("ix_participant_event_received_at", "received_at", where="received_at IS NOT NULL"),
)

correction = Table(
    "correction",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("cohort_id", ForeignKey("cohort.id"), nullable=False, index=True),
    Column("week", Integer, nullable=False),
    Column("carer_id", ForeignKey("carer.id"), nullable=False),
    Column("verdict", String(16)),
    Column("kind", String(16)),
    Column("reason", Sealed),
    Column("made_by", Sealed, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
)

link = Table(
    "link",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("cohort_id", ForeignKey("cohort.id"), nullable=False, index=True),
    Column("ref", String(64), nullable=False),
    Column("carer_id", ForeignKey("carer.id")),
    Column("taken_back", Boolean, nullable=False),
    Column("made_by", Sealed, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
)

attestation = Table(
    "attestation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("cohort_id", ForeignKey("cohort.id"), nullable=False, index=True),
    Column("week", Integer, nullable=False),
    Column("carer_id", ForeignKey("carer.id"), nullable=False),
    Column("with_carer_id", ForeignKey("carer.id")),
    Column("reason", Sealed, nullable=False),
    Column("made_by", Sealed, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
)

message = Table(
    "message",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("cohort_id", ForeignKey("cohort.id"), nullable=False, index=True),
    Column("week", Integer, nullable=False),
    Column("carer_id", ForeignKey("carer.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("text", Sealed, nullable=False),
    Column("sent_at", UtcDateTime, nullable=False),
    Column("taken_back_at", UtcDateTime),
    Column("settled_at", UtcDateTime),
    Column("settled_by", Sealed),
)

rehearsal = Table(
    "rehearsal",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("cohort_id", ForeignKey("cohort.id"), nullable=False, index=True),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("offered_by", Sealed, nullable=False),
    Column("offered_at", UtcDateTime, nullable=False),
    Column("withdrawn_at", UtcDateTime),
)

notice_shown = Table(
    "notice_shown",
    metadata,
    Column("carer_id", ForeignKey("carer.id"), primary_key=True),
    Column("version", String(16), primary_key=True),
    Column("first_shown_at", UtcDateTime, nullable=False),
)

rule_change = Table(
    "rule_change",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("cohort_id", ForeignKey("cohort.id"), nullable=False, index=True),
    Column("rule", JSON, nullable=False),
    Column("before", JSON, nullable=False),
    Column("reason", Sealed, nullable=False),
    Column("made_by", Sealed, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
)

register = Table(
    "register",
    metadata,
    Column("cohort_id", ForeignKey("cohort.id"), primary_key=True),
    Column("week", Integer, primary_key=True),
    Column("closed_at", UtcDateTime),
    Column("record_fetched_at", UtcDateTime),
    Column("record_complete", Boolean, nullable=False),
    Column("record_digest", String(32)),
    Column("resync_at", UtcDateTime),
    Column("trouble_since", UtcDateTime),
    Column("problem", Sealed),
    Column("verdicts", SealedJson),
    Column("frozen", SealedJson),
)

# Until when a cohort was looked at for people whom nobody knew; `next_at` null: never again.
stranger_look = Table(
    "stranger_look",
    metadata,
    Column("cohort_id", ForeignKey("cohort.id"), primary_key=True),
    Column("looked_at", UtcDateTime, nullable=False),
    Column("next_at", UtcDateTime, index=True),
)

looked = Table(
    "looked",
    metadata,
    Column("chore", String(32), primary_key=True),
    Column("until", UtcDateTime, nullable=False),
)

# One mail to one facilitator. Whoever sends it has it until `taken_until`.
facilitator_letter = Table(
    "facilitator_letter",
    metadata,
    Column("cohort_id", ForeignKey("cohort.id"), primary_key=True),
    Column("letter", String(40), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("taken_until", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("refused_at", UtcDateTime),
    Column("is_final", Boolean, nullable=False),
    Column("problem", Text),
)

register_version = Table(
    "register_version",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("cohort_id", ForeignKey("cohort.id"), nullable=False),
    Column("week", Integer, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("cause", String(32), nullable=False),
    Column("verdicts", SealedJson, nullable=False),
    Index("ix_register_version_register", "cohort_id", "week"),
)

# What follows is derived, for lists across thousands of cohorts; it can be made anew at any time.
# It goes with its cohort and its carer.

standing = Table(
    "standing",
    metadata,
    Column("carer_id", ForeignKey("carer.id", ondelete="CASCADE"), primary_key=True),
    Column("cohort_id", ForeignKey("cohort.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("household", Text, nullable=False),
    Column("all_sessions", String(16), nullable=False),
    Column("household_stands", String(16), nullable=False),
    Column("missed_weeks", JSON, nullable=False),
    Index("ix_standing_household_stands", "household_stands", "cohort_id"),
)

attention_item = Table(
    "attention_item",
    metadata,
    Column("cohort_id", ForeignKey("cohort.id", ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("audience", String(8), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("week", Integer),
    Column("carer_id", ForeignKey("carer.id", ondelete="CASCADE"), index=True),
    Column("since", UtcDateTime, nullable=False),
    Column("told", SealedJson, nullable=False),
    # With the audience, so that counting reads the index alone and opens no page of sealed text.
    Index("ix_attention_item_since", "since", "cohort_id", "place", "audience"),
)

# From what a cohort's standings and items were derived, and when time alone changes them.
derivation = Table(
    "derivation",
    metadata,
    Column("cohort_id", ForeignKey("cohort.id", ondelete="CASCADE"), primary_key=True),
    Column("turn", Integer, nullable=False),
    Column("mark", Text, nullable=False),
    Column("derived_at", UtcDateTime, nullable=False),
    Column("checked_at", UtcDateTime, nullable=False, index=True),
    Column("next_at", UtcDateTime, index=True),
)

# Written by the database itself, see `change_log`.
cohort_change = Table(
    "cohort_change",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("cohort_id", String(32), nullable=False, index=True),
)

access_token = Table(
    "access_token",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("name", Sealed, nullable=False),
    Column("role", String(16), nullable=False),
    Column("cohort_ids", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)

signin_link = Table(
    "signin_link",
    metadata,
    Column("link_hash", String(64), primary_key=True),
    Column("name", Sealed, nullable=False),
    Column("role", String(16), nullable=False),
    Column("cohort_ids", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
)

staff_session = Table(
    "staff_session",
    metadata,
    Column("session_hash", String(64), primary_key=True),
    Column("name", Sealed, nullable=False),
    Column("role", String(16), nullable=False),
    Column("cohort_ids", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("token_id", ForeignKey("access_token.id")),
    Column("account", String(64)),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
)

# `last_step`: the half minute whose code was accepted last; it and those before are used up.
second_factor = Table(
    "second_factor",
    metadata,
    Column("person", String(32), primary_key=True),
    Column("name", Sealed, nullable=False),
    Column("secret", Sealed, nullable=False),
    Column("last_step", Integer, nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Sealed, nullable=False),
    Column("action", String(48), nullable=False),
    Column("subject", Sealed, nullable=False),
    Column("detail", SealedJson),
    Column("done_by", String(32), nullable=False, server_default=""),
    Column("detail_hash", String(64), nullable=False, server_default=""),
    Column("previous_hash", String(64), nullable=False, server_default=""),
    Column("hash", String(64), nullable=False, server_default=""),
    Index("ix_audit_done_by", "done_by", "at"),
)

# One row: the key of the chain, the hash it begins after and that of its last line.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("state", SealedJson, nullable=False),
)
