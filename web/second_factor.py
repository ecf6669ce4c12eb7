"""The second factor of staff who sign in by link or token: offered, set up, asked for, removed.

Whoever signs in with Microsoft is asked there, and programs with a bearer token are not asked. What
is offered is kept by the page that shows it, signed and for one person: nobody else sees the secret
that they will use, and a page that is left open for long is worth nothing.

Tries are counted for each link, token or session by itself, from whatever address they come. Who
guesses has stolen one of them, and keeps nobody out: the person gets in with a new link.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from itsdangerous import BadData, URLSafeSerializer

from course.store import access, second_factor
from course.store.database import Database
from course.store.second_factor import Factor
from web.limits import RateLimit
from web.one_time_code import Picture, app_address, in_fours, matching_step, new_secret, picture

OFFERED_FOR = timedelta(minutes=15)
TRIES, WITHIN = 20, timedelta(hours=1)  # of 16,000 who use them up one gets in; a link is dead then
WRONG = "This code is not right, or it was used already. Wait for the next one and type that."


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An app to be set up: what the page shows, and what it sends back."""

    secret: str = field(repr=False)
    signed: str = field(repr=False)
    address: str = field(repr=False)
    picture: Picture = field(repr=False)

    @property
    def typed(self) -> str:
        """The secret for whoever cannot scan."""
        return in_fours(self.secret)


class SecondFactors:
    """Everything about them but the pages. `secret` signs what pages keep."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Callable[[], datetime],
        secret: str,
        required: bool = False,
        issuer: str = "Circle",
    ) -> None:
        self.required = required
        self._database, self._clock, self._issuer = database, clock, issuer
        self._signer = URLSafeSerializer(secret, salt="second-factor-offer")
        self._tries = RateLimit(TRIES, WITHIN, told="codes", clock=clock)

    def of(self, name: str) -> Factor | None:
        """The person's app, if they have one."""
        with self._database.read() as connection:
            return second_factor.find_factor(connection, name)

    def offer(self, name: str, *, instead: bool = False) -> Offer:
        """A fresh one. `instead`: the person has just proved that they hold the one they have."""
        secret = new_secret()
        until = (self._clock() + OFFERED_FOR).isoformat()
        replaced = self._replaced(name, instead)
        kept = {"secret": secret, "of": name, "instead": replaced, "until": until}
        return self._offer(name, secret, str(self._signer.dumps(kept)))

    def offered(self, name: str, signed: str, *, instead: bool = False) -> Offer | None:
        """What a page sent back; None when it is too old, or was offered to somebody else."""
        try:
            kept = self._signer.loads(signed[:1000])
        except BadData:
            return None
        if kept["of"] != name or kept["instead"] != self._replaced(name, instead):
            return None  # somebody else's, or to replace another app than the one there is
        if datetime.fromisoformat(kept["until"]) <= self._clock():
            return None
        return self._offer(name, kept["secret"], signed)

    def _replaced(self, name: str, instead: bool) -> str:
        """Which app is replaced: whoever has proved that they hold it holds no later one."""
        factor = self.of(name) if instead else None
        return factor.added_at.isoformat() if factor else ""

    def _offer(self, name: str, secret: str, signed: str) -> Offer:
        address = app_address(secret, name=name, issuer=self._issuer)
        return Offer(secret=secret, signed=signed, address=address, picture=picture(address))

    def set_up(
        self, name: str, offer: Offer, code: str, *, actor: str, instead: bool = False
    ) -> bool:
        """Keep what was offered, once the app has shown a code; that code is used up. False when it
        is wrong, or somebody set one up meanwhile.
        """
        now = self._clock()
        step = matching_step(offer.secret, code, now=now)
        if step is None:
            return False
        with self._database.write() as connection:
            if instead:
                second_factor.remove_factor(connection, name)
            if not second_factor.add_factor(connection, name, offer.secret, step=step, now=now):
                return False
            access.add_audit(
                connection,
                actor=actor,
                action="factor.replace" if instead else "factor.add",
                subject=name,
                now=now,
            )
        return True

    def accepts(self, name: str, code: str, *, tried_with: str, actor: str) -> bool:
        """Whether it is a code of that person's app; from now on it is used up.

        `tried_with`: the link, token or session of whoever tries. Raises `Problem` when there were
        too many tries with it.
        """
        self._tries.take(tried_with)
        now = self._clock()
        with self._database.write() as connection:
            factor = second_factor.find_factor(connection, name)
            step = matching_step(factor.secret, code, now=now) if factor else None
            used = step is not None and second_factor.use_code(connection, name, step=step, now=now)
            if not used:
                access.add_audit(
                    connection, actor=actor, action="factor.refused", subject=name, now=now
                )
        return used

    def remove(self, name: str, *, actor: str) -> None:
        """Forget the app; the caller has had a code of it."""
        with self._database.write() as connection:
            if second_factor.remove_factor(connection, name):
                access.add_audit(
                    connection, actor=actor, action="factor.remove", subject=name, now=self._clock()
                )
