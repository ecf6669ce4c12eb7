"""The steps that let carers in and out: invite, share the link, withdraw.

To the platform an e-mail address is one person: two carers with one address share an invitation,
and it is taken back only when neither takes part any more.
"""

from __future__ import annotations

from course.model import Carer
from course.store import cohorts
from course.store import series as series_store
from integration.durable import Superseded
from integration.holdings import Holding, Holdings, invitee


class Enrolment:
    """Brings the platform's list of people in line with ours."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self._database = holdings.database

    def to_tell(self, cohort_id: str, version: int) -> tuple[list[str], list[str]]:
        """Ids of the carers to invite, and of those to withdraw."""
        return self.to_invite(cohort_id, version), self.to_withdraw(cohort_id, version)

    def to_invite(self, cohort_id: str, version: int) -> list[str]:
        """Ids of the carers who need a call of their own: one for each address."""
        held = self._holdings.read(cohort_id, version)
        first = [carers[0] for carers in held.by_address.values()]
        if not held.provider.invites_with_series:
            return [carer.id for carer in first if carer.invitation_ref is None]
        with self._database.read() as connection:
            return [
                carer.id
                for carer in first
                if not series_store.read_invitation(connection, carer.id, held.stored.platform)
            ]

    def invite(self, cohort_id: str, version: int, carer_id: str) -> None:
        """Invite one carer and keep the link."""
        held = self._holdings.read(cohort_id, version)
        carer = _taking_part(held, carer_id)
        if carer.invitation_ref is not None:
            return
        personal = not held.provider.invites_with_series
        with self._database.write() as connection:
            tried = series_store.read_invitation(connection, carer_id, held.cohort.platform)
            if personal:  # noted before the call: whether it happened may never be known
                series_store.save_invitation(
                    connection, carer_id, held.cohort.platform, ref=None, join_url=None
                )
        # Who comes back may still be on the platform's list, from before.
        left = any(
            c.withdrawn_at is not None and c.email.casefold() == carer.email.casefold()
            for c in held.cohort.carers
        )
        tried = tried or held.restored or left
        invitation = held.provider.invite(held.series, invitee(carer), tried=tried)
        with self._database.write() as connection:
            erased = cohorts.read_carer_cohort(connection, carer_id) is None
            if not erased:
                series_store.save_invitation(
                    connection,
                    carer_id,
                    held.cohort.platform,
                    ref=invitation.ref,
                    join_url=invitation.join_url,
                )
        if erased:  # while the platform was asked
            held.provider.withdraw(held.series, invitee(carer), invitation.ref)
            raise Superseded

    def note_refusal(self, cohort_id: str, version: int, carer_id: str, problem: str) -> None:
        """Keep why a carer could not be invited; the others go on."""
        held = self._holdings.read(cohort_id, version)
        _taking_part(held, carer_id)
        with self._database.write() as connection:
            series_store.save_invitation(
                connection,
                carer_id,
                held.cohort.platform,
                ref=None,
                join_url=None,
                problem=problem,
            )

    def share(self, cohort_id: str, version: int) -> None:
        """Give the shared link to whoever has no link of their own.

        The second of two carers with one address gets the first one's link; the register then
        never counts the link alone for the second.
        """
        held = self._holdings.read(cohort_id, version)
        with self._database.write() as connection:
            links = {e.carer.id: e for e in cohorts.read_enrolments(connection, cohort_id)}
            for carers in held.by_address.values():
                first = links[carers[0].id]
                if held.provider.invites_with_series:
                    ref, join_url, takers = None, held.stored.join_url, carers
                else:
                    ref, join_url = first.carer.invitation_ref, first.platform_join_url
                    takers = carers[1:]
                for carer in takers:
                    series_store.save_invitation(
                        connection,
                        carer.id,
                        held.cohort.platform,
                        ref=ref,
                        join_url=None if first.problem else join_url,
                        problem=first.problem,
                    )

    def to_withdraw(self, cohort_id: str, version: int) -> list[str]:
        """Ids of the carers who take part no more and may still have a way in."""
        held = self._holdings.read(cohort_id, version)
        with self._database.read() as connection:
            return [
                carer.id
                for carer in held.cohort.carers
                if carer.withdrawn_at is not None
                and series_store.read_invitation(connection, carer.id, held.stored.platform)
            ]

    def withdraw(self, cohort_id: str, version: int, carer_id: str) -> None:
        """Take one carer's invitation back, unless another carer comes in with it."""
        held = self._holdings.read(cohort_id, version)
        carer = _taking_part(held, carer_id)
        if not self._shared(held, carer):
            held.provider.withdraw(held.series, invitee(carer), carer.invitation_ref)
        with self._database.write() as connection:
            series_store.forget_invitations(connection, [carer_id], held.cohort.platform)

    @staticmethod
    def _shared(held: Holding, carer: Carer) -> bool:
        return carer.email.casefold() in held.by_address


def _taking_part(held: Holding, carer_id: str) -> Carer:
    """The carer. Raises `Superseded` when they were erased meanwhile: newer work is on its way."""
    carer = next((c for c in held.cohort.carers if c.id == carer_id), None)
    if carer is None:
        raise Superseded
    return carer
