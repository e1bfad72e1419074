"""For machines: is it alive, is it ready, and its figures."""

import hmac
import os

from flask import Blueprint, Response, abort, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess

from zentry_web.domain.monitoring import ServiceHealth
from zentry_web.web.actor import public
from zentry_web.web.services import services

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@public
def alive() -> ResponseReturnValue:
    """This process answers. Asks nothing else."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
@public
def ready() -> ResponseReturnValue:
    """Database, compute and worker, each by name; 503 when one of them is not ready."""
    parts = _parts()
    shown = {part.name: {"ok": part.ok, "detail": part.detail, "age_seconds": part.age_seconds} for part in parts}
    ok = all(part.ok for part in parts)
    return jsonify(status="ready" if ok else "not ready", **shown), 200 if ok else 503


def _parts() -> list[ServiceHealth]:
    monitoring = services().get_monitoring_service()
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
    token = current_app.config["ZENTRY_METRICS_TOKEN"]
    given = request.headers.get("Authorization", "")
    if not token or not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        abort(404)
    registry: CollectorRegistry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # prometheus_client's own switch, set by `zentry web`
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
