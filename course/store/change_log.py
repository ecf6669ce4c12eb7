"""The database itself notes which cohort changed, whatever wrote the change and through which door.

A trigger on each small table that verdicts, standings and what needs a person rest on appends the
cohort's id to `cohort_change`. Participant events have none: nothing is added to the path on which
notifications come in, and `standings.with_new_facts` finds them by when they arrived.
https://www.sqlite.org/lang_createtrigger.html
https://www.postgresql.org/docs/current/plpgsql-trigger.html
"""

from __future__ import annotations

from sqlalchemy import Connection, Table, text

from course.store import tables

_OWN_ID = "SELECT {row}.id"
_COHORT_ID = "SELECT {row}.cohort_id"
_BY_CARER = "SELECT cohort_id FROM carer WHERE id = {row}.carer_id"
WATCHED: dict[Table, str] = {
    tables.cohort: _OWN_ID,
    **dict.fromkeys(
        (
            *(tables.session, tables.carer, tables.facilitator, tables.series, tables.tombstone),
            *(tables.former_series, tables.mail, tables.watch, tables.correction, tables.link),
            *(tables.attestation, tables.message, tables.rehearsal, tables.register),
            *(tables.stranger_look, tables.facilitator_letter),
        ),
        _COHORT_ID,
    ),
    tables.invitation: _BY_CARER,
    tables.former_invitation: _BY_CARER,
    tables.former_name: _BY_CARER,
}


def watch_changes(connection: Connection) -> None:
    """Make the triggers that are missing; also those of a table that was since made anew."""
    is_sqlite = connection.dialect.name == "sqlite"
    there = set(
        connection.execute(
            text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            if is_sqlite
            else text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
        ).scalars()
    )
    for table, which in WATCHED.items():
        made = _for_sqlite(table.name, which) if is_sqlite else _for_postgresql(table.name, which)
        for name, statements in made.items():
            if name not in there:
                for statement in statements:
                    connection.exec_driver_sql(statement)
        if not is_sqlite:
            connection.commit()  # so that nobody who holds another table waits for this one


def _for_sqlite(table: str, which: str) -> dict[str, list[str]]:
    """By name; a cohort that is gone has nothing to derive."""
    return {
        f"{table}_{event}_changes_cohort": [
            f"CREATE TRIGGER {table}_{event}_changes_cohort AFTER {event} ON {table} BEGIN "
            f"INSERT INTO cohort_change (cohort_id) {which.format(row=row)}; END"
        ]
        for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD"))
        if (table, event) != ("cohort", "DELETE")
    }


def _for_postgresql(table: str, which: str) -> dict[str, list[str]]:
    events = "INSERT OR UPDATE" if table == "cohort" else "INSERT OR UPDATE OR DELETE"
    name = f"{table}_changes_cohort"
    return {
        name: [
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ "
            "BEGIN IF TG_OP = 'DELETE' THEN "
            f"INSERT INTO cohort_change (cohort_id) {which.format(row='OLD')}; ELSE "
            f"INSERT INTO cohort_change (cohort_id) {which.format(row='NEW')}; END IF; "
            "RETURN NULL; END $$",
            f"CREATE TRIGGER {name} AFTER {events} ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {name}()",
        ]
    }
