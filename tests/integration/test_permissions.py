"""What the platforms granted us beyond what Circle uses: told, and refused where dangerous."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from course.model import Platform
from demo import environment, free_port
from integration.permissions import USED, excess, look
from integration.provider import MeetingProvider
from sandbox.config import GRAPH_ROLES, ZOOM_SCOPES, SandboxConfig
from tests.fakes import FakeProvider
from tests.nursery import ROOT, run_circle
from tests.stand_ins import stand_ins

RECORDING = "cloud_recording:read:list_recording_files:admin"


@pytest.mark.parametrize(
    ("platform", "name"),
    [
        (Platform.ZOOM, RECORDING),
        (Platform.ZOOM, "meeting:read:summary:admin"),
        (Platform.ZOOM, "team_chat:read:list_user_messages:admin"),
        (Platform.ZOOM, "meeting:read:meeting_audio"),
        (Platform.ZOOM, "phone:read:voicemail:admin"),
        (Platform.TEAMS, "ChannelMessage.Read.All"),
        (Platform.TEAMS, "MailboxItem.Read.All"),
        (Platform.TEAMS, "Files.Read.All"),
        (Platform.TEAMS, "Sites.Read.All"),
        (Platform.TEAMS, "OnlineMeetingTranscript.Read.All"),
        (Platform.TEAMS, "ChatMessage.Read.All"),
        (Platform.TEAMS, "Calls.AccessMedia.All"),
        (Platform.TEAMS, "Mail.Read"),
    ],
)
def test_what_lets_somebody_hear_or_read_what_people_say_is_told_apart(
    platform: Platform, name: str
) -> None:
    found = excess(platform, {name, "user:read:user:admin", *USED[platform]})
    assert (found.content, found.other) == ((name,), ("user:read:user:admin",))
    assert name in found.says()


def test_what_circle_uses_is_not_too_much() -> None:
    assert not excess(Platform.ZOOM, ZOOM_SCOPES)
    assert not excess(Platform.TEAMS, GRAPH_ROLES)


@pytest.mark.parametrize(
    ("platform", "page"), [(Platform.ZOOM, "connect-zoom"), (Platform.TEAMS, "connect-teams")]
)
def test_the_page_on_connecting_a_platform_lists_exactly_what_is_used(
    platform: Platform, page: str
) -> None:
    told = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    listed = re.findall(r"`([a-z_]+:[a-z_:]+|[A-Z]\w+(?:\.\w+)+)`", told)
    names = {n for n in listed if n.endswith((":admin", ".All", ".ReadWrite"))}
    assert names == USED[platform]


def test_the_tokens_of_both_platforms_say_what_they_are_good_for() -> None:
    with stand_ins(SandboxConfig(zoom_scopes=(*ZOOM_SCOPES, RECORDING))) as running:
        providers: dict[Platform, MeetingProvider] = {
            Platform.ZOOM: running.zoom(),
            Platform.TEAMS: running.teams(),
        }
        found, silent = look(providers, within=5)
    assert [one.content for one in found] == [(RECORDING,)]
    assert silent == []


def test_platforms_that_hang_are_not_waited_for() -> None:
    with stand_ins() as running:
        running.trouble(platform="zoom", do="hang", seconds=1)
        found, silent = look({Platform.ZOOM: running.zoom()}, within=0.1)
    assert (found, silent) == ([], [Platform.ZOOM])


def test_a_platform_that_is_down_or_does_not_tell_keeps_nobody_from_starting() -> None:
    dumb = FakeProvider(Platform.TEAMS)
    with stand_ins() as running:
        away = running.zoom(oauth_url="http://127.0.0.1:9/token")
        found, silent = look({Platform.ZOOM: away, Platform.TEAMS: dumb}, within=5)
    assert (found, silent) == ([], [Platform.ZOOM, Platform.TEAMS])


@pytest.mark.slow
def test_the_service_does_not_start_with_a_permission_to_read_recordings(tmp_path: Path) -> None:
    too_much = (*GRAPH_ROLES, "OnlineMeetingRecording.Read.All")
    with stand_ins(SandboxConfig(teams_roles=too_much)) as running:
        env = environment(
            running.config, public_url="http://127.0.0.1", data_dir=tmp_path, clean=True
        )
        done = run_circle("serve", "--port", str(free_port()), env=env, timeout=60)
    assert done.returncode == 1
    assert "OnlineMeetingRecording.Read.All" in done.stderr
    assert "API permissions" in done.stderr
    assert "Traceback" not in done.stderr
