"""The Zoom stand-in's API: OAuth, meetings, registrants, and the record of what was held.

https://developers.zoom.us/docs/api/meetings/
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from flask import Blueprint, Response, jsonify, request

from sandbox.zoom_account import TOKEN_LIFE, ZoomError, ZoomStandIn, answer_with, needs, page_of
from sandbox.zoom_meeting_routes import add_meetings
from sandbox.zoom_meetings import zulu
from sandbox.zoom_registrant_routes import add_registrants

DASHBOARD_PAGE = 10  # the most that Zoom gives at once here
DASHBOARD_FOR = timedelta(minutes=30)  # after the end it is still "live" for so long


def create_zoom(zoom: ZoomStandIn) -> Blueprint:
    """The blueprint with /oauth/token and /v2."""
    routes = Blueprint("zoom", __name__)
    add_meetings(routes, zoom)
    add_registrants(routes, zoom)
    _add_record(routes, zoom)
    _add_dashboard(routes, zoom)
    _add_log(routes, zoom)

    @routes.errorhandler(ZoomError)
    def refused(error: ZoomError) -> Response:
        answer = jsonify(error.body)
        answer.status_code = error.http
        answer.headers.update(error.headers)
        return answer

    @routes.post("/oauth/token")
    def token() -> Response:
        given = request.authorization
        known = given is not None and (given.username, given.password) == (
            zoom.config.zoom_client_id,
            zoom.config.zoom_client_secret,
        )
        asked = request.values
        if not known:
            return _oauth_error("Invalid client_id or client_secret", "invalid_client")
        if asked.get("grant_type") != "account_credentials":
            return _oauth_error("unsupported grant type", "unsupported_grant_type")
        if asked.get("account_id") != zoom.config.zoom_account_id:
            return _oauth_error("Bad Request", "bad_request")
        made = secrets.token_urlsafe(24)
        zoom.tokens[made] = zoom.clock() + TOKEN_LIFE
        return jsonify(
            access_token=made,
            token_type="bearer",  # a type, not a secret
            expires_in=int(TOKEN_LIFE.total_seconds()) - 1,
            scope=" ".join(zoom.config.zoom_scopes),
            api_url=zoom.config.base_url,
        )

    @routes.get("/w/<number>")
    @routes.get("/j/<number>")
    def joined(number: str) -> Response:
        return Response(f"This would be meeting {int(number)} in Zoom.", mimetype="text/plain")

    return routes


def _add_record(routes: Blueprint, zoom: ZoomStandIn) -> None:
    """The routes on what was held, and who was there."""

    @routes.get("/v2/past_meetings/<ref>/instances")
    @needs(zoom, "meeting:read:list_past_instances:admin")
    def instances(ref: str) -> Response:
        held = zoom.meeting(ref).instances
        return jsonify(meetings=[{"uuid": i.uuid, "start_time": zulu(i.starts_at)} for i in held])

    @routes.get("/v2/past_meetings/<ref>")
    @needs(zoom, "meeting:read:past_meeting:admin")
    def past(ref: str) -> Response:
        meeting, held = zoom.instance(ref)
        return jsonify(
            id=meeting.id,
            uuid=held.uuid,
            host_id=meeting.host_id,
            type=meeting.asked["type"],
            topic=meeting.asked["topic"],
            start_time=zulu(held.starts_at),
            end_time=zulu(held.ends_at),
            duration=int((held.ends_at - held.starts_at).total_seconds() // 60),
            participants_count=len(held.rows),
        )

    @routes.get("/v2/past_meetings/<ref>/participants")
    @needs(zoom, "meeting:read:list_past_participants:admin")
    def past_participants(ref: str) -> Response:
        _, held = zoom.instance(ref)
        rows = [{k: v for k, v in row.items() if k != "participant_user_id"} for row in held.rows]
        return page_of(rows if len(rows) > 1 else [], "participants")

    @routes.get("/v2/report/meetings/<ref>/participants")
    @needs(zoom, "report:read:list_meeting_participants:admin")
    def report(ref: str) -> Response:
        _, held = zoom.instance(ref)
        rows = held.rows
        if request.args.get("include_fields") != "registrant_id":
            rows = [{k: v for k, v in row.items() if k != "registrant_id"} for row in rows]
        return page_of(rows, "participants")


def _add_dashboard(routes: Blueprint, zoom: ZoomStandIn) -> None:
    """Media by the minute of what is being held, or was half an hour ago at most.

    https://developers.zoom.us/docs/api/accounts/#tag/dashboards
    """

    @routes.get("/v2/metrics/meetings/<ref>/participants/qos")
    @needs(zoom, "dashboard:read:list_meeting_participants_qos:admin")
    def quality(ref: str) -> Response:
        if int(request.args.get("page_size", "1")) > DASHBOARD_PAGE:
            raise ZoomError(400, 300, "The value of page_size is at most 10.")
        _, held = zoom.instance(ref)
        is_live = held.ends_at + DASHBOARD_FOR > zoom.clock()
        if is_live is not (request.args.get("type", "live") == "live"):
            raise ZoomError(404, 3001, f"Meeting does not exist: {ref}.")
        return page_of(held.quality, "participants")


def _add_log(routes: Blueprint, zoom: ZoomStandIn) -> None:
    """What was sent to the subscriber, for seven days.

    https://developers.zoom.us/docs/api/marketplace/
    """

    @routes.get("/v2/marketplace/apps/<app_id>/webhook_logs")
    @needs(zoom, "marketplace_app:read:admin")
    def logs(app_id: str) -> Response:
        if app_id != zoom.config.zoom_app_id:
            raise ZoomError(404, 1401, f"APP ID does not exist: {app_id}.")
        begins, ends = request.args.get("from", ""), request.args.get("to", "9")
        failed = {"1": (True, False), "2": (True,), "3": (False,)}[request.args.get("type", "2")]
        rows = [
            {
                "event": entry.event,
                "status": entry.code or -1,
                "endpoint": zoom.config.zoom_webhook_url,
                "request_headers": "N/A",
                "request_body": entry.body,
                "date_time": zulu(entry.at),
                "request_id": entry.id,
                "retry_num": entry.retry,
            }
            for entry in zoom.webhook_log
            if begins <= zulu(entry.at) <= ends and (not 200 <= entry.code < 300) in failed
        ]
        return page_of(rows, "webhook_logs")


def _oauth_error(reason: str, error: str) -> Response:
    return answer_with(400, {"reason": reason, "error": error})
