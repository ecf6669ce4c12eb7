"""What `circle doctor` says of the machine, and that every fault comes with what to do."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from course.model import Platform
from course.store import cohorts, mailboxes, watches
from course.store.cipher import secret_from_file
from course.store.database import open_sealed
from course.store.notifications import Notification
from course.store.watches import StoredWatch
from doctor import examine
from doctor_machine import Finding
from integration.provider import CALL_RECORDS
from settings import Settings
from tests.databases import NAME, put_migrated
from tests.factories import make_cohort
from tests.fakes import FakeClock
from tests.postgresql import Cluster, needs_postgresql
from tests.stand_ins import StandIns, stand_ins
from webhooks.inbox import Delivery, Inbox

NOW = datetime(2027, 1, 16, 9, 30, tzinfo=UTC)


def look(folder: Path, **changes: Any) -> dict[str, Finding]:
    settings = Settings(**{"_env_file": None, "data_dir": folder, **changes})
    return {found.subject: found for found in examine(settings, clock=FakeClock(NOW))}


def findings(folder: Path, **changes: Any) -> dict[str, Finding]:
    """Of an installation that has been started once."""
    if not (folder / NAME).exists():
        put_migrated(folder)
        secret_from_file(folder / "encryption.key")
    return look(folder, **changes)


TEAMS = {
    "teams_tenant_id": "t",
    "teams_client_id": "c",
    "teams_client_secret": "s",
    "login_url": "http://127.0.0.1:9/login",  # nobody is there
}


def test_where_there_is_no_installation_none_is_made_and_it_says_what_to_do(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "var"
    found = look(folder, **TEAMS)
    assert not found["installation"].well
    for words in (str(folder / NAME), "DATA_DIR", "deploy/README.md", "circle serve"):
        assert words in found["installation"].says
    assert "database" not in found
    assert "teams" in found  # what can be asked without one is
    assert not folder.exists()


def test_a_database_without_its_key_is_told_and_no_other_key_is_made(tmp_path: Path) -> None:
    put_migrated(tmp_path)
    found = look(tmp_path)
    assert not found["installation"].well
    assert "encryption.key" in found["installation"].says
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    with_keys = look(tmp_path, encryption_keys=urlsafe_b64encode(bytes(32)).decode())
    assert with_keys["database"].well


@needs_postgresql
def test_a_database_without_tables_is_no_installation_and_stays_so(
    tmp_path: Path, postgresql_server: Cluster
) -> None:
    url = postgresql_server.create("nothing_yet")
    secret_from_file(tmp_path / "encryption.key")
    found = look(tmp_path, database_url=url)
    assert not found["installation"].well
    assert "circle serve" in found["installation"].says
    assert (
        postgresql_server.tell(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", "nothing_yet"
        )
        == []
    )


def test_a_fresh_machine_is_well(tmp_path: Path) -> None:
    found = findings(tmp_path)
    assert [f for f in found.values() if not f.well and f.subject != "disk"] == []
    assert "free where DATA_DIR is" in found["disk"].says
    assert "has not begun yet" in found["background work"].says


def test_a_key_that_others_can_read_is_named_with_the_command_that_helps(tmp_path: Path) -> None:
    assert findings(tmp_path)["encryption key"].well
    (tmp_path / "encryption.key").chmod(0o644)
    found = findings(tmp_path)["encryption key"]
    assert (found.well, found.says.endswith(f"chmod 600 {tmp_path / 'encryption.key'}")) == (
        False,
        True,
    )


def test_an_address_that_no_platform_can_reach_is_told(tmp_path: Path) -> None:
    zoom = {
        "zoom_account_id": "a",
        "zoom_client_id": "c",
        "zoom_client_secret": "the-same",
        "zoom_webhook_secrets": "the-same",
        "zoom_oauth_url": "http://127.0.0.1:9/token",  # nobody is there
    }
    found = findings(tmp_path, **zoom)
    assert "Set PUBLIC_URL" in found["address"].says
    assert "take the Secret Token" in found["zoom secrets"].says
    assert findings(tmp_path, **zoom, zoom_api_url="http://127.0.0.1:9/v2")["address"].well


def test_an_https_address_where_nobody_answers_is_told(tmp_path: Path) -> None:
    found = findings(tmp_path, public_url="https://127.0.0.1:9")["address"]
    assert not found.well
    assert "Is Caddy running" in found.says


def test_a_secret_that_can_be_guessed_is_told(tmp_path: Path) -> None:
    assert "openssl rand -hex 32" in findings(tmp_path, secret_key="short")["signing key"].says
    assert "signing key" not in findings(tmp_path, secret_key="x" * 40)


def test_staff_without_a_second_factor_are_told_where_others_reach_the_service(
    tmp_path: Path,
) -> None:
    assert "second factor" not in findings(tmp_path)
    outside = "https://127.0.0.1:9"
    found = findings(tmp_path, public_url=outside)["second factor"]
    assert (found.well, "set STAFF_SECOND_FACTOR=required" in found.says) == (False, True)
    assert findings(tmp_path, public_url=outside, staff_second_factor="required")[
        "second factor"
    ].well


@pytest.mark.parametrize(("hours", "well"), [(25, True), (27, False)])
def test_a_copy_of_last_night_is_enough_and_an_older_one_is_not(
    tmp_path: Path, hours: int, well: bool
) -> None:
    copy = tmp_path / "backups" / "circle.copy"
    copy.parent.mkdir()
    copy.write_bytes(b"x")
    at = (NOW - timedelta(hours=hours)).timestamp()
    os.utime(copy, (at, at))
    found = findings(tmp_path)["backups"]
    assert (found.well, "make one now" in found.says) == (well, not well)


def test_a_mail_server_that_does_not_answer_is_told(tmp_path: Path) -> None:
    found = findings(tmp_path, smtp_url="smtp://127.0.0.1:9", mail_from="us@example.com")["mail"]
    assert (found.well, "does not answer" in found.says) == (False, True)


def test_what_is_parked_is_told_with_the_reason(tmp_path: Path) -> None:
    here: dict[str, Any] = {"_env_file": None, "data_dir": tmp_path}
    database = open_sealed(**Settings(**here).storage())
    database.migrate()
    told = Notification(
        id="n",
        platform=Platform.TEAMS,
        received_at=NOW,
        kind="k",
        body="{}",
        state="parked",
        reason="Graph refused: the permission is missing.",
    )
    with closing(Inbox(database)) as inbox:
        inbox.accept([Delivery(notification=told)])
    found = findings(tmp_path)["parked notifications"]
    assert (found.well, "the permission is missing" in found.says) == (False, True)


def on_teams(platforms: StandIns) -> dict[str, Any]:
    config = platforms.config
    return {
        "teams_tenant_id": config.teams_tenant_id,
        "teams_client_id": config.teams_client_id,
        "teams_client_secret": config.teams_client_secret,
        "graph_url": f"{config.base_url}/graph",
        "login_url": f"{config.base_url}/login",
    }


@contextmanager
def shared_subscriptions(
    folder: Path, teams: dict[str, Any], *, problem: str | None = None
) -> Iterator[Callable[[], dict[str, datetime | None]]]:
    """Those to a calendar and to call records, of which Graph knows nothing any more; when each is
    seen to next."""
    settings = Settings(**{"_env_file": None, "data_dir": folder, **teams})
    database = open_sealed(**settings.storage())
    database.migrate()
    with database.write() as connection:
        for mailbox in ("host", CALL_RECORDS):
            watch = mailboxes.read_mailbox_watch(
                connection, Platform.TEAMS, mailbox, fresh_state=mailbox
            )
            mailboxes.note_mailbox_watch(
                connection,
                watch,
                watch_ref=None if problem else f"nobody-knows-{mailbox}",
                expires_at=NOW + timedelta(days=5),
                renewal_due_at=NOW + timedelta(days=4),
                problem=problem,
            )

    def due() -> dict[str, datetime | None]:
        with database.read() as connection:
            return {
                w.mailbox_ref: w.renewal_due_at for w in mailboxes.all_mailbox_watches(connection)
            }

    yield due
    database.close()


def test_shared_subscriptions_that_the_platform_dropped_are_looked_at_at_once(
    tmp_path: Path,
) -> None:
    with stand_ins() as platforms, shared_subscriptions(tmp_path, on_teams(platforms)) as due:
        found = findings(tmp_path, **on_teams(platforms))
        for subject in ("subscription to host", "call records"):
            told = found[subject]
            assert (told.well, "made again within a minute" in told.says) == (False, True)
        assert due() == {"host": NOW, CALL_RECORDS: NOW}


def test_call_records_that_were_refused_are_extra_and_a_calendar_is_not(tmp_path: Path) -> None:
    with (
        stand_ins() as platforms,
        shared_subscriptions(tmp_path, on_teams(platforms), problem="Not permitted.") as due,
    ):
        found = findings(tmp_path, **on_teams(platforms))
        assert (found["call records"].well, found["subscription to host"].well) == (True, False)
        assert due()[CALL_RECORDS] == NOW + timedelta(days=4)


def test_nothing_is_promised_of_subscriptions_when_the_platform_cannot_be_asked(
    tmp_path: Path,
) -> None:
    with stand_ins() as platforms:
        teams = on_teams(platforms) | {"graph_url": "http://127.0.0.1:9/graph"}
        with shared_subscriptions(tmp_path, teams) as due:
            found = findings(tmp_path, **teams)
            assert not found["subscriptions on teams"].well
            assert not any("made again" in one.says for one in found.values())
            assert due()["host"] == NOW + timedelta(days=4)


def test_a_subscription_that_the_platform_dropped_without_a_word_is_looked_at_at_once(
    tmp_path: Path,
) -> None:
    with stand_ins() as platforms:
        teams = on_teams(platforms)
        settings = Settings(**{"_env_file": None, "data_dir": tmp_path, **teams})
        database = open_sealed(**settings.storage())
        database.migrate()
        with database.write() as connection:
            cohorts.insert_cohort(connection, make_cohort(), {"carer-1": "t"})
            watches.insert_watch(
                connection,
                StoredWatch(
                    id="w",
                    cohort_id="cohort-1",
                    platform=Platform.TEAMS,
                    series_ref="s",
                    client_state="c",
                    certificate_ref="c1",
                    made_at=NOW - timedelta(hours=9),
                    watch_ref="nobody-knows-it",
                    expires_at=NOW + timedelta(days=2),
                    renewal_due_at=NOW + timedelta(days=1),
                ),
            )
        told = findings(tmp_path, **teams)["subscription of cohort cohort-1"]
        assert (told.well, "made again within a minute" in told.says) == (False, True)
        with database.read() as connection:
            (watch,) = watches.live_watches(connection)
        assert watch.renewal_due_at == NOW
