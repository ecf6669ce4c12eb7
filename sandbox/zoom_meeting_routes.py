"""The Zoom stand-in's meetings: make, list, read, change and delete, whole or one occurrence.

https://developers.zoom.us/docs/api/meetings/
"""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from sandbox.zoom_account import (
    ZoomError,
    ZoomStandIn,
    answer_with,
    host_id_of,
    json_body,
    needs,
    page_of,
)
from sandbox.zoom_meetings import Meeting, plan, read_start, zulu
from sandbox.zoom_rules import (
    faults_of_meeting,
    faults_of_occurrence_change,
    faults_of_series_change,
)

INSTANT, RECURRING = 1, 8
ONCE = {"type": 2, "repeat_interval": 1, "weekly_days": "1,2,3,4,5,6,7", "end_times": 1}


def add_meetings(routes: Blueprint, zoom: ZoomStandIn) -> None:
    """The routes on a user's meetings and on one meeting."""

    @routes.post("/v2/users/<user>/meetings")
    @needs(zoom, "meeting:write:meeting:admin")
    def create(user: str) -> Response:
        host = _host(zoom, user)
        asked = json_body()
        if asked.get("type") == RECURRING and "start_time" not in asked:
            asked = {**asked, "type": INSTANT, "start_time": zulu(zoom.clock())}
            asked["recurrence"] = ONCE  # as the real one does: no error, an instant meeting
        if faults := faults_of_meeting(asked):
            raise ZoomError(400, 300, "Validation Failed.", fields=faults)
        if asked.get("settings", {}).get("approval_type", 2) != 2 and not (
            zoom.config.zoom_host_licensed
        ):
            raise ZoomError(400, 3161, "Meeting hosting and scheduling capabilities not allowed.")
        zoom.count_change(host)
        number = zoom.account.new_id()
        made = Meeting(
            id=number,
            uuid=zoom.account.new_uuid(),
            host_id=host_id_of(host),
            host_email=host,
            asked=asked,
            created_at=zoom.clock(),
            occurrences=plan(asked),
        )
        zoom.account.meetings[number] = made
        body = made.body(zoom.config.base_url, now=zoom.clock(), previous=True)
        return answer_with(201, body)

    @routes.get("/v2/users/<user>/meetings")
    @needs(zoom, "meeting:read:list_meetings:admin")
    def listed(user: str) -> Response:
        host = _host(zoom, user)
        rows = [
            {
                "id": m.id,
                "uuid": m.uuid,
                "host_id": m.host_id,
                "type": m.asked["type"],
                "topic": m.asked["topic"],
                "agenda": m.asked.get("agenda", "")[:250],
                "timezone": m.asked["timezone"],
                "duration": m.asked["duration"],
                "created_at": zulu(m.created_at),
            }
            for m in zoom.account.meetings.values()
            if m.host_email == host
        ]
        return page_of(rows, "meetings")

    @routes.get("/v2/meetings/<number>")
    @needs(zoom, "meeting:read:meeting:admin")
    def read(number: str) -> Response:
        previous = request.args.get("show_previous_occurrences") == "true"
        body = zoom.meeting(number).body(zoom.config.base_url, now=zoom.clock(), previous=previous)
        return jsonify(body)

    @routes.patch("/v2/meetings/<number>")
    @needs(zoom, "meeting:update:meeting:admin")
    def update(number: str) -> Response:
        meeting, asked = zoom.meeting(number), json_body()
        wanted = request.args.get("occurrence_id")
        zoom.count_change(meeting.host_email)
        if wanted is None:
            if faults := faults_of_series_change(asked):
                raise ZoomError(400, 300, "Validation Failed.", fields=faults)
            meeting.asked.update(asked)
            meeting.occurrences = plan(meeting.asked)  # exceptions made earlier are lost
            zoom.announce("meeting.updated", meeting, meeting.occurrences)
            return Response(status=204)
        if faults := faults_of_occurrence_change(asked):
            raise ZoomError(400, 300, "Validation Failed.", fields=faults)
        for occurrence in meeting.occurrences:
            if occurrence.id == wanted and not occurrence.deleted:
                occurrence.duration = asked.get("duration", occurrence.duration)
                if "start_time" in asked:
                    zone = asked.get("timezone", meeting.asked["timezone"])
                    occurrence.starts_at = read_start(asked["start_time"], zone)
                zoom.announce("meeting.updated", meeting, [occurrence])
                return Response(status=204)
        raise ZoomError(404, 3001, f"Meeting does not exist: {number}.")

    @routes.delete("/v2/meetings/<number>")
    @needs(zoom, "meeting:delete:meeting:admin")
    def delete(number: str) -> Response:
        meeting = zoom.meeting(number)
        wanted = request.args.get("occurrence_id")
        if wanted is None:
            del zoom.account.meetings[meeting.id]
            zoom.announce("meeting.deleted", meeting, meeting.occurrences)
            return Response(status=204)
        for occurrence in meeting.occurrences:
            if occurrence.id == wanted and not occurrence.deleted:
                occurrence.deleted = True
                zoom.announce("meeting.deleted", meeting, [occurrence])
                return Response(status=204)
        raise ZoomError(404, 3001, f"Meeting does not exist: {number}.")


def _host(zoom: ZoomStandIn, user: str) -> str:
    """The address of a licensed user, by address or id."""
    if user == "me":
        raise ZoomError(400, 4711, "This API does not support `me` for a server-to-server app.")
    for address in (zoom.config.zoom_host, *zoom.config.zoom_more_hosts):
        if user in (address, host_id_of(address)):
            return address
    raise ZoomError(404, 1001, f"User does not exist: {user}.")
