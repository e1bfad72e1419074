"""Logs: one JSON object per line on standard error, times in UTC. Values are escaped by JSON: no line can be forged."""

import logging
import sys

import structlog


def configure_logs(level: int = logging.INFO) -> None:
    """Send structlog's and the standard library's records to standard error as JSON lines."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
