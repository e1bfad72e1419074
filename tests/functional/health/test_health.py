"""/healthz, /readyz, /metrics."""

import pytest
from sqlalchemy.exc import OperationalError

pytestmark = pytest.mark.integration


def test_alive_asks_nothing(visitor):
    assert visitor.get("/healthz").json == {"status": "alive"}


def test_not_ready_names_what_is_missing(visitor):
    answer = visitor.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["status"] == "not ready"
    assert answer.json["database"]["ok"]
    assert not answer.json["worker"]["ok"]
    assert not answer.json["compute"]["ok"]


@pytest.mark.asvs("13.4.5")
def test_strangers_are_told_names_and_no_more(visitor, web, container, cloud, monkeypatch):
    """No versions, no error texts; whoever may see the figures sees them here, too."""
    cloud.worker.reconciler.run()
    parts = visitor.get("/readyz").json
    parts.pop("status")
    assert {name: set(shown) for name, shown in parts.items()} == {name: {"ok"} for name in parts}
    monkeypatch.setitem(web.config, "ZENTRY_METRICS_TOKEN", "secret")
    assert visitor.get("/readyz", headers={"Authorization": "Bearer wrong"}).json["compute"] == {"ok": True}
    told = visitor.get("/readyz", headers={"Authorization": "Bearer secret"}).json
    assert "simulator" in told["compute"]["detail"].lower()
    assert "age_seconds" in told["worker"]


def test_ready_when_everything_is(visitor, container, cloud):
    container.get_monitoring_service().processes.record_heartbeat("worker-1", "bill", 1, "")
    cloud.worker.reconciler.run()
    answer = visitor.get("/readyz")
    assert answer.status_code == 200, answer.json
    assert {"database", "compute", "worker"} < set(answer.json)


def test_not_ready_without_a_database(visitor, container, monkeypatch):
    def gone(*_):
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    monkeypatch.setattr(container.database, "reading", gone)
    answer = visitor.get("/readyz")
    assert answer.status_code == 503
    assert [answer.json[name]["ok"] for name in ("database", "compute", "worker")] == [False, False, False]


@pytest.mark.asvs("13.4.5")
def test_metrics_need_their_token(visitor, web, monkeypatch):
    assert visitor.get("/metrics").status_code == 404
    monkeypatch.setitem(web.config, "ZENTRY_METRICS_TOKEN", "secret")
    assert visitor.get("/metrics").status_code == 404
    assert visitor.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 404
    answer = visitor.get("/metrics", headers={"Authorization": "Bearer secret"})
    assert answer.status_code == 200
    assert "zentry_http_requests_total" in answer.text


@pytest.mark.asvs("1.1.2")
def test_made_up_methods_make_no_series_of_their_own(visitor, web, monkeypatch):
    monkeypatch.setitem(web.config, "ZENTRY_METRICS_TOKEN", "secret")
    for method in ("BREW", 'X"} 1'):
        assert visitor.client.open("/healthz", method=method).status_code == 405
    text = visitor.get("/metrics", headers={"Authorization": "Bearer secret"}).text
    assert 'method="other"' in text
    assert "BREW" not in text
    assert 'X\\"' not in text
