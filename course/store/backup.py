"""A backup in one file, and back: our tables in an SQLite database, with a manifest, zipped.

It is the same for SQLite and PostgreSQL, made while the service runs, and restores onto either.
Nothing sealed is opened, and the keys are not in it. After a restore the installation knows that it
was restored: what was done after the backup may stand on the platforms and not here.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, func, select, text

from course.store import access, tables
from course.store.cipher import Cipher, UnreadableField
from course.store.copying import Contents, NotCopied, copy_everything, is_empty
from course.store.database import Database

FORMAT = 1
HELD, MANIFEST = "circle.sqlite", "manifest.json"
RESTORED = "installation.restore"
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What a backup file says of itself."""

    made_at: datetime
    version: str
    rows: int


def make_backup(
    source: Database, cipher: Cipher, path: Path, *, now: datetime
) -> dict[str, Contents]:
    """Write a backup; what each table holds. `path` is there afterwards whole or not at all."""
    with TemporaryDirectory(dir=path.parent, prefix=".circle-backup-") as folder:
        copy, packed = Path(folder) / HELD, Path(folder) / "packed"
        with closing(Database(f"sqlite:///{copy}", cipher)) as target:
            target.migrate()
            found = copy_everything(source, target, told=lambda *_: None)
            version = target.version()
        manifest = {
            "format": FORMAT,
            "made_at": now.isoformat(),
            "version": version,
            "sha256": _hash_of(copy),
            "tables": {
                name: {"rows": held.rows, "sha256": held.sha256} for name, held in found.items()
            },
        }
        with zipfile.ZipFile(packed, "x", zipfile.ZIP_DEFLATED) as file:
            file.writestr(MANIFEST, json.dumps(manifest, indent=2))
            file.write(copy, HELD)
        packed.chmod(0o600)
        packed.replace(path)
    return found


def restore_backup(
    path: Path,
    target: Database,
    cipher: Cipher,
    *,
    replace: bool,
    now: datetime,
    actor: str,
    told: Callable[[str, int], None],
) -> Backup:
    """Put a backup into the database. Raises `NotCopied`; then the database is as it was."""
    with TemporaryDirectory(prefix="circle-restore-") as folder:
        manifest = _unpack(path, Path(folder))
        with closing(Database(f"sqlite:///{Path(folder) / HELD}", cipher)) as source:
            source.migrate()
            with source.read() as connection:
                _refuse_other_keys(connection)
            with target.read() as connection:
                if not replace and not is_empty(connection):
                    raise NotCopied(
                        "This installation holds something already. To give it up for the backup, "
                        "say --replace."
                    )
            made_at = datetime.fromisoformat(manifest["made_at"])
            finish = partial(_note, made_at=made_at, now=now, actor=actor)
            found = copy_everything(source, target, told=told, replace=True, finish=finish)
    return Backup(
        made_at=made_at,
        version=manifest["version"],
        rows=sum(held.rows for held in found.values()),
    )


def _note(connection: Connection, *, made_at: datetime, now: datetime, actor: str) -> None:
    """That it was restored; and the engine's own records of what came after the backup go.

    It would take for done what it has done since.
    """
    access.add_audit(
        connection,
        actor=actor,
        action=RESTORED,
        subject=f"backup of {made_at.isoformat()}",
        now=now,
    )
    if connection.dialect.name == "postgresql":
        connection.execute(text("DROP SCHEMA IF EXISTS dbos CASCADE"))


def restored_at(connection: Connection) -> datetime | None:
    """When this installation was last restored from a backup; None: never."""
    table = tables.audit
    return connection.execute(
        select(func.max(table.c.at)).where(table.c.action == RESTORED)
    ).scalar()


def _unpack(path: Path, folder: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as file:
            manifest: dict[str, Any] = json.loads(file.read(MANIFEST))
            file.extract(HELD, folder)
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as e:
        raise NotCopied(f"{path.name} is not a whole backup of Circle. Take another one.") from e
    if manifest.get("format") != FORMAT:
        raise NotCopied(f"{path.name} was made by a newer release. Install that, then try again.")
    if _hash_of(folder / HELD) != manifest.get("sha256"):
        raise NotCopied(f"{path.name} is not as it was made: its hash differs. Take another one.")
    return manifest


def _refuse_other_keys(connection: Connection) -> None:
    try:
        connection.execute(select(tables.audit_head)).all()
    except UnreadableField as e:
        raise NotCopied(
            "The backup is sealed with keys that are not here. Put the ENCRYPTION_KEYS, or the "
            "encryption.key of the old DATA_DIR, in place first; they are never in a backup."
        ) from e


def _hash_of(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            hashed.update(block)
    return hashed.hexdigest()
