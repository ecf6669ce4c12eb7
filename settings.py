"""Every setting of the service, and the only reader of the environment.

`Settings.load()` reads environment variables and a `.env` file; any secret `X` may come as
`X_FILE`, the path of a file that holds it. A platform with half of its settings is an error that
names every missing one. Nothing is read at import.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypedDict
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.sources import EnvSettingsSource

SECRETS = (
    "secret_key",
    "encryption_keys",
    "zoom_client_secret",
    "zoom_stream_client_secret",
    "zoom_webhook_secrets",
    "teams_client_secret",
    "database_url",
    "smtp_url",
)
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class SettingsError(Exception):
    """The settings are incomplete or wrong; the message names each one."""


def wants_no_colour() -> bool:
    """Whether whoever sits there wants no colour, https://no-color.org."""
    return bool(os.environ.get("NO_COLOR"))


class Storage(TypedDict):
    """Where the data is and what its fields are sealed with."""

    url: str
    keys: list[str]
    key_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoomSettings:
    """What is needed to talk to Zoom and to believe it."""

    account_id: str
    client_id: str
    client_secret: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)
    api_url: str
    oauth_url: str
    host: str
    plan: str
    app_id: str
    sent_direction: str
    dashboard: bool
    stream_client_id: str
    stream_client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamsSettings:
    """What is needed to talk to Microsoft Graph and to believe it."""

    tenant_id: str
    client_id: str
    client_secret: str | None = field(repr=False)
    client_certificate: Path | None
    graph_url: str
    login_url: str
    host: str
    jwks_url: str | None
    notification_certificates: tuple[Path, ...]
    notification_keys: tuple[Path, ...]
    engagements_version: str
    call_records: bool
    call_bot: bool
    calls_metadata_url: str


