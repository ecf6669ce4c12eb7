"""Certificates for Graph's notifications: made, renewed before their end, and old ones kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certificates import RENEW_BEFORE, load_certificates
from settings import Settings, SettingsError
from webhooks.teams_content import CERTIFICATE_LIFE, make_certificate

NOW = datetime(2027, 1, 16, 10, tzinfo=UTC)
TEAMS = {"teams_tenant_id": "t", "teams_client_id": "c", "teams_client_secret": "s"}


def settings(folder: Path, **changes: object) -> Settings:
    return Settings.load(**{"data_dir": folder, "_env_file": None, **TEAMS, **changes})


def test_one_is_made_once_and_only_its_owner_can_read_the_key(tmp_path: Path) -> None:
    found = load_certificates(settings(tmp_path), lambda: NOW)
    assert [c.ref for c in found] == [
        c.ref for c in load_certificates(settings(tmp_path), lambda: NOW)
    ]
    assert (tmp_path / "teams-notification.key").stat().st_mode & 0o077 == 0


def test_a_month_before_its_end_another_takes_over_and_the_old_key_still_opens(
    tmp_path: Path,
) -> None:
    (first,) = load_certificates(settings(tmp_path), lambda: NOW)
    late = NOW + CERTIFICATE_LIFE - RENEW_BEFORE + timedelta(days=1)
    for _ in range(2):
        second, old = load_certificates(settings(tmp_path), lambda: late)
        assert old.ref == first.ref != second.ref
        assert second.until > late + RENEW_BEFORE


def test_several_may_be_named_newest_first_each_with_its_key(tmp_path: Path) -> None:
    names = []
    for number in range(2):
        key, certificate = make_certificate(NOW)
        (tmp_path / f"{number}.key").write_bytes(key)
        (tmp_path / f"{number}.crt").write_bytes(certificate)
        names.append(str(tmp_path / str(number)))
    both = {
        "teams_notification_certificate": ",".join(f"{n}.crt" for n in names),
        "teams_notification_key": ",".join(f"{n}.key" for n in names),
    }
    found = load_certificates(settings(tmp_path, **both), lambda: NOW)
    assert len({c.ref for c in found}) == 2
    both["teams_notification_key"] = f"{names[0]}.key"
    with pytest.raises(SettingsError, match="belong together"):
        load_certificates(settings(tmp_path, **both), lambda: NOW)
    both["teams_notification_key"] = f"{names[0]}.key,{tmp_path / 'missing.key'}"
    with pytest.raises(SettingsError, match="cannot be read"):
        load_certificates(settings(tmp_path, **both), lambda: NOW)
