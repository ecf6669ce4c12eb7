"""A PostgreSQL cluster of its own on a free loopback port, where PostgreSQL is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest

from demo import free_port

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
needs_postgresql = pytest.mark.skipif(
    not BINARIES, reason="PostgreSQL is not installed; its tests are left out"
)


def _run(*command: str) -> None:
    """As an unprivileged person: PostgreSQL refuses to run as root."""
    prefix = ["su", "postgres", "-c"] if os.geteuid() == 0 else ["sh", "-c"]
    subprocess.run([*prefix, " ".join(command)], check=True, capture_output=True)


@contextmanager
def cluster() -> Iterator[str]:
    """Run it in a folder of its own; its address, without a database's name.

    Not in pytest's folder: pytest closes that to other users, also while another run is using it.
    """
    folder = Path(mkdtemp(prefix="circle-postgresql-"))
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
    binaries = BINARIES[-1]
    _run(f"{binaries}/initdb -D {folder}/data -A trust -U circle")
    for attempt in range(3):  # somebody else may take a free port first
        port = free_port()
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        try:
            _run(f"{binaries}/pg_ctl -D {folder}/data -o '{options}' -l {folder}/log -w start")
            break
        except subprocess.CalledProcessError:
            if attempt == 2:
                raise
    try:
        yield f"postgresql://circle@127.0.0.1:{port}"
    finally:
        _run(f"{binaries}/pg_ctl -D {folder}/data -m immediate stop")
        shutil.rmtree(folder, ignore_errors=True)
