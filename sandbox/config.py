"""Who the stand-ins are: one invented Zoom account and one invented Microsoft tenant."""

from __future__ import annotations

from dataclasses import dataclass

ZOOM_SCOPES = (
    "meeting:write:meeting:admin",
    "meeting:read:meeting:admin",
    "meeting:read:list_meetings:admin",
    "meeting:update:meeting:admin",
    "meeting:delete:meeting:admin",
    "meeting:write:registrant:admin",
    "meeting:read:list_registrants:admin",
    "meeting:update:registrant_status:admin",
    "meeting:read:list_past_participants:admin",
    "meeting:read:list_past_instances:admin",
    "meeting:read:past_meeting:admin",
    "report:read:list_meeting_participants:admin",
    "marketplace_app:read:admin",
    "dashboard:read:list_meeting_participants_qos:admin",
)
GRAPH_ROLES = (
    "Calendars.ReadWrite",
    "OnlineMeetings.Read.All",
    "OnlineMeetingArtifact.Read.All",
    "CallRecords.Read.All",
    "User.Read.All",
    "Calls.JoinGroupCall.All",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantUser:
    """Somebody of the tenant, with the app roles that its administrator gave them."""

    oid: str
    name: str
    address: str
    roles: tuple[str, ...] = ()


TENANT_USERS = (
    TenantUser(
        oid="5f1b0c9e-0000-4000-8000-000000000001",
        name="Asha Mistry",
        address="asha@practice.example",
        roles=("admin",),
    ),
    TenantUser(
        oid="5f1b0c9e-0000-4000-8000-000000000002",
        name="Fern Okafor",
        address="fern@practice.example",
        roles=("facilitator",),
    ),
    TenantUser(
        oid="5f1b0c9e-0000-4000-8000-000000000003",
        name="Norman Role",
        address="norman@practice.example",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """Invented accounts. `base_url` is where the stand-ins themselves are reached.

    Take a scope or role away, the licence or the access policy, to see what the service says.
    """

    base_url: str = "http://127.0.0.1:8100"
    zoom_account_id: str = "sandbox-account"
    zoom_client_id: str = "sandbox-zoom-client"
    zoom_client_secret: str = "sandbox-zoom-secret"  # invented
    zoom_app_id: str = "sandbox-app"
    zoom_webhook_secret: str = "sandbox-zoom-webhook-secret"  # invented
    zoom_webhook_url: str = "http://127.0.0.1:8000/webhooks/zoom"
    zoom_host: str = "host@practice.example"
    zoom_more_hosts: tuple[str, ...] = ()  # licensed too
    zoom_host_licensed: bool = True
    zoom_plan: str = "pro"  # whose limits are enforced: pro, business, or none
    latency: float = 0.0  # seconds before a platform answers
    zoom_scopes: tuple[str, ...] = ZOOM_SCOPES
    teams_tenant_id: str = "5f1b0c9e-0000-4000-8000-00000000aaaa"
    teams_client_id: str = "5f1b0c9e-0000-4000-8000-00000000bbbb"
    teams_client_secret: str = "sandbox-teams-secret"  # invented
    teams_client_certificate: str = ""  # PEM; the application may prove itself with its key too
    teams_host_id: str = "5f1b0c9e-0000-4000-8000-00000000cccc"
    teams_host_email: str = "host@practice.example"
    teams_access_policy: bool = True
    teams_users: tuple[TenantUser, ...] = TENANT_USERS
    teams_redirect_uris: tuple[str, ...] = ("http://127.0.0.1:8000/signin/microsoft/answer",)
    teams_roles: tuple[str, ...] = GRAPH_ROLES
