"""For machines: is it alive, is it ready, and its figures."""

import hmac
import os

from flask import Blueprint, Response, abort, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess

from zentry_web.domain.monitoring import ServiceHealth
from zentry_web.web.services import services
from zentry_web.web.session.actor import public

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@public
def alive() -> ResponseReturnValue:
    """This process answers. Asks nothing else."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
@public
def ready() -> ResponseReturnValue:
    """Database, compute and worker, each by name; 503 when one of them is not ready.

    What is known beyond that (versions, errors, ages) is for bearers of ZENTRY_METRICS_TOKEN.
    """
    parts = _parts()
    shown: dict[str, dict[str, object]] = {part.name: {"ok": part.ok} for part in parts}
    if _shows_token():
        for part in parts:
            shown[part.name] |= {"detail": part.detail, "age_seconds": part.age_seconds}
    ok = all(part.ok for part in parts)
    return jsonify(status="ready" if ok else "not ready", **shown), 200 if ok else 503


def _shows_token() -> bool:
    """Whether the request shows ZENTRY_METRICS_TOKEN; never when there is none."""
    token = current_app.config["ZENTRY_METRICS_TOKEN"]
    given = request.headers.get("Authorization", "")
    return bool(token) and hmac.compare_digest(given.encode(), f"Bearer {token}".encode())


def _parts() -> list[ServiceHealth]:
    monitoring = services().monitoring
    health = monitoring.health_check()
    database = ServiceHealth("database", health.ok, health.detail)
    if not database.ok:
        unknown = "not known: the database does not answer"
        return [database, *(ServiceHealth(name, False, unknown) for name in ("compute", "worker"))]
    return [database, *(part for part in monitoring.list_service_health() if part.name != "database")]


@blueprint.get("/metrics")
@public
def metrics() -> ResponseReturnValue:
    """Prometheus figures of all web processes, for bearers of ZENTRY_METRICS_TOKEN. Without one: no such page."""
    if not _shows_token():
        abort(404)
    registry: CollectorRegistry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # prometheus_client's own switch, set by `zentry web`
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
