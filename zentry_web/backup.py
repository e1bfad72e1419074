"""``zentry backup`` and ``zentry restore``: one folder holds all that Zentry keeps but the machines' disks.

A backup is taken while everything runs: each database is one consistent snapshot (SQLite's online backup, pg_dump). It
appears under its name only when it is whole. A restore takes place in an empty place, or not at all.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import structlog
from sqlalchemy import inspect
from sqlalchemy.engine import make_url

from zentry_web.adapters.database import make_engine
from zentry_web.config import Config
from zentry_web.migrate import migrate

log = structlog.get_logger(__name__)

PREFIX, DONE, PARTIAL = "zentry-", "backup.json", ".partial"
EVERY = timedelta(days=1)
KEPT_FILES = ("secret-key", "namespace")  # small files of the data folder without which the rest is worth little
OWN_DATABASES = ("simulator.sqlite", "test-payments.sqlite")  # of the simulated twins, where they are used
_DUMP_SECONDS = 3600
_BLOCK = 1024 * 1024


class BackupError(Exception):
    """A backup or restore that cannot be; ``str(error)`` says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore brought back."""

    made_at: datetime
    images: tuple[str, ...]
    secret_key_is_elsewhere: bool


def backup(config: Config, folder: Path, now: datetime) -> Path:
    """Write a new backup into ``folder``, readable by this account only; returns its own folder ``zentry-…``.

    Raises BackupError; then nothing of the name is there.
    """
    target = folder / f"{PREFIX}{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    if target.exists():
        raise BackupError(f"{target} is there already.")
    draft = target.with_name(f"{target.name}{PARTIAL}")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        for name, url in _databases(config).items():
            _copy_out(url, draft, name)
        for name in KEPT_FILES:
            if (config.data / name).is_file():
                shutil.copyfile(config.data / name, draft / name)
        _write_contents(config, draft, now)
        for path in draft.iterdir():
            path.chmod(0o600)
            _sync(path)
        draft.rename(target)
        _sync(folder)
    except (OSError, sqlite3.Error) as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise BackupError(f"The backup could not be written: {error}") from error
    except BackupError:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return target


def list_backups(folder: Path) -> list[Path]:
    """The whole backups in ``folder``, oldest first."""
    found = folder.glob(f"{PREFIX}*/{DONE}") if folder.is_dir() else ()
    return sorted(path.parent for path in found if path.parent.suffix != PARTIAL)


def backup_daily(config: Config, folder: Path, now: datetime, *, keep: int) -> Path | None:
    """A new backup when the newest is a day old, and none but the newest ``keep`` left. Raises BackupError."""
    there = list_backups(folder)
    if there and now - read_contents(there[-1])[0] < EVERY:
        return None
    made = backup(config, folder, now)
    log.info("backup_made", folder=str(made))
    for old in list_backups(folder)[:-keep]:
        shutil.rmtree(old)
    for draft in folder.glob(f"{PREFIX}*{PARTIAL}"):
        shutil.rmtree(draft, ignore_errors=True)  # of a worker that was killed
    return made


def read_contents(source: Path) -> tuple[datetime, dict[str, object]]:
    """When a backup was made, and what it says of itself. Raises BackupError when it is none."""
    try:
        contents = json.loads((source / DONE).read_text())
        return datetime.fromisoformat(contents["made_at"]), contents
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{source} is no backup of Zentry's: {DONE} cannot be read ({error}).") from error


def restore(config: Config, source: Path) -> Restored:
    """Put a backup in place and bring its databases up to date.

    Raises BackupError when the place is not empty, or the backup is not whole; then nothing has changed.
    """
    made_at, contents = read_contents(source)
    digests = contents.get("sha256")
    if not isinstance(digests, dict):
        raise BackupError(f"{source} does not say what belongs to it.")
    for name, expected in digests.items():
        if not (source / name).is_file() or _digest(source / name) != expected:
            raise BackupError(f"{source / name} is missing or is not what was backed up.")
    databases = _databases(config, names=set(digests))
    _require_same_kind(databases, set(digests))
    _require_empty(config, databases)
    config.data.mkdir(parents=True, exist_ok=True, mode=0o711)
    for name in KEPT_FILES:
        if name in digests:
            shutil.copyfile(source / name, config.data / name)
            (config.data / name).chmod(0o600)
    for name, url in databases.items():
        _copy_in(url, source, name)
    migrate(config)
    images = contents.get("images")
    return Restored(
        made_at,
        tuple(str(each) for each in images) if isinstance(images, list) else (),
        secret_key_is_elsewhere="secret-key" not in digests and not config.secret_key,
    )


# -- what belongs to it -----------------------------------------------------------------------


def _databases(config: Config, *, names: set[str] | None = None) -> dict[str, str]:
    """SQLAlchemy URLs by the name of their files in a backup. On PostgreSQL the metrics may lie beside the rest."""
    found = {"business": config.business_url}
    if make_url(config.metrics_database_url) != make_url(config.business_url):
        found["metrics"] = config.metrics_database_url
    for name in OWN_DATABASES:
        there = (config.data / name).is_file() if names is None else name in names
        if there:
            found[Path(name).stem] = f"sqlite:///{config.data / name}"
    return found


def _is_sqlite(url: str) -> bool:
    return make_url(url).get_backend_name() == "sqlite"


def _file(url: str, name: str) -> str:
    return f"{name}.sqlite" if _is_sqlite(url) else f"{name}.pgdump"


def _write_contents(config: Config, draft: Path, now: datetime) -> None:
    images = sorted(path.parent.name for path in config.image_dir.glob("*/manifest.json"))
    contents = {
        "made_at": now.astimezone(UTC).isoformat(),
        "zentry": version("zentry"),
        "secret_key": "in this folder" if (draft / "secret-key").exists() else "ZENTRY_SECRET_KEY, kept elsewhere",
        "images": images,
        "left_out": "the machines' disks (data/machines) and the images' files, which make run builds again",
        "sha256": {path.name: _digest(path) for path in sorted(draft.iterdir())},
    }
    (draft / DONE).write_text(json.dumps(contents, indent=1) + "\n")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# -- out and in -------------------------------------------------------------------------------


def _copy_out(url: str, draft: Path, name: str) -> None:
    target = draft / _file(url, name)
    if not _is_sqlite(url):
        _postgres("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")
        return
    path = Path(str(make_url(url).database))
    if not path.is_file():
        raise BackupError(f"There is no database {path}. Is ZENTRY_DATA right?")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a -wal beside it


def _copy_in(url: str, source: Path, name: str) -> None:
    if not _is_sqlite(url):
        given = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
        _postgres("pg_restore", url, *given, str(source / _file(url, name)))
        return
    path = Path(str(make_url(url).database))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.restored")
    shutil.copyfile(source / _file(url, name), draft)
    draft.chmod(0o600)
    draft.rename(path)


def _require_same_kind(databases: dict[str, str], files: set[str]) -> None:
    for name, url in databases.items():
        if _file(url, name) not in files:
            kind = "SQLite" if _is_sqlite(url) else "PostgreSQL"
            raise BackupError(f"The backup has no {name} database of {kind}. Set ZENTRY_DATABASE_URL as it was then.")


def _require_empty(config: Config, databases: dict[str, str]) -> None:
    for name, url in databases.items():
        if _is_sqlite(url):
            path = Path(str(make_url(url).database))
            there = [found for found in (path, path.with_name(f"{path.name}-wal")) if found.exists()]
            if there:
                raise BackupError(f"{there[0]} is there already. Restore into an empty folder, or move that one away.")
            continue
        engine = make_engine(url)
        try:
            if inspect(engine).get_table_names():
                raise BackupError(f"The {name} database has tables already. Restore into an empty one (createdb).")
        finally:
            engine.dispose()
    for name in KEPT_FILES:
        if (config.data / name).exists():
            raise BackupError(f"{config.data / name} is there already. Restore into an empty folder.")


def _postgres(program: str, url: str, *arguments: str) -> None:
    """Run one of PostgreSQL's own programs; the password goes by the environment, where nobody else reads it."""
    found = shutil.which(program) or next(
        iter(sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))[::-1]), None
    )
    if found is None:
        raise BackupError(f"{program} is missing. Install PostgreSQL's client programs (Debian: postgresql-client).")
    parts = make_url(url)
    address = parts.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    environment = os.environ | ({"PGPASSWORD": str(parts.password)} if parts.password else {})
    command = [str(found), f"--dbname={address}", *arguments]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=_DUMP_SECONDS
    )  # fmt: skip
    if done.returncode != 0:
        raise BackupError(f"{program} failed: {done.stderr.strip()[-500:]}")
