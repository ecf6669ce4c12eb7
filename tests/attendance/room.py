"""A session played over HTTP: signed or encrypted notifications in, the report out of the API.

The same words on both platforms; minutes are counted from the planned start of week 2, which lasts
two hours. What a platform cannot say is left out by the tests, not by this file.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from flask import Flask
from werkzeug.test import Client, TestResponse

from course.model import Carer, Facilitator, Platform
from course.store import access, cohorts, watches
from course.store import series as series_store
from course.store.database import Database
from course.store.erasures import Erasures
from course.store.watches import StoredWatch
from integration import zoom_record
from integration.provider import PlatformRecord
from integration.reconciliation import Reconciliation
from integration.teams_record import report_events
from sandbox.graph_encryption import encrypt
from tests.factories import FIRST, make_carer, make_cohort
from tests.fakes import FakeClock, FakeProvider
from tests.web.conftest import PUBLIC, FakeOffice
from tests.webhooks.bridge import over
from tests.webhooks.test_teams import CLIENT, KEY, TENANT, token
from tests.webhooks.test_zoom import SECRET, sign
from web.api import create_api
from web.health import Metrics
from web.join import create_join_page
from web.page import Pages
from web.pages import create_pages
from web.problems import install_problems
from web.second_factor import SecondFactors
from web.signin import create_signin
from webhooks.evidence import TeamsReader, ZoomReader
from webhooks.inbox import Inbox
from webhooks.routes import Receivers
from webhooks.teams_content import make_certificate

WEEK_2 = FIRST + timedelta(weeks=1)
SERIES, HOST = "81000000001", "host-1"
HOST_NAME = "Dr Alma Lee"
PRIVATE_PEM, CERTIFICATE_PEM = make_certificate(WEEK_2)


@cache
def _keys() -> tuple[rsa.RSAPrivateKey, rsa.RSAPublicKey]:
    private = load_pem_private_key(PRIVATE_PEM, password=None)
    public = x509.load_pem_x509_certificate(CERTIFICATE_PEM).public_key()
    assert isinstance(private, rsa.RSAPrivateKey)
    assert isinstance(public, rsa.RSAPublicKey)
    return private, public


def at(minute: float) -> datetime:
    """An instant of week 2."""
    return WEEK_2 + timedelta(minutes=minute)


def zulu(minute: float) -> str:
    return f"{at(minute):%Y-%m-%dT%H:%M:%SZ}"


class Room:
    """One cohort on one platform, with everything that hears and shows it.

    `carers`: names by household. On Zoom a carer's personal link is known by `r1`, `r2` ... in
    the order in which they are given. `enrolled`: who was enrolled in which minute of week 2.
    """

    def __init__(
        self,
        database: Database,
        platform: Platform,
        carers: Mapping[str, tuple[str, ...]] | None = None,
        organiser_ref: str = HOST,
        enrolled: Mapping[str, float] | None = None,
        public_url: str = PUBLIC,
        **changes: Any,
    ) -> None:
        self.platform = platform
        self.public_url = public_url
        self.database = database
        self.clock = FakeClock(at(60))
        self.provider = FakeProvider(platform)
        self._numbers = itertools.count(1)
        self._connections: dict[tuple[str, str], str] = {}
        self._seats: dict[tuple[str, str], str] = {}
        self.carers = self._invite(carers or {"H1": ("Maya Patel",), "H2": ("Tom Becker",)})
        for name, minute in (enrolled or {}).items():
            self.carers[name] = replace(self.carers[name], enrolled_at=at(minute))
        self._store_cohort(organiser_ref, changes)
        self.inbox = Inbox(database)
        self.flask = self._flask()
        self._client = Client(over(self._receivers(), self.flask))
        self.sign_in("admin")

    def _invite(self, households: Mapping[str, tuple[str, ...]]) -> dict[str, Carer]:
        carers: dict[str, Carer] = {}
        for household, names in households.items():
            for position, name in enumerate(names):
                number = len(carers) + 1
                carers[name] = make_carer(
                    id=f"carer-{number}",
                    name=name,
                    email=f"carer{number}@example.com",
                    phone=f"07700 90010{number % 10}",
                    household=household,
                    position=position,
                )
        return carers

    def _store_cohort(self, organiser_ref: str, changes: Mapping[str, Any]) -> None:
        cohort = replace(
            make_cohort(
                platform=self.platform,
                series_ref=None,
                carers=tuple(self.carers.values()),
                facilitators=(Facilitator(name=HOST_NAME, email="lee@example.org"),),
            ),
            **changes,
        )
        tokens = {carer.id: f"join-{carer.id}" for carer in cohort.carers}
        with self.database.write() as connection:
            cohorts.insert_cohort(connection, cohort, tokens)
            series_store.update_series(
                connection,
                cohort.id,
                self.platform,
                series_ref=SERIES,
                organiser_ref=organiser_ref,
                join_url="https://teams.microsoft.com/l/meetup-join/x",
            )
            for number, carer in enumerate(cohort.carers, start=1):
                series_store.save_invitation(
                    connection,
                    carer.id,
                    self.platform,
                    ref=f"r{number}" if self.platform is Platform.ZOOM else None,
                    join_url="https://zoom.us/w/1?tk=x",
                )
            if self.platform is Platform.TEAMS:
                watches.insert_watch(
                    connection,
                    StoredWatch(
                        id="w1",
                        cohort_id=cohort.id,
                        platform=Platform.TEAMS,
                        series_ref=SERIES,
                        client_state="state-1",
                        certificate_ref="c1",
                        made_at=FIRST,
                        watch_ref="sub-1",
                        expires_at=FIRST + timedelta(days=90),
                        renewal_due_at=FIRST + timedelta(days=80),
                    ),
                )
        self.cohort_id = cohort.id

    def _receivers(self) -> Receivers:
        private, _ = _keys()
        return Receivers(
            inbox=self.inbox,
            zoom_reader=ZoomReader(secrets=[SECRET], account_id="A", sent_direction="output"),
            teams_reader=TeamsReader(
                database=self.database,
                audience=CLIENT,
                tenant_id=TENANT,
                keys_at_hand=lambda **_: {"k1": KEY.public_key()},
                signing_keys=lambda **_: {"k1": KEY.public_key()},
                private_keys={"c1": private},
                fetch_call_record=self.provider.fetch_call_record,
            ),
            wake=lambda: None,
            changed=lambda *_, **__: None,
            later=lambda errand: errand(),
            counted=Metrics(),
            clock=self.clock,
            threads=ThreadPoolExecutor(2),
        )

    def _flask(self) -> Flask:
        app = Flask("room", static_folder=None)
        install_problems(app)
        self.reconciliation = Reconciliation(
            database=self.database, providers={self.platform: self.provider}, clock=self.clock
        )
        app.register_blueprint(
            create_api(
                database=self.database,
                office=FakeOffice(self.database),
                close_register=lambda cohort, week, actor: self.reconciliation.close(
                    cohort, week, actor=actor
                ),
                configured=lambda: {p: [] for p in Platform},
                clock=self.clock,
                public_url=self.public_url,
                default_timezone="Europe/London",
                erasures=Erasures(
                    self.database,
                    data_dir=Path(self.database.engine.url.database or "").parent,
                    clock=self.clock,
                ),
                wake=lambda: None,
            )
        )
        app.register_blueprint(
            create_join_page(
                database=self.database,
                clock=self.clock,
                public_url=self.public_url,
                allowed_hosts=lambda _host: True,
                notice="",
            )
        )
        factors = SecondFactors(
            database=self.database,
            clock=self.clock,
            secret="signs",  # invented
        )
        app.register_blueprint(
            create_signin(
                database=self.database,
                clock=self.clock,
                public_url=self.public_url,
                notice="",
                factors=factors,
                secret="signs",  # invented
            )
        )
        app.register_blueprint(
            create_pages(
                Pages(
                    database=self.database,
                    clock=self.clock,
                    notice="",
                    timezone="Europe/London",
                    public_url=self.public_url,
                    configured=lambda: {p: [] for p in Platform},
                    office=FakeOffice(self.database),
                    factors=factors,
                )
            )
        )
        return app

    def sign_in(self, role: str) -> None:
        """From now on the calls are made in that role."""
        made = secrets.token_urlsafe(16)
        with self.database.write() as connection:
            access.insert_token(
                connection,
                token_id=secrets.token_hex(4),
                token=made,
                name="Ann",
                role=role,
                cohort_ids=(self.cohort_id,),
                now=FIRST,
                expires_at=FIRST + timedelta(days=300),
            )
        self._headers = {"Authorization": f"Bearer {made}"}

    # What happens

    def started(self, minute: float = -5, *, instance: str = "one") -> None:
        """The host opens the meeting."""
        self._moment("meeting.started", "callStarted", minute, instance)

    def ended(self, minute: float = 120, *, instance: str = "one") -> None:
        """The host ends it."""
        self._moment("meeting.ended", "callEnded", minute, instance)

    def join(self, who: str, minute: float, device: str = "laptop", **more: Any) -> None:
        """Somebody comes in on a device; `name` if another is shown, `link`: on whose link."""
        place = (who, device)
        self._connections[place] = f"C{next(self._numbers)}"
        self._seats[place] = f"S{next(self._numbers)}"
        self._move("joined", who, minute, device, **more)

    def join_again(self, who: str, minute: float, device: str = "laptop", **more: Any) -> None:
        """The same connection comes in, without having been told to leave."""
        self._move("joined", who, minute, device, **more)

    def leave(self, who: str, minute: float, device: str = "laptop", **more: Any) -> None:
        """They go."""
        self._move("left", who, minute, device, **more)

    def wait(self, who: str, minute: float, device: str = "laptop", **more: Any) -> None:
        """Somebody is in the waiting room."""
        self._connections.setdefault((who, device), f"C{next(self._numbers)}")
        self._seats.setdefault((who, device), f"S{next(self._numbers)}")
        self._move("waiting", who, minute, device, **more)

    def change_room(self, who: str, minute: float, device: str = "laptop") -> None:
        """Zoom: a breakout room is entered or left; the seat changes, the connection does not."""
        self._move("left", who, minute, device)
        self._seats[(who, device)] = f"S{next(self._numbers)}"
        self._move("joined", who, minute, device)

    def stay(self, who: str, begin: float, end: float, device: str = "laptop", **more: Any) -> None:
        """They come and go."""
        self.join(who, begin, device, **more)
        self.leave(who, end, device, **more)

    def camera(
        self,
        who: str,
        begin: int,
        end: int,
        *,
        on: bool,
        sound: bool = True,
        device: str = "laptop",
    ) -> None:
        """Zoom's quality reports of whole minutes."""
        rows = []
        for minute in range(begin, end):
            rows.append(_quality(minute, "cpu_usage", ""))
            rows += [_quality(minute, "audio_output", "27.15 kbps")] if sound else []
            rows += [_quality(minute, "video_output", "391 kbps")] if on else []
        participant = {"user_id": self._seats[(who, device)], "qos": rows}
        self._zoom("meeting.participant_qos", end, {"uuid": "one", "participant": participant})

    def open_page(self, who: str, minute: float) -> None:
        """A carer opens the own join page."""
        before, self.clock.now = self.clock.now, at(minute)
        assert self._client.get(f"/join/join-{self.carers[who].id}").status_code == 200
        self.clock.now = before

    def record(self, *rows: tuple[Any, ...], **more: Any) -> None:
        """What the platform's own record will say: (who, from, to), or on Teams (who, from, to,
        from, to) where one row tells of coming back.

        `held`: from when to when; `names`, `links`: what it shows instead; `undated`: who is named
        without times, and since when; `engagements`: cameras, on Teams.
        """
        begin, end = more.get("held", (-5, 120))
        told: list[tuple[Any, ...]] = list(rows)
        told += [(who, a, None) for who, a in more.get("undated", ())]
        if self.platform is Platform.ZOOM:
            found = zoom_record.read_instance(
                {"start_time": zulu(begin), "end_time": zulu(end), "host_id": HOST},
                [self._zoom_row(who, a, b, more) for who, a, b in told],
                series_ref=SERIES,
                uuid="one",
            )
        else:
            found = report_events(
                {
                    "id": "report",
                    "meetingStartDateTime": zulu(begin),
                    "meetingEndDateTime": zulu(end),
                },
                [self._teams_row(row[0], row[1:], more) for row in told],
                series_ref=SERIES,
            )
        self.provider.record = PlatformRecord(events=tuple(found), complete=bool(rows))

    def _zoom_row(
        self, who: str, a: float, b: float | None, more: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {
            "user_id": self._seats.get((who, "laptop"), f"S-{who}"),
            "name": more.get("names", {}).get(who, who),
            "registrant_id": more.get("links", {}).get(who, self._link(who, {}) or ""),
            "join_time": zulu(a),
            "leave_time": zulu(a if b is None else b),
            "status": "in_meeting",
        }

    def _teams_row(
        self, who: str, times: Sequence[float | None], more: Mapping[str, Any]
    ) -> dict[str, Any]:
        number, shown = next(self._numbers), more.get("names", {}).get(who, who)
        intervals = [
            {
                "joinDateTime": None if b is None else zulu(a or 0),
                "leaveDateTime": None if b is None else zulu(b),
            }
            for a, b in zip(times[::2], times[1::2], strict=True)
        ]
        return {
            "id": f"A{number}",
            "role": "Presenter",
            "identity": {"id": f"g{number}", "displayName": shown},
            "attendanceIntervals": intervals,
            "engagements": [
                {
                    "engagementType": "camera",
                    "engagementSubType": "cameraOn" if on else "cameraOff",
                    "dateTime": zulu(minute),
                }
                for minute, on in more.get("engagements", {}).get(who, ())
            ],
        }

    # What people see and say

    def deliver(self, told: Mapping[str, Any]) -> None:
        """A notification as somebody else made it: Zoom's body, or Graph's resource."""
        if self.platform is Platform.ZOOM:
            self._send(json.dumps(told, ensure_ascii=False).encode())
        else:
            self._notify({**told, "id": hashlib.sha256(repr(told).encode()).hexdigest()})

    def close(self) -> None:
        """A person closes the register of week 2 on the evening of that day."""
        self.clock.now = at(600)
        self.call("POST", "/sessions/2/close")

    def open(self, method: str, path: str, **more: Any) -> TestResponse:
        """One call of the API about this cohort; its answer as it is."""
        return self._client.open(
            f"/api/v1/cohorts/{self.cohort_id}{path}",
            method=method,
            headers={**self._headers, **more.pop("headers", {})},
            **more,
        )

    def call(self, method: str, path: str, code: int = 200, **more: Any) -> Any:
        """The same, for what a good answer says."""
        answer = self.open(method, path, **more)
        assert answer.status_code == code, answer.text
        return answer.json if (answer.mimetype or "").endswith("json") else answer.data

    def attention(self) -> list[dict[str, Any]]:
        """What needs a person."""
        answer = self._client.get("/api/v1/attention", headers=self._headers)
        found: list[dict[str, Any]] = answer.get_json()["items"]
        return found

    def staff_page(self, path: str, code: int = 200) -> str:
        """A page of staff, as text."""
        answer = self._client.get(f"/cohorts/{self.cohort_id}{path}", headers=self._headers)
        assert answer.status_code == code, answer.text
        return answer.text

    def page(self, who: str, path: str = "", **form: str) -> Any:
        """The own join page: read, or post to."""
        address = f"/join/join-{self.carers[who].id}{path}"
        return self._client.post(address, data=form) if form else self._client.get(address)

    def check_devices(self, who: str, found: Any) -> Any:
        """What the script of the own join page sends after its check."""
        return self._client.post(f"/join/join-{self.carers[who].id}/devices", json=found)

    def report(self, **narrowed: str) -> dict[str, Any]:
        """The attendance report when the session is over."""
        self.clock.now = max(self.clock.now, at(300))
        found: dict[str, Any] = self.call("GET", "/attendance", query_string=narrowed)
        return found

    def week(self, who: str) -> dict[str, Any]:
        """One carer's week 2 in it."""
        report = self.report()
        carer = next(c for c in report["carers"] if c["id"] == self.carers[who].id)
        found: dict[str, Any] = next(w for w in carer["weeks"] if w["week"] == 2)
        return found

    def session(self) -> dict[str, Any]:
        """Week 2 in it."""
        found: dict[str, Any] = self.report()["sessions"][1]
        return found

    # How it is told

    def _link(self, who: str, more: Mapping[str, Any]) -> str | None:
        of = more.get("link", who)
        names = list(self.carers)
        return f"r{names.index(of) + 1}" if of in names else None

    def _move(self, what: str, who: str, minute: float, device: str, **more: Any) -> None:
        place, shown = (who, device), more.get("name", who)
        if self.platform is Platform.ZOOM:
            participant = {
                "user_id": self._seats[place],
                "user_name": shown,
                "participant_uuid": self._connections[place],
                "id": HOST if who == HOST_NAME else "",
                "email": more.get("email", ""),
            }
            participant["registrant_id"] = self._link(who, more) or ""
            participant |= {"phone_number": more["phone"]} if "phone" in more else {}
            name, stamp = {
                "joined": ("meeting.participant_joined", "join_time"),
                "left": ("meeting.participant_left", "leave_time"),
                "waiting": ("meeting.participant_joined_waiting_room", "date_time"),
            }[what]
            participant[stamp] = zulu(minute)
            self._zoom(
                name,
                minute,
                self._about(more.get("instance", "one")) | {"participant": participant},
            )
            return
        identity = (
            {"user": {"id": HOST, "displayName": shown, "tenantId": TENANT}}
            if who == HOST_NAME
            else more.get("identity")
            or {"user": None, "guest": {"id": secrets.token_hex(4), "displayName": shown}}
        )
        seen = {
            "id": self._connections[place],
            "info": {"identity": identity},
            "isInLobby": what == "waiting",
        }
        if what == "left":
            seen["removedState"] = {"reason": "Participant has left the meeting call."}
        self._teams({"eventType": "rosterUpdated", "participants@delta": [seen]}, minute)

    def _about(self, instance: str) -> dict[str, Any]:
        return {"uuid": instance, "id": SERIES, "host_id": HOST}

    def _moment(self, zoom: str, teams: str, minute: float, instance: str) -> None:
        if self.platform is Platform.ZOOM:
            name = "start_time" if zoom.endswith("started") else "end_time"
            self._zoom(zoom, minute, self._about(instance) | {name: zulu(minute)})
        else:
            self._teams({"eventType": teams}, minute)

    def _zoom(self, event: str, minute: float, about: dict[str, Any]) -> None:
        told = {
            "event": event,
            "event_ts": int(at(minute).timestamp() * 1000),
            "payload": {"account_id": "A", "object": about},
        }
        self._send(json.dumps(told, ensure_ascii=False).encode())

    def _send(self, body: bytes) -> None:
        stamp = str(int(self.clock.now.timestamp()))
        answer = self._client.post("/webhooks/zoom", data=body, headers=sign(body, stamp=stamp))
        assert answer.status_code == 204, answer.text

    def _teams(self, resource: dict[str, Any], minute: float) -> None:
        told = {**resource, "eventDateTime": zulu(minute)}
        self._notify({**told, "id": hashlib.sha256(json.dumps(told).encode()).hexdigest()})

    def _notify(self, told: dict[str, Any]) -> None:
        _, public = _keys()
        now = int(self.clock.now.timestamp())
        item = {
            "subscriptionId": "sub-1",
            "clientState": "state-1",
            "changeType": "updated",
            "tenantId": TENANT,
            "encryptedContent": encrypt(told, public, "c1"),
        }
        body = {"value": [item], "validationTokens": [token(nbf=now - 60, exp=now + 3600)]}
        answer = self._client.post("/webhooks/teams", json=body)
        assert answer.status_code == 202, answer.text


def _quality(minute: int, kind: str, bitrate: str) -> dict[str, Any]:
    return {"date_time": zulu(minute), "type": kind, "details": {"bitrate": bitrate}}
