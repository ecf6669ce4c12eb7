"""What Zoom accepts in a request, and the words in which it refuses the rest.

https://developers.zoom.us/docs/api/meetings/
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

OCCURRENCE_FIELDS = {"agenda", "start_time", "duration", "timezone", "settings"}
OCCURRENCE_SETTINGS = {
    *("host_video", "participant_video", "join_before_host", "mute_upon_entry"),
    *("waiting_room", "watermark", "auto_recording"),
}
MEETING_FIELDS = {
    *("agenda", "default_password", "duration", "password", "pre_schedule", "recurrence"),
    *("schedule_for", "settings", "start_time", "template_id", "timezone", "topic"),
    *("tracking_fields", "type"),
}
RECURRENCE_FIELDS = {
    *("end_date_time", "end_times", "monthly_day", "monthly_week", "monthly_week_day"),
    *("repeat_interval", "type", "weekly_days"),
}
SETTINGS = {
    "approval_type": (0, 1, 2),
    "registration_type": (1, 2, 3),
    "auto_recording": ("local", "cloud", "none"),
    "audio": ("both", "telephony", "voip", "thirdParty"),
    "jbh_time": (0, 5, 10, 15),
    "encryption_type": ("enhanced_encryption", "e2ee"),
}
BOOLEAN_SETTINGS = {
    *("allow_multiple_devices", "close_registration", "device_testing", "email_notification"),
    *("host_video", "join_before_host", "meeting_authentication", "mute_upon_entry"),
    *("participant_video", "registrants_confirmation_email", "registrants_email_notification"),
    *("waiting_room", "watermark", "use_pmi", "alternative_hosts_email_notification"),
}


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def faults_of_meeting(asked: Mapping[str, Any]) -> list[str]:
    """The fields that a create call has wrong, by Zoom's published field rules."""
    faults = [name for name in asked if name not in MEETING_FIELDS]
    topic, agenda = asked.get("topic"), asked.get("agenda", "")
    if not isinstance(topic, str) or len(topic) > 200:
        faults.append("topic")
    if not isinstance(agenda, str) or len(agenda) > 2000:
        faults.append("agenda")
    if asked.get("type") not in (1, 2, 3, 8, 10):
        faults.append("type")
    if not _is_int(asked.get("duration")) or asked["duration"] < 1:
        faults.append("duration")
    if asked.get("timezone") not in available_timezones():
        faults.append("timezone")
    if not _is_time(asked.get("start_time")):
        faults.append("start_time")
    return faults + _of_recurrence(asked.get("recurrence")) + _of_settings(asked.get("settings"))


def _is_time(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def faults_of_series_change(asked: Mapping[str, Any]) -> list[str]:
    """The fields of a change to a whole series that are wrong. A part of a pattern is refused."""
    faults = [name for name in asked if name not in MEETING_FIELDS]
    if "timezone" in asked and asked["timezone"] not in available_timezones():
        faults.append("timezone")
    if "start_time" in asked and not _is_time(asked["start_time"]):
        faults.append("start_time")
    if "duration" in asked and not _is_int(asked["duration"]):
        faults.append("duration")
    if "recurrence" in asked:
        faults += _of_recurrence(asked["recurrence"])
    return faults + _of_settings(asked.get("settings"))


def _of_recurrence(recurrence: object) -> list[str]:
    if not isinstance(recurrence, Mapping):
        return ["recurrence"]
    faults = [f"recurrence.{name}" for name in recurrence if name not in RECURRENCE_FIELDS]
    if recurrence.get("type") not in (1, 2, 3):
        faults.append("recurrence.type")
    days = recurrence.get("weekly_days")
    if not isinstance(days, str) or not all(d in tuple("1234567") for d in days.split(",")):
        faults.append("recurrence.weekly_days")
    times = recurrence.get("end_times")
    if not _is_int(times) or not 1 <= int(str(times)) <= 60:
        faults.append("recurrence.end_times")
    if "end_times" in recurrence and "end_date_time" in recurrence:
        faults.append("recurrence.end_date_time")
    return faults


def _of_settings(settings: object) -> list[str]:
    if settings is None:
        return []
    if not isinstance(settings, Mapping):
        return ["settings"]
    faults = []
    for name, value in settings.items():
        if (
            (name in SETTINGS and value not in SETTINGS[name])
            or (name in BOOLEAN_SETTINGS and not isinstance(value, bool))
            or (
                name not in SETTINGS
                and name not in BOOLEAN_SETTINGS
                and name != "alternative_hosts"
            )
        ):
            faults.append(f"settings.{name}")
    return faults


def faults_of_occurrence_change(asked: Mapping[str, Any]) -> list[str]:
    """The fields that may not be changed for one occurrence alone."""
    faults = [name for name in asked if name not in OCCURRENCE_FIELDS]
    settings = asked.get("settings", {})
    if isinstance(settings, Mapping):
        faults += [f"settings.{name}" for name in settings if name not in OCCURRENCE_SETTINGS]
    if "duration" in asked and (not _is_int(asked["duration"]) or asked["duration"] < 1):
        faults.append("duration")
    if "start_time" in asked and not _is_time(asked["start_time"]):
        faults.append("start_time")
    if "timezone" in asked and asked["timezone"] not in available_timezones():
        faults.append("timezone")
    return faults


def faults_of_registrant(asked: Mapping[str, Any]) -> list[str]:
    """The fields that a registration has wrong."""
    faults = []
    email, first = asked.get("email"), asked.get("first_name")
    if not isinstance(email, str) or "@" not in email or len(email) > 128:
        faults.append("email")
    if not isinstance(first, str) or not 1 <= len(first) <= 64:
        faults.append("first_name")
    if "last_name" in asked and (
        not isinstance(asked["last_name"], str) or len(asked["last_name"]) > 64
    ):
        faults.append("last_name")
    return faults
