"""gunicorn's settings that are not on its command line, and its hooks."""

from typing import Any

from prometheus_client import multiprocess

graceful_timeout = 5
timeout = 60
keepalive = 5
control_socket_disable = True
preload_app = False
accesslog = None  # the application writes its own, without secrets


def child_exit(server: Any, worker: Any) -> None:
    """Forget the gauges of a web worker that ended."""
    multiprocess.mark_process_dead(worker.pid)
