"""Logs hold ids and counts; what is personal or secret never gets that far."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

import logs


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()


CANARIES = [
    "maya.patel@example.com",
    "Bearer abc.def.ghi",
    "Basic Zm9vOmJhcg==",
    "/join/7oa3nzWTaDcUtGfaQ0PTSuLZkkMy0it7",
    "https://zoom.us/w/81000000001?tk=wQHOM3Fw6D1R",
    "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln",
    "+44 7700 900123",
]


@pytest.mark.parametrize("canary", CANARIES)
def test_secrets_and_addresses_are_cut_out_wherever_they_stand(
    canary: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("INFO")
    log = structlog.get_logger("test")
    log.info("note", plain=f"before {canary} after", deep={"list": [canary]}, cohort="c-1")
    told = capsys.readouterr().err
    assert canary not in told
    assert "[removed]" in told
    assert "c-1" in told


def test_an_exception_is_its_kind_and_places_never_its_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("INFO")
    log = structlog.get_logger("test")
    try:
        raise ValueError("Maya Patel did not come")
    except ValueError:
        log.exception("it_failed")
    told = capsys.readouterr().err
    assert "Maya" not in told
    assert "ValueError" in told
    assert "test_logs.py" in told


def test_a_line_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO")
    structlog.get_logger("test").info("note", text="a\r\nfake line\x1b[31m")
    assert capsys.readouterr().err.count("\n") == 1


def test_a_log_that_cannot_be_written_stops_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    logs.configure("INFO")
    monkeypatch.setattr("sys.stderr", Full())
    structlog.get_logger("test").info("note")
    logging.getLogger("library").warning("note")
