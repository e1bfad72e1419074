"""POST /internal/v1/metrics: samples from other processes."""

import pytest

from zentry_web.domain.people.token import Party

pytestmark = pytest.mark.integration

URL = "/internal/v1/metrics"
FIGURES = {"cpu_percent": 12.5, "memory_total_bytes": 512 * 1024**2, "net_rx_bytes_per_s": 10}


@pytest.fixture
def send(visitor, container):
    def post(samples, *, caller=Party.AGENT, audience=Party.WEB, token=None, **more):
        token = container.service_tokens.issue(caller, audience) if token is None else token
        more = more or {"json": {"samples": samples}}
        return visitor.client.post(URL, headers={"Authorization": f"Bearer {token}"}, **more)

    return post


def latest(container, machine):
    return container.get_monitoring_service().get_latest([machine.id])


def test_samples_are_stored(send, container, machine, clock):
    answer = send([FIGURES | {"vm_id": machine.id, "at": clock.now().isoformat()}])
    assert (answer.status_code, answer.json) == (202, {"stored": 1})
    assert latest(container, machine)[machine.id].cpu_percent == 12.5


def test_the_same_samples_again_change_nothing(send, container, machine, clock):
    sample = FIGURES | {"vm_id": machine.id, "at": clock.now().isoformat()}
    assert send([sample]).status_code == 202
    assert send([sample | {"cpu_percent": 99}]).status_code == 202
    assert latest(container, machine)[machine.id].cpu_percent == 12.5


@pytest.mark.asvs("13.4.5")
def test_without_a_token_meant_for_it_nothing_is_read(send, visitor, as_admin, container, machine, clock):
    good = [FIGURES | {"vm_id": machine.id}]
    old = container.service_tokens.issue(Party.AGENT, Party.WEB)
    clock.advance(400)
    answers = [
        visitor.client.post(URL, json={"samples": good}),
        as_admin.client.post(URL, json={"samples": good}),
        send(good, token=old),
        send(good, audience=Party.WORKER),
        send(good, caller=Party.OPERATOR),
        send(good, caller=Party.WEB),
    ]
    for answer in answers:
        assert answer.status_code == 401
        assert answer.mimetype == "application/problem+json"
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert machine.id not in answer.text
    assert latest(container, machine) == {}


@pytest.mark.parametrize(
    "samples",
    [
        None, [], {}, "x", ["x"], [None], [[]], [{}], [{"vm_id": 1}], [{"vm_id": "vm_none"}], [{"vm_id": "vm_\x00"}],
        [{"vm_id": "vm_none"}] * 251, [{"vm_id": "vm_" + "x" * 5000}],
    ],
)  # fmt: skip
def test_what_is_no_sample_is_refused(send, samples):
    answer = send(samples)
    assert (answer.status_code, answer.json["code"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("field", "value"),
    [("cpu_percent", 101), ("cpu_percent", "1"), ("at", "soon"), ("at", "2026-11-23T10:00:00"), ("at", 5)],
)
def test_one_wrong_sample_refuses_all(send, container, machine, field, value):
    answer = send([FIGURES | {"vm_id": machine.id}, FIGURES | {"vm_id": machine.id, field: value}])
    assert answer.status_code == 400
    assert list(answer.json["details"]) == [f"samples.1.{field}"]
    assert latest(container, machine) == {}


@pytest.mark.parametrize(
    "body", [b"", b"\xff\x00", b"[1", b"[]", b'{"samples": [NaN]}', b'{"samples": [{"vm_id": NaN}]}']
)
def test_other_bodies_are_refused(send, body):
    assert send(None, data=body, content_type="application/json").status_code == 400


@pytest.mark.asvs("5.2.1")
def test_a_body_that_is_too_large_is_not_read(send):
    assert send(None, data=b"[" * 300_000, content_type="application/json").status_code == 413
