"""Settings: everything that is wrong is named at once, and no secret shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import Settings, SettingsError

ZOOM = {
    "ZOOM_ACCOUNT_ID": "account",
    "ZOOM_CLIENT_ID": "client",
    "ZOOM_CLIENT_SECRET": "very-secret",
    "ZOOM_WEBHOOK_SECRETS": "newest, older",
}


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def put(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_nothing_configured_is_a_working_service_without_platforms() -> None:
    settings = Settings.load()
    assert settings.zoom is None
    assert settings.teams is None
    assert settings.database().startswith("sqlite:///")


def test_a_half_configured_platform_names_every_missing_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(monkeypatch, ZOOM_ACCOUNT_ID="account", TEAMS_TENANT_ID="tenant")
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    for name in (
        "ZOOM_CLIENT_ID",
        "ZOOM_CLIENT_SECRET",
        "ZOOM_WEBHOOK_SECRETS",
        "TEAMS_CLIENT_ID",
        "TEAMS_CLIENT_SECRET",
    ):
        assert name in str(refused.value)


def test_several_webhook_secrets_are_read_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, **ZOOM)
    zoom = Settings.load().zoom
    assert zoom is not None
    assert zoom.webhook_secrets == ("newest", "older")


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("from-a-file\n")
    values = {k: v for k, v in ZOOM.items() if k != "ZOOM_CLIENT_SECRET"}
    put(monkeypatch, **values, ZOOM_CLIENT_SECRET_FILE=str(path))
    zoom = Settings.load().zoom
    assert zoom is not None
    assert zoom.client_secret == "from-a-file"


def test_a_secret_file_may_be_named_in_the_settings_file_and_the_environment_goes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, other = tmp_path / "secret", tmp_path / "other"
    path.write_text("from-a-file\n")
    other.write_text("from-another\n")
    lines = {k: v for k, v in ZOOM.items() if k != "ZOOM_CLIENT_SECRET"}
    lines["ZOOM_CLIENT_SECRET_FILE"] = str(path)
    (tmp_path / ".env").write_text("".join(f"{k}={v}\n" for k, v in lines.items()))
    for environment, expected in (
        ({}, "from-a-file"),
        ({"ZOOM_CLIENT_SECRET_FILE": str(other)}, "from-another"),
        ({"ZOOM_CLIENT_SECRET": "from-the-environment"}, "from-the-environment"),
    ):
        put(monkeypatch, **environment)
        zoom = Settings.load().zoom
        assert zoom is not None
        assert zoom.client_secret == expected


def test_a_secret_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, ZOOM_CLIENT_SECRET_FILE="no-such-file")
    with pytest.raises(SettingsError, match="ZOOM_CLIENT_SECRET_FILE"):
        Settings.load()


def test_a_missing_secret_file_is_named_wherever_it_is_set(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SMTP_URL_FILE=no-such-file\n")
    with pytest.raises(SettingsError, match="SMTP_URL_FILE names no-such-file"):
        Settings.load()


@pytest.mark.parametrize(
    "name", ["PUBLIC_URL", "ZOOM_API_URL", "ZOOM_OAUTH_URL", "GRAPH_URL", "LOGIN_URL"]
)
def test_plain_http_is_refused_anywhere_but_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    put(monkeypatch, **{name: "http://127.0.0.1:8100/x"})
    Settings.load()
    put(monkeypatch, **{name: "http://127.0.0.1.example.com/x"})
    with pytest.raises(SettingsError, match=name):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        ("LOG_LEVEL", "foo", "DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        ("LOG_LEVEL", "10", "DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        ("TIMEZONE", "Mars/Base", "Europe/London"),
        ("TIMEZONE", "Europe", "Europe/London"),
        ("TIMEZONE", "/etc/localtime", "Europe/London"),
        ("TEAMS_CLIENT_CERTIFICATE", "/nope.pem", "cannot be read"),
        ("TEAMS_CLIENT_CERTIFICATE", ".", "cannot be read"),
    ],
)
def test_what_would_only_fail_later_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, wrong: str, says: str
) -> None:
    put(monkeypatch, TEAMS_TENANT_ID="t", TEAMS_CLIENT_ID="c", TEAMS_CLIENT_SECRET="s")
    put(monkeypatch, **{name: wrong})
    with pytest.raises(SettingsError, match=f"{name}: .*{says}"):
        Settings.load()


def test_a_log_level_may_be_written_small(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, LOG_LEVEL="debug")
    assert Settings.load().log_level == "DEBUG"


def test_no_secret_shows_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, **ZOOM)
    settings = Settings.load()
    for shown in (repr(settings), str(settings), repr(settings.zoom)):
        assert "very-secret" not in shown
        assert "newest" not in shown


def test_every_setting_stands_in_the_example_file() -> None:
    example = (Path(__file__).parent.parent / ".env.example").read_text()
    for name in Settings.model_fields:
        assert name.upper() in example
