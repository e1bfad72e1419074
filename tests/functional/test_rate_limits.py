"""What is costly may be done so often, per person: 429, when to try again, and nobody else is slowed down."""

import pytest

from zentry_web.domain.user import Actor, Role
from zentry_web.services.shared.rate_limits import RateLimiter, limit_of
from zentry_web.services.shared.rate_rules import RULES

pytestmark = pytest.mark.integration


@pytest.fixture
def use_up(container):
    """Do something as often as the table allows, without doing it."""

    def count(rule, subject, but=0):
        limiter = RateLimiter(container.parts.core)
        for _ in range(RULES[rule].count - but):
            limiter.check(limit_of(rule, subject))

    return count


def launch(browser, project, **more):
    data = {"name": "web-9", "project_id": project.id, "size_id": "size_nano", "image_id": "img_tiny"}
    return browser.post("/vms/new", data | {"idempotency_key": "k" * 32}, **more)


@pytest.mark.asvs("2.4.1")
@pytest.mark.parametrize("htmx", [False, True])
def test_launches_are_counted_and_the_form_keeps_what_was_typed(as_alice, project, use_up, alice, clock, htmx):
    use_up("launch", alice.id)
    answer = launch(as_alice, project, htmx=htmx)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 3600 + 240
    assert "Too many launches. Please try again in" in answer.text
    assert "web-9" in answer.text
    clock.advance(hours=2)
    as_alice.log_in(alice)
    assert launch(as_alice, project).status_code == 303


ONE_MORE = {"launch": "size_nano"}


def test_one_person_s_count_slows_nobody_else(as_alice, as_charlie, use_up, alice):
    use_up("what_if", alice.id)
    assert as_alice.get("/credits/what-if?launch=size_nano").status_code == 429
    assert as_charlie.get("/credits/what-if?launch=size_nano").status_code == 200


@pytest.mark.asvs("15.2.2")
def test_what_if_says_when_to_try_again(as_alice, use_up, alice, clock):
    use_up("what_if", alice.id)
    answer = as_alice.post("/credits/what-if", ONE_MORE, htmx=True)
    assert (answer.status_code, answer.headers["HX-Retarget"]) == (429, "#toasts")
    assert "Too many calculations. Please try again in" in answer.text
    clock.advance(int(answer.headers["Retry-After"]))
    assert as_alice.post("/credits/what-if", ONE_MORE, htmx=True).status_code == 200


def test_looking_at_what_if_is_no_calculation(as_alice, use_up, alice, container):
    for _ in range(3):
        assert as_alice.get("/credits/what-if").status_code == 200
    assert RateLimiter(container.parts.core).count(limit_of("what_if", alice.id)) == 0
    use_up("what_if", alice.id)
    assert as_alice.get("/credits/what-if").status_code == 200


@pytest.mark.asvs("2.4.1")
@pytest.mark.parametrize(
    "path",
    [
        "/credits/bill.csv", "/admin/ledger.csv", "/admin/audit.csv", "/admin/write-offs.csv", "/admin/users.csv",
        "/admin/projects.csv", "/admin/vms.csv", "/admin/vouchers.csv", "/vms/list.csv",
        "/bin/list.csv",
    ],
)  # fmt: skip
def test_files_are_counted_before_anything_is_read(as_admin, admin, use_up, clock, path):
    assert as_admin.get(path).status_code == 200
    use_up("file", admin.id, but=1)
    answer = as_admin.get(path)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 640
    assert "Too many files. Please try again in" in answer.text
    assert "Content-Disposition" not in answer.headers
    clock.advance(int(answer.headers["Retry-After"]))
    as_admin.log_in(admin)
    assert as_admin.get(path).status_code == 200


@pytest.mark.asvs("2.3.2")
def test_the_table_s_counts_are_what_is_counted(container, alice):
    limiter = RateLimiter(container.parts.core)
    over_the_network = Actor(alice.id, Role.USER, address="203.0.113.5")
    for rule in ("launch", "what_if", "statement_pdf", "statement_csv", "file", "rehearse"):
        for _ in range(RULES[rule].count):
            limiter.check_actor(rule, over_the_network)
        with pytest.raises(Exception, match="Too many") as caught:
            limiter.check_actor(rule, over_the_network)
        assert caught.value.error_code == "RATE_LIMITED"
        limiter.check_actor(rule, Actor(alice.id, Role.USER))  # the command line, the worker, demo data


def test_programs_are_told_as_well(visitor, use_up, alice):
    use_up("login", f"{alice.email}|127.0.0.1")
    credentials = {"email": alice.email, "password": "wrong"}
    answer = visitor.client.post("/api/v1/auth/token", json=credentials)
    assert (answer.status_code, answer.json["code"], answer.mimetype) == (
        429,
        "RATE_LIMITED",
        "application/problem+json",
    )
    assert int(answer.headers["Retry-After"]) == answer.json["details"]["retry_after"] > 0
