"""A PostgreSQL cluster of its own on a free loopback port, where PostgreSQL is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest
from sqlalchemy import create_engine, text

from demo import free_port

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
needs_postgresql = pytest.mark.skipif(
    not BINARIES, reason="PostgreSQL is not installed; its tests are left out"
)
# Nobody's data: what a power cut would take may be written whenever it suits.
# A commit is written before it is answered all the same: a crash that a test makes loses none.
HASTY = "-c fsync=off -c full_page_writes=off -c jit=off"
ENOUGH = 2 * 1024**3  # bytes free in memory for the clusters of all workers


def _in_memory() -> str | None:
    """A folder that is kept in memory, where there is room in one."""
    folder = Path("/dev/shm")
    return str(folder) if folder.is_dir() and shutil.disk_usage(folder).free > ENOUGH else None


def _run(*command: str) -> None:
    """As an unprivileged person: PostgreSQL refuses to run as root."""
    prefix = ["su", "postgres", "-c"] if os.geteuid() == 0 else ["sh", "-c"]
    subprocess.run([*prefix, " ".join(command)], check=True, capture_output=True)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster. `url` is its address, without a database's name."""

    url: str
    folder: Path

    def create(self, name: str, *, template: str = "template1") -> str:
        """A database as a copy of another one; its address."""
        self.tell(f"CREATE DATABASE {name} TEMPLATE {template}")
        return f"{self.url}/{name}"

    def tell(self, statement: str, database: str = "postgres", **values: object) -> list[object]:
        """Have a statement carried out; the first column of what it found."""
        address = f"{self.url}/{database}".replace("postgresql:", "postgresql+psycopg:")
        admin = create_engine(address, isolation_level="AUTOCOMMIT")
        try:
            with admin.connect() as connection:
                found = connection.execute(text(statement), values)
                return [row[0] for row in found] if found.returns_rows else []
        finally:
            admin.dispose()

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Nothing is refused and nothing is answered: a machine that swaps, a disk that is away."""
        first = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(first, signal.SIGSTOP)  # so that it makes no more of them
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        everybody = [first, *map(int, children)]
        try:
            for process in everybody:
                os.kill(process, signal.SIGSTOP)
            yield
        finally:
            for process in everybody:
                os.kill(process, signal.SIGCONT)

    def restart(self) -> None:
        """As after a crash: every session is cut off in the middle."""
        where = f"-D {self.folder}/data -l {self.folder}/log"
        _run(f"{BINARIES[-1]}/pg_ctl {where} -m immediate -w restart")


@contextmanager
def cluster(*, fsync: bool = False) -> Iterator[Cluster]:
    """Run it in a folder of its own; `fsync`: as safe from a power cut as in earnest, and as slow.

    Not in pytest's folder: pytest closes that to other users, also while another run is using it.
    """
    folder = Path(mkdtemp(prefix="circle-postgresql-", dir=None if fsync else _in_memory()))
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
    binaries = BINARIES[-1]
    _run(f"{binaries}/initdb -D {folder}/data -A trust -U circle {'' if fsync else '--no-sync'}")
    for attempt in range(3):  # somebody else may take a free port first
        port = free_port()
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections=300 " + (
            "" if fsync else HASTY
        )
        try:
            _run(f"{binaries}/pg_ctl -D {folder}/data -o '{options}' -l {folder}/log -w start")
            break
        except subprocess.CalledProcessError:
            if attempt == 2:
                raise
    try:
        yield Cluster(f"postgresql://circle@127.0.0.1:{port}", folder)
    finally:
        _run(f"{binaries}/pg_ctl -D {folder}/data -m immediate stop")
        shutil.rmtree(folder, ignore_errors=True)
