"""gunicorn's settings that are not on its command line, and its hooks."""

import resource
from typing import Any

from prometheus_client import multiprocess

graceful_timeout = 5
timeout = 60
limit_request_line = 8190  # a form of GET names up to 200 selected rows in its address
# Longer than proxies keep an unused connection (Caddy 120 s, nginx 60 s): else they send a request on one just closed.
keepalive = 150
umask = 0o077
control_socket_disable = True
preload_app = False
sendfile = False  # what is sent goes through the front door's count of who reads slowly
forwarder_headers = ""  # no header from outside says where the application lies (SCRIPT_NAME, PATH_INFO)
accesslog = None  # the application writes its own, without secrets

MOST_FILES = 16_384
WAITING = 4000  # connections that wait for their request or between two, for each process
OTHER_FILES = 400  # databases, logs, static files


def on_starting(server: Any) -> None:
    """Before the workers are forked: room for many connections, and one count of live streams for all of them."""
    from zentry_web.web import stream_board

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    threads = server.cfg.threads
    server.cfg.set("worker_connections", threads + max(20, min(WAITING, files - OTHER_FILES - threads)))
    stream_board.share(server.cfg.workers, threads)


def post_worker_init(worker: Any) -> None:
    """Before the first request: build the chart skeletons (half a second), keep what is built, and let SIGTERM end
    the live streams."""
    from zentry_web.memory import keep_for_good
    from zentry_web.web.live import close_on_sigterm
    from zentry_web.web.output.charts import warm_up

    warm_up()
    close_on_sigterm(worker.app.wsgi())
    keep_for_good()


def child_exit(server: Any, worker: Any) -> None:
    """Forget the gauges and the streams of a web worker that ended."""
    from zentry_web.web import stream_board

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
    stream_board.shared().forget(worker.pid)
