"""Why nothing could be kept or read just now, where that is no fault of what was asked: a full disk above all."""

import errno
import sqlite3

import structlog
from sqlalchemy.exc import DBAPIError

from zentry_web.domain.language import lazy
from zentry_web.services.errors import StorageUnavailableError

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 30
FULL = lazy(
    "The server’s disk is full, so nothing can be saved just now. Nothing was changed; what runs goes on running."
)
BROKEN = lazy("The server’s disk cannot be written to just now. Nothing was changed; what runs goes on running.")
BUSY = lazy("The database is too busy just now. Nothing was changed: please try again.")
AWAY = lazy("The database does not answer just now. Please try again.")

_SQLITE = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_IOERR: BROKEN,  # also a full disk, met on a journal file
    sqlite3.SQLITE_CANTOPEN: BROKEN,
    sqlite3.SQLITE_READONLY: BROKEN,  # such as a file system that the kernel set to read-only
    sqlite3.SQLITE_BUSY: BUSY,
}
_POSTGRESQL = {"53100": FULL, "58030": BROKEN}
_POSTGRESQL_CLASSES = {"08": AWAY, "53": BUSY, "57": AWAY}  # connection, resources, operator intervention
_SYSTEM = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EROFS: BROKEN, errno.EIO: BROKEN}


def outage(error: BaseException) -> StorageUnavailableError | None:
    """The refusal to answer with when ``error`` came from a full or broken disk or a database that is away; it is
    logged. None: the error is of another kind."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    text = _reason(cause)
    if text is None:
        return None
    log.warning("storage_unavailable", reason=text, error=f"{type(cause).__name__}: {cause}"[:200])
    found = StorageUnavailableError(text, details={"retry_after": AGAIN_SECONDS})
    found.__cause__ = error
    return found


def tell_failure(event: str, problem: Exception, **details: str) -> str:
    """Log what went wrong in the background: a full disk in one line, anything else at length. Returns the words for
    the System page."""
    if (trouble := outage(problem)) is not None:
        return trouble.message
    log.error(event, exc_info=problem, **details)
    return f"{type(problem).__name__}: {problem}"


def is_disk(trouble: StorageUnavailableError) -> bool:
    """Whether the disk is to blame, so that room on it helps."""
    return trouble.message in (FULL, BROKEN)


def _reason(cause: BaseException) -> str | None:
    if isinstance(cause, sqlite3.Error):
        return _SQLITE.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF)
    if isinstance(cause, OSError):
        return _SYSTEM.get(cause.errno or 0)
    if not hasattr(cause, "sqlstate"):
        return None
    if cause.sqlstate is None:  # it could not even be asked
        return AWAY if type(cause).__name__ == "OperationalError" else None
    return _POSTGRESQL.get(cause.sqlstate) or _POSTGRESQL_CLASSES.get(cause.sqlstate[:2])
