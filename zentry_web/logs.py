"""Logs: one JSON object per line, times in UTC. Values are escaped by JSON: no line can be forged.

They go to standard error, or to where ZENTRY_LOG says: a file (followed when it is rotated), or a syslog.
"""

import logging
import sys
from logging.handlers import SysLogHandler, WatchedFileHandler
from pathlib import Path
from urllib.parse import urlsplit

import structlog

SYSLOG_PORT = 514


def configure_logs(level: int = logging.INFO, target: str = "") -> None:
    """Send structlog's and the standard library's records to ``target`` as JSON lines.

    ``target``: '' (standard error), a file's path, ``syslog:/dev/log`` or ``syslog://host:port`` (UDP). Raises OSError
    when the file cannot be written or there is no such socket.
    """
    handler = make_handler(target)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    ours = logging.getLogger("zentry")
    ours.handlers, ours.propagate = [handler], False
    ours.setLevel(level)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_arguments: ours,
        cache_logger_on_first_use=True,
    )


def make_handler(target: str) -> logging.Handler:
    """Where records go; see ``configure_logs``."""
    if not target:
        return logging.StreamHandler(sys.stderr)
    if not target.startswith("syslog:"):
        path = Path(target)
        path.touch(mode=0o600, exist_ok=True)
        return WatchedFileHandler(path, encoding="utf-8")
    parts = urlsplit(target)
    address = (parts.hostname, parts.port or SYSLOG_PORT) if parts.hostname else parts.path
    handler = SysLogHandler(address, facility=SysLogHandler.LOG_DAEMON)
    handler.ident = "zentry: "
    return handler


def check_target(value: str) -> str:
    """``value`` if it can be ``configure_logs``'s target; else ValueError."""
    try:
        parts = urlsplit(value)
        is_syslog = parts.scheme == "syslog" and (bool(parts.hostname) or parts.path.startswith("/"))
        is_target = not value or value.startswith("/") or (is_syslog and (parts.port or SYSLOG_PORT) > 0)
    except ValueError:  # a port that is no number
        is_target = False
    if not is_target:
        raise ValueError("logs go to a file (/var/log/zentry/zentry.log), syslog:/dev/log or syslog://host:port")
    return value
