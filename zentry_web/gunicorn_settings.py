"""gunicorn's settings that are not on its command line, and its hooks."""

from typing import Any

from prometheus_client import multiprocess

graceful_timeout = 5
timeout = 60
keepalive = 5
control_socket_disable = True
preload_app = False
accesslog = None  # the application writes its own, without secrets


def post_worker_init(worker: Any) -> None:
    """Before the first request: build the chart skeletons (half a second), keep what is built, and let SIGTERM end
    the live streams."""
    from zentry_web.memory import keep_for_good
    from zentry_web.web.charts import warm_up
    from zentry_web.web.live import close_on_sigterm

    warm_up()
    close_on_sigterm(worker.app.wsgi())
    keep_for_good()


def child_exit(server: Any, worker: Any) -> None:
    """Forget the gauges of a web worker that ended."""
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
