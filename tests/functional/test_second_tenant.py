"""Real ids of one person's real things, in every address and form that takes an id, in another person's hands."""

import pytest

from tests.conftest import PASSWORD, sign_up
from tests.functional.conftest import Browser
from tests.functional.estate import TRACES, Estate
from tests.functional.test_route_matrix import ADMIN, ANYONE, PROCESS, PROGRAM, RULES, SIGNED
from tests.services.people import acting, join
from zentry_web.domain.people.token import TokenScope
from zentry_web.models import DbUser

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

# Parts of addresses that name no thing of anybody's. ``token`` is a mailed secret, which is meant to let its bearer in.
NO_IDS = {"list_name", "filename", "name", "setting_key", "token", "provider", "action", "step", "size_id", "image_id"}
NOT_BY_ID = (ANYONE, SIGNED, PROGRAM, PROCESS)
OF_A_PROJECT = {"project_id", "vm_id", "operation_id", "undo_id"}


@pytest.fixture
def estate(cloud, alice, admin, project, machine):
    return Estate(cloud, alice, admin, project, machine)


@pytest.fixture
def stranger(web, estate, container):
    """Charlie, who has a project and a machine of his own, signed in just now."""
    charlie = sign_up(container, "charlie")
    own = estate.cloud.project(charlie, "Own things")
    browser = Browser(web).log_in(charlie)
    browser.project, browser.machine = own, estate.cloud.launch(charlie, own, "own-1")
    return browser


def rules(web, *, with_ids):
    """Every rule with (or without) an id in its address, and its methods."""
    found = []
    for rule in web.url_map.iter_rules():
        if rule.endpoint != "static" and bool(rule.arguments - NO_IDS) == with_ids:
            found += [(rule, method) for method in sorted(rule.methods - {"HEAD", "OPTIONS"})]
    return found


def silent(answer, *more):
    """The answer says nothing of Alice's."""
    body = answer.get_data().decode(errors="replace") + str(answer.headers)
    return [trace for trace in (*TRACES, *more) if trace in body]


def call(browser, method, url, **more):
    return browser.get(url, **more) if method == "GET" else browser.post(url, **more)


def test_every_id_in_an_address_has_a_real_thing_to_be_tried_with(web, estate):
    taking = {name for rule, _ in rules(web, with_ids=True) for name in rule.arguments}
    assert taking <= set(estate.values), "a new kind of id: give Alice one in tests/functional/estate.py"
    assert all(RULES[rule.endpoint][0] not in NOT_BY_ID for rule, _ in rules(web, with_ids=True))


@pytest.mark.asvs("8.2.2")
def test_a_stranger_is_told_that_there_is_nothing_by_any_rule_with_an_id(web, estate, stranger):
    before = estate.state()
    for rule, method in rules(web, with_ids=True):
        url = estate.address(web, rule)
        for shape in ({}, {"htmx": True}, {"headers": {"Accept": "application/json"}}):
            answer = call(stranger, method, url, **shape)
            wanted = 403 if RULES[rule.endpoint][0] == ADMIN else 404
            assert answer.status_code == wanted, (rule.endpoint, method, shape, answer.text[:300])
            assert silent(answer) == [], (rule.endpoint, method, shape)
    assert estate.state() == before


@pytest.mark.asvs("8.2.2")
def test_one_s_own_project_opens_nobody_else_s_things(web, estate, stranger):
    """Two ids of two tenants in one address."""
    before = estate.state()
    for rule, method in rules(web, with_ids=True):
        if rule.arguments & OF_A_PROJECT and rule.arguments - NO_IDS - OF_A_PROJECT:
            url = estate.address(web, rule, project_id=stranger.project.id)
            answer = stranger.get(url) if method == "GET" else stranger.post(url, {"role": "viewer"})
            assert answer.status_code == 404, (rule.endpoint, method, answer.text[:300])
            assert silent(answer) == [], rule.endpoint
    assert estate.state() == before


@pytest.mark.asvs("8.2.3", "15.3.1")
def test_members_of_a_project_see_nothing_of_its_owner_s_own(web, estate, container):
    """Money, sessions, tokens and factors stay hers, whatever others may do in the project."""
    bob = sign_up(container, "bob")
    join(container, estate.project, bob, "admin")
    as_bob, before = Browser(web).log_in(bob), estate.state()
    for rule, method in rules(web, with_ids=True):
        if RULES[rule.endpoint][0] != ADMIN and not rule.arguments & OF_A_PROJECT:
            answer = call(as_bob, method, estate.address(web, rule))
            assert answer.status_code == 404, (rule.endpoint, method)
            assert silent(answer) == [], (rule.endpoint, method)
    assert estate.state() == before


@pytest.mark.asvs("8.4.1")
def test_no_page_without_an_id_shows_a_stranger_anything(web, estate, stranger):
    for rule, method in rules(web, with_ids=False):
        if method != "GET" or rule.arguments or rule.endpoint == "live.events":
            continue
        for htmx in (False, True):
            answer = stranger.get(rule.rule, htmx=htmx)
            assert silent(answer, estate.project.id, estate.machine.id, estate.alice.id) == [], rule.endpoint


