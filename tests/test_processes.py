"""Several processes on one PostgreSQL: nothing lost, nothing twice, whoever dies or sleeps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from course.store.processes import SURE_FOR
from tests.postgresql import Cluster
from tests.provider import OLDER, Process, Provider, is_stopped, provider
from tests.webhook_stream import Stream

pytestmark = [pytest.mark.slow, pytest.mark.together]
NEW_SERIES = {"method": "POST", "path": r"/(meetings|events)$"}


@pytest.fixture(scope="module")
def server(postgresql_server: Cluster) -> Cluster:
    return postgresql_server


def eventually(true: Callable[[], object]) -> None:
    rest = threading.Event()
    for _ in range(1_200):
        if true():
            return
        rest.wait(0.05)
    raise AssertionError("it never came true")


def once_each(office: Provider, *names: str) -> None:
    series = office.series()
    assert {name: series[name] for name in names} == dict.fromkeys(names, 1)


@pytest.fixture(scope="module")
def standing(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A web process and no worker."""
    with provider(tmp_path_factory.mktemp("provider"), server) as made:
        made.web()
        yield made


@pytest.fixture
def office(standing: Provider) -> Iterator[Provider]:
    yield standing
    standing.fresh()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """For requests that wait until the work is done."""
    with ThreadPoolExecutor() as made:
        yield made


def test_a_web_process_leaves_the_work_to_workers_and_one_two_or_four_do_it_once(
    office: Provider, pool: ThreadPoolExecutor
) -> None:
    asked = pool.submit(office.open, "patient")
    eventually(lambda: "patient" in office.listed())
    assert requests.get(f"{office.webs[0]}/readyz", timeout=20).ok
    # Beyond what each process asks at its start: a token, and what it is a token for.
    assert not [call for call in office.calls() if "/zoom/v2/" in call or "/graph/" in call]
    names: set[str] = set()
    for workers, more in ((1, 1), (2, 1), (4, 2)):
        starting = [office.worker(ready=False) for _ in range(more)]
        names |= {process.says("Circle works as") for process in starting}
        assert len(names) == workers
        office.ready(*office.open_many(f"by-{workers}", 8))
        once_each(office, *(f"by-{workers}-{number}" for number in range(8)))
    office.ready(asked.result())
    once_each(office, "patient")
    office.workers[0].signal(signal.SIGTERM)
    assert office.workers[0].ends(within=10) == 0


def test_the_work_of_a_killed_worker_is_carried_on_by_another(
    office: Provider, pool: ThreadPoolExecutor
) -> None:
    first = office.worker("--id", "first")
    office.trouble(platform="zoom", do="kill_after", pid=first.pid, **NEW_SERIES)
    asked = pool.submit(office.open, "orphan")
    assert first.ends() == -signal.SIGKILL
    office.worker("--id", "second").says("work_adopted")
    office.ready(asked.result())
    once_each(office, "orphan")


def test_only_when_told_to_where_nobody_adopts_by_themselves(
    office: Provider, pool: ThreadPoolExecutor
) -> None:
    first = office.worker("--id", "first")
    office.trouble(platform="graph", do="kill_after", pid=first.pid, **NEW_SERIES)
    asked = pool.submit(office.open, "foundling", "teams")
    assert first.ends() == -signal.SIGKILL
    second = office.worker("--id", "second", "--adopt", "first", ADOPT_AFTER_SECONDS="0")
    assert "Adopted 1 workflow of first" in second.said()
    office.ready(asked.result())
    once_each(office, "foundling")


def standing_still(office: Provider, name: str, pool: ThreadPoolExecutor) -> Process:
    """A worker that is stopped when it has found no series, about to make one."""
    worker = office.worker("--id", "first")
    # Only whoever may have made one before looks for it.
    office.trouble(platform="zoom", do="refuse", **NEW_SERIES)
    office.trouble(
        platform="zoom",
        do="stop_after",
        method="GET",
        path=r"/users/[^/]+/meetings$",
        pid=worker.pid,
    )
    pool.submit(office.open, name)
    eventually(lambda: is_stopped(worker.pid))
    return worker


