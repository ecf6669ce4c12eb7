"""Certificates for Graph's notifications: made, renewed before their end, and old ones kept."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
from cryptography import x509

from certificates import RENEW_BEFORE, NotificationCertificate, load_certificates
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


@pytest.mark.parametrize("late", [False, True])
def test_all_that_start_together_end_with_the_same_pairs(tmp_path: Path, late: bool) -> None:
    now = NOW
    if late:
        load_certificates(settings(tmp_path), lambda: NOW)
        now = NOW + CERTIFICATE_LIFE - RENEW_BEFORE + timedelta(days=1)
    together = Barrier(6)

    def start(_: int) -> list[tuple[str, int]]:
        together.wait(20)
        found = load_certificates(settings(tmp_path), lambda: now)
        return [(c.ref, c.key.private_numbers().d) for c in found]

    with ThreadPoolExecutor(6) as processes:
        first, *others = processes.map(start, range(6))
    assert len(first) == 1 + late
    assert others == [first] * 5
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 2 * len(first), "nothing is left beside them"


def pair_fits(certificate: NotificationCertificate) -> bool:
    public = x509.load_der_x509_certificate(certificate.der).public_key()
    return public == certificate.key.public_key()


def test_a_start_that_was_cut_off_leaves_nothing_that_does_not_fit(tmp_path: Path) -> None:
    load_certificates(settings(tmp_path), lambda: NOW)
    (tmp_path / "teams-notification.crt").unlink()  # the key is written first
    (found,) = load_certificates(settings(tmp_path), lambda: NOW)
    assert pair_fits(found)


@pytest.mark.parametrize("steps", [1, 2])
def test_a_renewal_that_was_cut_off_loses_no_key(tmp_path: Path, steps: int) -> None:
    (first,) = load_certificates(settings(tmp_path), lambda: NOW)
    newest, older = "teams-notification", f"teams-notification-{first.ref}"
    os.link(tmp_path / f"{newest}.key", tmp_path / f"{older}.key")
    if steps > 1:
        (tmp_path / f"{newest}.crt").rename(tmp_path / f"{older}.crt")
    late = NOW + CERTIFICATE_LIFE - RENEW_BEFORE + timedelta(days=1)
    second, old = load_certificates(settings(tmp_path), lambda: late)
    assert (old.ref, pair_fits(old), pair_fits(second)) == (first.ref, True, True)


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