def forms(estate, own):
    """Ids in forms and questions: (method, address, fields, statuses that refuse)."""
    vm, project, card = (estate.values[name] for name in ("vm_id", "project_id", "method_id"))
    top_up = {"enabled": "y", "threshold": "5", "sum": "10", "ceiling": "50", "method": card}
    launch = {"name": "web-9", "project_id": project, "size_id": "size_nano", "image_id": "img_tiny"}
    return [
        ("POST", "/vms/new", launch | {"idempotency_key": "k" * 32}, {400, 404}),
        ("POST", "/vms/new", launch | {"project_id": own.id, "ssh_key_ids": estate.values["key_id"]}, {400, 404}),
        ("GET", f"/vms/new?project={project}", {}, {200, 404}),
        ("GET", f"/vms/new/quote?project_id={project}&size_id=size_nano&image_id=img_tiny", {}, {200, 400, 404}),
        ("GET", f"/vms?project={project}", {}, {200, 404}),
        ("GET", f"/vms/bulk?do=delete&id={vm}", {}, {200}),
        ("POST", "/vms/bulk", {"do": "stop", "id": vm}, {400}),
        ("POST", "/vms/bulk", {"do": "label", "id": vm, "labels": "x"}, {400}),
        ("POST", "/vms/bulk", {"do": "delete", "id": vm, "confirm": "web-1"}, {400}),
        ("POST", "/vms/bulk", {"do": "move", "id": vm, "project_id": own.id}, {400}),
        ("POST", "/credits/plan/order", {"vm": vm, "place": "1", "up": vm}, {303, 400, 404}),
        ("POST", "/credits/what-if", {"stop": vm, f"size.{vm}": "size_large"}, {200, 400, 404}),
        ("GET", f"/credits/bill?vm={vm}", {}, {200, 400, 404}),
        ("GET", f"/credits/bill.csv?vm={vm}", {}, {200, 400, 404}),
        ("GET", f"/credits/spend?vm={vm}&project={project}", {}, {200, 404}),
        ("POST", "/credits/top-up/automatic", top_up, {400, 404}),
        ("POST", "/account/passkeys", {"credential": "{}", "factor": estate.values["factor_id"]}, {400, 404}),
        ("GET", f"/overview?user={estate.alice.id}", {}, {200}),
        ("POST", "/account", {"name": "C", "time_zone": "UTC", "id": estate.alice.id, "role": "admin"}, {303, 200}),
    ]  # fmt: skip


@pytest.mark.asvs("8.2.2", "8.2.3", "15.3.3")
def test_ids_in_forms_and_questions_open_nothing(web, estate, stranger):
    addresses = web.url_map.bind("localhost")
    before = estate.state()
    for method, url, fields, statuses in forms(estate, stranger.project):
        assert addresses.match(url.partition("?")[0], method), url
        answer = stranger.get(url) if method == "GET" else stranger.post(url, fields)
        assert answer.status_code in statuses, (url, answer.status_code, answer.text[:500])
        assert silent(answer) == [], url
    assert estate.state() == before
    assert not estate.container.get_user_service().get_user(stranger.user.id).is_admin, "no field makes an admin"


@pytest.mark.asvs("8.4.1")
def test_a_program_s_token_reads_its_owner_s_machines_only(web, estate, stranger, visitor):
    tokens = estate.container.get_auth_service().tokens
    secret = tokens.create_personal(
        stranger.user.id, "Mine", [TokenScope.VMS_READ.value], 5, actor=acting(stranger.user)
    )
    answer = visitor.client.get("/api/v1/vms", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 200
    assert "own-1" in answer.text
    assert silent(answer, estate.machine.id) == []
    for path in (f"/api/v1/vms/{estate.machine.id}", f"/api/v1/vms?project={estate.project.id}"):
        assert silent(visitor.client.get(path, headers={"Authorization": f"Bearer {secret}"})) == []


def invited(container, guest, host):
    """An invitation to a project of the host, mailed to the guest, whose mailbox has proved their address."""
    with container.database.writing() as session:
        session.get(DbUser, guest.id).email_proven_at = container.clock.now()
        session.commit()
    projects = container.get_project_service()
    project = projects.create_project({"name": "guests"}, host)
    data = {"email": guest.email, "role": "viewer"}
    return projects.invitations.invite(project.id, data, actor=acting(host)).id


# What the owner is told, and why: she cannot leave her own; both operations ended well; no disk is kept; it is in none.
NOT_NOW = (
    "projects.leave",
    "operations.abort",
    "operations.again",
    "vms.bring_back",
    "vms.unrevert",
    "vms.leave_rescue",
)


def test_the_ids_are_real(web, estate):
    """Whoever owns them gets answers from the very addresses that strangers get 404 from."""
    as_alice = Browser(web)
    secret = {"email": estate.alice.email, "password": PASSWORD}
    assert as_alice.post("/login", secret).headers["Location"].startswith("/login/factor")
    estate.cloud.clock.advance(60)
    assert as_alice.post("/login/factor", {"code": estate.app.code()}).status_code == 303
    member = sign_up(estate.container, "member")
    join(estate.container, estate.project, member, "member")
    others = {
        "projects.remove_member": {"user_id": member.id},  # nobody removes the owner
        "invitations.mailed": {"invitation_id": invited(estate.container, estate.alice, member)},
    }
    for rule, method in rules(web, with_ids=True):
        if method == "GET" and RULES[rule.endpoint][0] != ADMIN:
            if rule.endpoint == "vms.console_socket":  # a WebSocket: test_console.py opens it
                continue
            answer = as_alice.get(estate.address(web, rule, **others.get(rule.endpoint, {})))
            wanted = (409,) if rule.endpoint in NOT_NOW else (200, 303)
            assert answer.status_code in wanted, (rule.endpoint, answer.status_code)
