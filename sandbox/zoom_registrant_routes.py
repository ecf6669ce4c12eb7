"""The Zoom stand-in's registrants: a personal link for each registered person.

https://developers.zoom.us/docs/api/meetings/#tag/meetings
"""

from __future__ import annotations

import secrets
from datetime import UTC

from flask import Blueprint, Response, request

from sandbox.zoom_account import (
    REGISTRATIONS_A_DAY,
    ZoomError,
    ZoomStandIn,
    answer_with,
    json_body,
    needs,
    page_of,
)
from sandbox.zoom_meetings import Meeting, Registrant, zulu
from sandbox.zoom_rules import faults_of_registrant


def add_registrants(routes: Blueprint, zoom: ZoomStandIn) -> None:
    """The routes on a meeting's registrants."""

    @routes.post("/v2/meetings/<number>/registrants")
    @needs(zoom, "meeting:write:registrant:admin")
    def register(number: str) -> Response:
        meeting, asked = zoom.meeting(number), json_body()
        if meeting.asked.get("settings", {}).get("approval_type", 2) == 2:
            raise ZoomError(400, 300, "Registration has not been enabled for this meeting.")
        if faults := faults_of_registrant(asked):
            raise ZoomError(400, 300, "Validation Failed.", fields=faults)
        _count_registration(zoom, meeting, asked["email"])
        person = Registrant(
            id=secrets.token_urlsafe(16),
            email=asked["email"],
            first_name=asked["first_name"],
            last_name=asked.get("last_name", ""),
            join_url=f"{zoom.config.base_url}/zoom/w/{meeting.id}?tk={secrets.token_urlsafe(24)}",
        )
        meeting.registrants.append(person)
        return answer_with(
            201,
            {
                "id": meeting.id,
                "registrant_id": person.id,
                "join_url": person.join_url,
                "participant_pin_code": 380303,
                "topic": meeting.asked["topic"],
                "start_time": zulu(meeting.occurrences[0].starts_at),
                "occurrences": [o.body() for o in meeting.occurrences if not o.deleted],
            },
        )

    @routes.post("/v2/meetings/<number>/batch_registrants")
    @needs(zoom, "meeting:write:registrant:admin")
    def register_many(number: str) -> Response:
        if zoom.meeting(number).asked["type"] != 2:
            raise ZoomError(400, 303, "Batch registration is only for scheduled meetings (type 2).")
        raise ZoomError(400, 300, "The stand-in makes recurring meetings only.")

    @routes.get("/v2/meetings/<number>/registrants")
    @needs(zoom, "meeting:read:list_registrants:admin")
    def registrants(number: str) -> Response:
        wanted = request.args.get("status", "approved")
        rows = [
            {
                "id": r.id,
                "email": r.email,
                "first_name": r.first_name,
                "last_name": r.last_name,
                "status": "approved" if r.approved else "denied",
                "join_url": r.join_url,
            }
            for r in zoom.meeting(number).registrants
            if r.approved is (wanted == "approved")
        ]
        return page_of(rows, "registrants")

    @routes.put("/v2/meetings/<number>/registrants/status")
    @needs(zoom, "meeting:update:registrant_status:admin")
    def registrant_status(number: str) -> Response:
        meeting, asked = zoom.meeting(number), json_body()
        if asked.get("action") not in ("approve", "cancel", "deny"):
            raise ZoomError(400, 300, "Validation Failed.", fields=["action"])
        emails = {str(p.get("email", "")).lower() for p in asked.get("registrants", [])}
        for person in meeting.registrants:
            if person.email.lower() in emails:
                person.approved = asked["action"] == "approve"
        return Response(status=204)


def _count_registration(zoom: ZoomStandIn, meeting: Meeting, email: str) -> None:
    place = (meeting.id, email.lower(), f"{zoom.clock().astimezone(UTC):%Y-%m-%d}")
    done = zoom.account.registrations.get(place, 0)
    if done >= REGISTRATIONS_A_DAY:
        raise ZoomError(
            429, 429, "You have exceeded the daily rate limit (3) of Add meeting registrant."
        )
    zoom.account.registrations[place] = done + 1