def test_a_worker_that_stands_still_keeps_its_work_until_it_goes_on(
    office: Provider, pool: ThreadPoolExecutor
) -> None:
    first = standing_still(office, "asleep", pool)
    second = office.worker("--id", "second", "--adopt", "first", ready=False)
    twin = office.worker("--id", "first", ready=False)
    assert second.ends() == 1
    assert "first is running; its work is its own" in second.said()
    assert twin.ends() == 1
    assert "A live process is called first already" in twin.said()
    first.signal(signal.SIGCONT)
    office.ready(office.open("asleep"))
    once_each(office, "asleep")


def test_a_worker_that_comes_back_after_its_work_was_adopted_makes_no_twin(
    server: Cluster, office: Provider, pool: ThreadPoolExecutor
) -> None:
    first = standing_still(office, "away", pool)
    # As PostgreSQL does by itself, later than this, when a machine has vanished. The web process
    # finds its way back.
    threading.Event().wait(SURE_FOR)
    server.tell(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :of",
        of=office.database,
    )
    office.worker("--id", "second").says("work_adopted")
    office.ready(office.open("away"))
    first.signal(signal.SIGCONT)
    first.says("name_taken_again")
    office.ready(office.open("later"))
    once_each(office, "away", "later")


def test_what_two_web_processes_answered_is_kept_once_when_postgresql_crashes_meanwhile(
    server: Cluster, office: Provider
) -> None:
    stream = Stream([*office.webs, office.web()])
    stream.start(4)
    stream.reaches(150)
    server.restart()
    stream.reaches(len(stream.taken) + 150)
    stream.stop()
    assert stream.codes <= {204, 503}
    kept = server.tell("SELECT connection_ref FROM participant_event", office.database)
    assert sorted(str(ref) for ref in kept) == sorted(stream.taken)


def test_while_postgresql_stands_still_everybody_is_told_so_and_the_process_can_end(
    server: Cluster, tmp_path: Path
) -> None:
    item = {"value": [{"subscriptionId": "s", "clientState": "c", "lifecycleEvent": "missed"}]}
    with provider(tmp_path, server) as office:
        url = office.web()
        telling = Stream([url])
        telling.start(1)
        telling.reaches(1)
        telling.stop()
        # Whoever asks gives up before it goes on: an answer that waits for that is none.
        with server.standing_still(), ThreadPoolExecutor() as pool:
            hooks = [
                pool.submit(requests.post, f"{url}/webhooks/{path}", json=item, timeout=6)
                for path in ("teams", "teams/lifecycle", "teams", "teams/lifecycle")
            ]
            told = [
                pool.submit(requests.get, f"{url}/{path}", timeout=6)
                for path in ("readyz", "metrics")
            ]
            assert [hook.result().status_code for hook in hooks] == [503] * 4
            ready, metrics = (answer.result() for answer in told)
            assert ready.status_code == 503
            assert "The database does not answer" in ready.text
            assert "circle_database_up 0.0" in metrics.text
            office.web_processes[0].signal(signal.SIGTERM)
            assert office.web_processes[0].ends(within=10) == 0


def test_an_old_and_a_new_release_side_by_side_leave_nothing_behind(
    server: Cluster, tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    with provider(tmp_path, server) as office:
        office.web(code=OLDER)
        old = office.worker("--id", "old", code=OLDER)
        # One cohort waits until tomorrow, the other hangs in the middle of a call.
        office.trouble(
            platform="graph",
            do="answer",
            status=429,
            headers={"Retry-After": "80000"},
            **NEW_SERIES,
        )
        office.trouble(platform="zoom", do="hang", seconds=25, **NEW_SERIES)
        for name, platform in (("waits", "teams"), ("hangs", "zoom")):
            pool.submit(office.open, name, platform)
        eventually(lambda: office.asked("POST /graph/") and office.asked("POST /zoom/v2"))
        new = office.worker("--id", "new")
        office.web()
        office.ready(office.open("fresh", web=1))
        assert "work_moved" not in new.said()  # the old one is at it
        old.signal(signal.SIGTERM)
        assert old.ends(within=10) == 0
        new.says("work_moved")
        office.ready(
            *(
                office.open(name, platform, web=1)
                for name, platform in (
                    ("waits", "teams"),
                    ("hangs", "zoom"),
                )
            )
        )
        once_each(office, "fresh", "waits", "hangs")
