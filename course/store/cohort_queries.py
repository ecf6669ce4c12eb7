"""What a cohort is read with, built once: nearly every request and every step of work reads one.

Each takes the parameter `cohort_id`; `ORGANISERS_ELSEWHERE` and `SERIES` also `platform`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BindParameter, and_, bindparam, select, union

from course.store import tables

_carer, _cohort, _invitation = tables.carer, tables.cohort, tables.invitation
_former, _names, _series = tables.former_invitation, tables.former_name, tables.series
_asked: BindParameter[Any] = bindparam("cohort_id")
_platform: BindParameter[Any] = bindparam("platform")

COHORT = select(_cohort).where(_cohort.c.id == _asked)
SESSIONS = (
    select(tables.session)
    .where(tables.session.c.cohort_id == _asked)
    .order_by(tables.session.c.week)
)
FACILITATORS = (
    select(tables.facilitator)
    .where(tables.facilitator.c.cohort_id == _asked)
    .order_by(tables.facilitator.c.position)
)
SERIES = select(_series).where(_series.c.cohort_id == _asked, _series.c.platform == _platform)
ORGANISERS_ELSEWHERE = (
    select(_series.c.organiser)
    .where(
        _series.c.cohort_id == _asked,
        _series.c.platform != _platform,
        _series.c.organiser.is_not(None),
    )
    .order_by(_series.c.platform)
)
ENROLMENTS = (
    select(
        _carer,
        _invitation.c.invitation_ref,
        _invitation.c.join_url,
        _invitation.c.problem,
        _invitation.c.carer_id.label("invited"),
    )
    .join(_cohort, _cohort.c.id == _carer.c.cohort_id)
    .outerjoin(
        _invitation,
        and_(
            _invitation.c.carer_id == _carer.c.id,
            _invitation.c.platform == _cohort.c.platform,
        ),
    )
    .where(_carer.c.cohort_id == _asked, _carer.c.erased_at.is_(None))
    .order_by(_carer.c.household, _carer.c.position)
)
# Those that are gone, and those on a platform where the cohort met before.
FORMER_INVITATIONS = union(
    select(_former.c.carer_id, _former.c.invitation_ref)
    .join(_carer, _carer.c.id == _former.c.carer_id)
    .where(_carer.c.cohort_id == _asked),
    select(_invitation.c.carer_id, _invitation.c.invitation_ref)
    .join(_carer, _carer.c.id == _invitation.c.carer_id)
    .join(_cohort, _cohort.c.id == _carer.c.cohort_id)
    .where(
        _carer.c.cohort_id == _asked,
        _invitation.c.platform != _cohort.c.platform,
        _invitation.c.invitation_ref.is_not(None),
    ),
)
FORMER_NAMES = (
    select(_names.c.carer_id, _names.c.name, _names.c.email, _names.c.phone)
    .join(_carer, _carer.c.id == _names.c.carer_id)
    .where(_carer.c.cohort_id == _asked)
    .order_by(_names.c.id)
)
