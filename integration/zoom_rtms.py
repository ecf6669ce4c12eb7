"""One connection to Zoom's realtime media streams, by Zoom's own SDK (the extra `rtms`).

Only the switching of cameras is subscribed to: no sound, picture or text is asked for. The SDK
has a thread of its own, from which the callbacks come; it writes its own log into `./logs`.
https://github.com/zoom/rtms
"""

from __future__ import annotations

from collections.abc import Callable

import rtms

from integration.media_streams import Stream


class RtmsConnection:
    """A joined stream. `on_camera` gets the seats and whether their cameras are on."""

    def __init__(
        self,
        stream: Stream,
        *,
        client_id: str,
        client_secret: str,
        on_camera: Callable[[list[int], bool], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._client = rtms.Client()
        self._client.on_participant_video(on_camera)
        self._client.on_media_connection_interrupted(lambda _at: on_lost())
        self._client.on_leave(lambda _reason: on_lost())
        self._client.on_join_confirm(lambda _code: self._subscribe())
        self._client.join(
            meeting_uuid=stream.instance_ref,
            rtms_stream_id=stream.ref,
            server_urls=stream.server_urls,
            client=client_id,
            secret=client_secret,
        )

    def _subscribe(self) -> None:
        self._client.subscribe_event(
            [rtms.EVENT_PARTICIPANT_VIDEO_ON, rtms.EVENT_PARTICIPANT_VIDEO_OFF]
        )

    def close(self) -> None:
        """Leave the stream."""
        self._client.leave()
