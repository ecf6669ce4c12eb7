"""The data map says of every column what it is for, and the document says the same."""

from __future__ import annotations

from pathlib import Path

from course.store import tables
from course.store.data_map import as_markdown, entries

ROOT = Path(__file__).parents[3]


def test_every_column_is_in_the_map_with_its_purpose_period_and_readers() -> None:
    found = list(entries())
    columns = [(t.name, c.name) for t in tables.metadata.sorted_tables for c in t.c]
    assert [(e.table, e.column) for e in found] == columns
    for entry in found:
        assert entry.what, entry
        assert entry.why, entry
        assert entry.keep, entry
        assert entry.seen_by, entry


def test_names_addresses_and_what_people_wrote_are_sealed() -> None:
    sealed = {(e.table, e.column) for e in entries() if e.sealed}
    assert sealed >= {
        *(("carer", name) for name in ("name", "email", "phone", "join_token")),
        *(("former_name", name) for name in ("name", "email", "reason")),
        *(("facilitator", name) for name in ("name", "email")),
        *(("message", "text"), ("correction", "reason"), ("attestation", "reason")),
        *(("notification", "body"), ("participant_event", "participant")),
        *(("register", "verdicts"), ("register_version", "verdicts"), ("audit", "detail")),
        *(("tombstone", "to_tell"), ("tombstone", "hash_key"), ("tombstone", "reason")),
    }


def test_the_document_is_the_map() -> None:
    written = (ROOT / "docs/privacy/data-map.md").read_text(encoding="utf-8")
    assert written == as_markdown(), "run: circle privacy map > docs/privacy/data-map.md"
