"""The API does what `/openapi.json` says of it, whatever it is sent: schemathesis, all its checks.

https://schemathesis.readthedocs.io
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from tests.whole_app import GIVEN, PUBLIC, WholeApp, whole_app
from web.probes import PROBES

EXAMPLES = 4  # for each operation
# Rules on calendars and on households together are no schema's: 422 names them. 412: STALE, below.
CHECKS = {
    "positive_data_acceptance": {
        "expected-statuses": ["2xx", "304", "401", "403", "404", "409", "412", "422"]
    }
}
THERE = {"cohort_id": GIVEN, "week": 1, "carer_id": "carer-1"}
# So that nothing is carried out on a platform that is not there.
STALE = {"If-Match": '"999"'}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeApp]:
    folder: Path = tmp_path_factory.mktemp("document")
    made = whole_app(folder, exports_per_hour=100_000)
    yield made
    made.service.database.close()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_operation_does_what_the_document_says(app: WholeApp, mode: GenerationMode) -> None:
    config = schemathesis.Config.from_dict({"checks": CHECKS})
    schema = schemathesis.openapi.from_wsgi(
        "/openapi.json", app.flask, base_url=PUBLIC, config=config
    )
    headers = app.bearer("admin") | STALE
    tried: dict[str, int] = {}
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        # Nothing wrong can be sent to those; and nothing is ready here, which one of them says.
        if operation.path in PROBES and (
            mode is GenerationMode.NEGATIVE or "ready" in operation.path
        ):
            continue

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def holds(case: Any) -> None:
            tried[case.operation.label] = tried.get(case.operation.label, 0) + 1
            if mode is GenerationMode.POSITIVE and case.path_parameters:
                # At made-up addresses there is nothing but 404.
                case.path_parameters |= {
                    name: value for name, value in THERE.items() if name in case.path_parameters
                }
            case.call_and_validate(headers=headers, base_url=PUBLIC)

        holds()
    assert len(tried) > 30
    assert min(tried.values()) >= 1
