"""The practice's own settings reach the parents' privacy notice, in the real application."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole_app import PUBLIC, WholeApp, whole_app


@pytest.fixture
def app(tmp_path: Path) -> Iterator[WholeApp]:
    made = whole_app(
        tmp_path,
        practice_name="Ash Practice",
        privacy_contact="privacy@practice.example",
        privacy_basis="You have agreed to it.",
        keep_notification_days=13,
        keep_media_days=60,
        keep_records_days=400,
        keep_join_days=9,
    )
    yield made
    made.service.database.close()


def test_the_notice_names_the_practice_whom_to_ask_the_basis_and_how_long(app: WholeApp) -> None:
    page = app.flask.test_client().get("/join/join-token-1/privacy", base_url=PUBLIC).text
    for words in (
        "So Ash Practice has to know",
        'href="mailto:privacy@practice.example"',
        "You have agreed to it.",
        "13 days.</li>",
        "60 days after the last session",
        "and corrections: 400 days",
        "until 9 days after the course",
    ):
        assert words in page, words
    assert "Article 6" not in page