class _FileSecrets(PydanticBaseSettingsSource):
    """Reads `X` from the file that `X_FILE` names, where another source found that."""

    def __init__(
        self, settings_cls: type[BaseSettings], named_in: PydanticBaseSettingsSource
    ) -> None:
        super().__init__(settings_cls)
        # Those of `.env` are of this kind as well.
        self._found = named_in.env_vars if isinstance(named_in, EnvSettingsSource) else {}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The secret in the file of that setting."""
        del field
        path = self._found.get(f"{field_name}_file")
        if not path:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, UnicodeError) as e:
            why = e.strerror if isinstance(e, OSError) else "it is not text"
            raise SettingsError(
                f"{field_name.upper()}_FILE names {path}, which cannot be read: {why}"
            ) from e

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields
        found = {name: self.get_field_value(fields[name], name)[0] for name in SECRETS}
        return {name: secret for name, secret in found.items() if secret is not None}


def _loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


class Settings(BaseSettings):
    """The settings object: made once, passed in, never global."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        env_ignore_empty=True,
        frozen=True,
    )

    database_url: SecretStr | None = None
    data_dir: Path = Path("var")
    public_url: str = "http://127.0.0.1:8000"
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    exports_per_hour: int = Field(default=600, ge=1)
    cohorts_per_day: int = Field(default=2000, ge=1)
    secret_key: SecretStr | None = None
    encryption_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    staff_second_factor: str = Field(default="offered", pattern="^(offered|required)$")
    timezone: str = "Europe/London"
    log_level: str = "INFO"
    keep_notification_days: int = Field(default=30, ge=1)
    keep_unmatched_days: int = Field(default=30, ge=3)  # a record is read for two days
    practice_name: str = Field(default="", max_length=200)
    privacy_contact: str = Field(default="", max_length=200)
    privacy_basis: str = Field(default="", max_length=1000)
    keep_media_days: int = Field(default=90, ge=1)
    keep_join_days: int = Field(default=14, ge=1)
    keep_signin_days: int = Field(default=90, ge=1)
    keep_records_days: int = Field(default=2557, ge=90)
    keep_audit_days: int = Field(default=2557, ge=90)
    keep_reason: str | None = None

    rule_presence: float = Field(default=0.8, gt=0, le=1)
    rule_camera: float = Field(default=0.5, ge=0, le=1)
    rule_microphone: str = Field(default="connected", pattern="^(connected|any)$")
    rule_late_after_minutes: int = Field(default=10, ge=1, le=120)
    rule_satisfied_by: Annotated[tuple[str, ...], NoDecode] = ("catch_up", "camera_exempt")

    zoom_account_id: str | None = None
    zoom_client_id: str | None = None
    zoom_client_secret: SecretStr | None = None
    zoom_webhook_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    zoom_api_url: str = "https://api.zoom.us/v2"
    zoom_oauth_url: str = "https://zoom.us/oauth/token"
    zoom_host: str | None = None
    zoom_app_id: str | None = None
    zoom_plan: str = Field(default="pro", pattern="^(pro|business)$")
    zoom_dashboard: bool | None = None
    zoom_stream_client_id: str | None = None
    zoom_stream_client_secret: SecretStr | None = None
    qos_sent_direction: str = Field(default="output", pattern="^(input|output)$")

    teams_tenant_id: str | None = None
    teams_client_id: str | None = None
    teams_client_secret: SecretStr | None = None
    teams_client_certificate: Path | None = None
    graph_url: str = "https://graph.microsoft.com"
    login_url: str = "https://login.microsoftonline.com"
    teams_host: str | None = None
    teams_jwks_url: str | None = None
    teams_notification_certificate: Annotated[tuple[Path, ...], NoDecode] = ()
    teams_notification_key: Annotated[tuple[Path, ...], NoDecode] = ()
    teams_engagements_version: str = Field(default="beta", pattern=r"^(beta|v1\.0)$")
    teams_call_records: bool = True
    teams_call_bot: bool = False
    teams_calls_metadata_url: str = "https://api.aps.skype.com/v1/.well-known/OpenIdConfiguration"

    refuse_permissions: str = Field(default="content", pattern="^(content|unused)$")

    executor_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,100}$")
    adopt_after_seconds: float = Field(default=30.0, ge=0)

    smtp_url: SecretStr | None = None
    mail_from: str | None = None
    mail_facilitators: bool = False

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (its name is fixed)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then `.env`; of each, then the files named in it."""
        return (
            init_settings,
            env_settings,
            _FileSecrets(settings_cls, env_settings),
            dotenv_settings,
            _FileSecrets(settings_cls, dotenv_settings),
        )

    @field_validator(
        "encryption_keys",
        "rule_satisfied_by",
        "zoom_webhook_secrets",
        "teams_notification_certificate",
        "teams_notification_key",
        "allowed_hosts",
        "trusted_proxies",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            [v.strip() for v in value.split(",") if v.strip()] if isinstance(value, str) else value
        )

    @field_validator("rule_satisfied_by")
    @classmethod
    def _exceptions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := set(value) - {"catch_up", "camera_exempt", "excused"}:
            raise ValueError(f"not catch_up, camera_exempt or excused: {', '.join(unknown)}")
        return value

    @field_validator("log_level")
    @classmethod
    def _level(cls, value: str) -> str:
        if value.upper() not in LOG_LEVELS:
            raise ValueError(f"not {', '.join(LOG_LEVELS[:-1])} or {LOG_LEVELS[-1]}: {value}")
        return value.upper()

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as e:
            raise ValueError(f"not the name of a time zone such as Europe/London: {value}") from e
        return value

    @field_validator("teams_client_certificate")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                value.open("rb").close()
            except OSError as e:
                raise ValueError(f"{value} cannot be read: {e.strerror}") from e
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [host for host in value if any(sign in host for sign in "/:*@ ")]:
            raise ValueError(f"names only, without port, path or asterisk: {', '.join(wrong)}")
        return tuple(host.lower() for host in value)

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for given in value:
            try:
                ipaddress.ip_network(given, strict=False)
            except ValueError as e:
                raise ValueError(f"not an address or a network: {given}") from e
        return value

    @field_validator(
        "public_url",
        "zoom_api_url",
        "zoom_oauth_url",
        "graph_url",
        "login_url",
        "teams_jwks_url",
        "teams_calls_metadata_url",
    )
    @classmethod
    def _safe_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme == "https" and parts.hostname:
            return value.rstrip("/")
        if parts.scheme == "http" and _loopback(parts.hostname):
            return value.rstrip("/")
        raise ValueError("must be https:// (plain http:// only to this machine, 127.0.0.1)")

    @classmethod
    def load(cls, **overrides: Any) -> Settings:
        """Read the environment; raise `SettingsError` naming everything that is wrong at once."""
        try:
            settings = cls(**overrides)
        except ValidationError as e:
            faults = [
                f"{'.'.join(str(p) for p in error['loc']).upper()}: {error['msg']}"
                for error in e.errors(include_input=False, include_url=False)
            ]
            raise SettingsError("; ".join(faults)) from None
        faults = [
            f"{platform} is half configured: set {', '.join(missing)}"
            for platform, missing in settings.missing().items()
            if missing and settings._begun(platform)
        ]
        longer = [
            name.upper()
            for name, field_ in cls.model_fields.items()
            if name.startswith("keep_")
            and name.endswith("_days")
            and getattr(settings, name) > field_.default
        ]
        if longer and not settings.keep_reason:
            faults.append(
                f"{', '.join(longer)} is longer than usual: say why in KEEP_REASON, for the record "
                "of processing"
            )
        if bool(settings.smtp_url) != bool(settings.mail_from):
            faults.append("Mail needs SMTP_URL and MAIL_FROM together: set both, or neither")
        elif settings.smtp_url and urlsplit(settings.smtp_url.get_secret_value()).scheme not in (
            "smtp",
            "smtps",
        ):
            faults.append("SMTP_URL must begin with smtp:// or smtps://")
        if faults:
            raise SettingsError("; ".join(faults))
        return settings

    def missing(self) -> Mapping[str, list[str]]:
        """For each platform, the settings it still needs."""
        zoom = {
            "ZOOM_ACCOUNT_ID": self.zoom_account_id,
            "ZOOM_CLIENT_ID": self.zoom_client_id,
            "ZOOM_CLIENT_SECRET": self.zoom_client_secret,
            "ZOOM_WEBHOOK_SECRETS": self.zoom_webhook_secrets,
        }
        teams = {
            "TEAMS_TENANT_ID": self.teams_tenant_id,
            "TEAMS_CLIENT_ID": self.teams_client_id,
            "TEAMS_CLIENT_SECRET (or TEAMS_CLIENT_CERTIFICATE)": self.teams_client_secret
            or self.teams_client_certificate,
        }
        return {
            "zoom": [name for name, value in zoom.items() if not value],
            "teams": [name for name, value in teams.items() if not value],
        }

    def _begun(self, platform: str) -> bool:
        if platform == "zoom":
            return bool(
                self.zoom_account_id
                or self.zoom_client_id
                or self.zoom_client_secret
                or self.zoom_webhook_secrets
            )
        return bool(
            self.teams_tenant_id
            or self.teams_client_id
            or self.teams_client_secret
            or self.teams_client_certificate
        )

    @property
    def zoom(self) -> ZoomSettings | None:
        """Zoom's settings, or None when Zoom is not configured."""
        if self.missing()["zoom"]:
            return None
        return ZoomSettings(
            account_id=self.zoom_account_id or "",
            client_id=self.zoom_client_id or "",
            client_secret=self.zoom_client_secret.get_secret_value()
            if self.zoom_client_secret
            else "",
            webhook_secrets=tuple(s.get_secret_value() for s in self.zoom_webhook_secrets),
            api_url=self.zoom_api_url,
            oauth_url=self.zoom_oauth_url,
            host=self.zoom_host or "",
            plan=self.zoom_plan,
            app_id=self.zoom_app_id or "",
            sent_direction=self.qos_sent_direction,
            stream_client_id=self.zoom_stream_client_id or self.zoom_client_id or "",
            stream_client_secret=(
                self.zoom_stream_client_secret or self.zoom_client_secret or SecretStr("")
            ).get_secret_value(),
            dashboard=self.zoom_plan == "business"
            if self.zoom_dashboard is None
            else self.zoom_dashboard,
        )

    @property
    def teams(self) -> TeamsSettings | None:
        """Teams' settings, or None when Teams is not configured."""
        if self.missing()["teams"]:
            return None
        return TeamsSettings(
            tenant_id=self.teams_tenant_id or "",
            client_id=self.teams_client_id or "",
            client_secret=self.teams_client_secret.get_secret_value()
            if self.teams_client_secret
            else None,
            client_certificate=self.teams_client_certificate,
            graph_url=self.graph_url,
            login_url=self.login_url,
            host=self.teams_host or "",
            jwks_url=self.teams_jwks_url,
            notification_certificates=self.teams_notification_certificate,
            notification_keys=self.teams_notification_key,
            engagements_version=self.teams_engagements_version,
            call_records=self.teams_call_records,
            call_bot=self.teams_call_bot,
            calls_metadata_url=self.teams_calls_metadata_url,
        )

    def storage(self) -> Storage:
        """What `course.store.database.open_sealed` needs."""
        return Storage(
            url=self.database(),
            keys=[key.get_secret_value() for key in self.encryption_keys],
            key_file=self.data_dir / "encryption.key",
        )

    def periods(self) -> dict[str, timedelta]:
        """How long what is kept: what `course.store.retention.Periods` needs."""
        return {
            "notifications": timedelta(days=self.keep_notification_days),
            "unmatched": timedelta(days=self.keep_unmatched_days),
            "evidence": timedelta(days=self.keep_media_days),
            "join_links": timedelta(days=self.keep_join_days),
            "signin": timedelta(days=self.keep_signin_days),
            "records": timedelta(days=self.keep_records_days),
            "audit": timedelta(days=self.keep_audit_days),
        }

    def workflow_database(self) -> str:
        """The workflow engine's: a file beside ours, or its own schema in the same PostgreSQL."""
        ours = self.database()
        if ours.startswith("sqlite"):
            return f"{ours.removesuffix('.sqlite')}-workflows.sqlite"
        return ours

    def database(self) -> str:
        """The database's address; an SQLite file under `data_dir` when none is set."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.resolve() / 'circle.sqlite'}"
