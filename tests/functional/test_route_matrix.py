"""Every URL rule and who may call it. A rule that is not listed here fails; so does one that lets somebody else in."""

import pytest

from tests.conftest import sign_up
from tests.functional.conftest import Browser
from tests.services.people import join
from zentry_web.web.services import EXTENSION

pytestmark = pytest.mark.integration

ANYONE, SIGNED_IN, OWNER, ADMIN = "anyone", "signed in", "owner", "admin"
SIGNED = "a provider with its signature"
PROCESS = "another process with its service token"  # tests/functional/internal
PROGRAM = "program"  # takes tokens, never the cookie: tests/functional/api

# endpoint: (who may call it, its methods)
RULES = {
    "static": (ANYONE, "GET"),
    "public.landing": (ANYONE, "GET"),
    "auth.signup": (ANYONE, "GET POST"),
    "auth.login": (ANYONE, "GET POST"),
    "auth.welcome": (ANYONE, "GET POST"),
    "auth.check_mail": (ANYONE, "GET"),
    "auth.finish_signup": (ANYONE, "GET POST"),
    "auth.forgot": (ANYONE, "GET POST"),
    "auth.reset_password": (ANYONE, "GET POST"),
    "auth.login_factor": (ANYONE, "GET POST"),
    "auth.factor_options": (ANYONE, "POST"),
    "auth.passkey_options": (ANYONE, "POST"),
    "auth.passkey_login": (ANYONE, "POST"),
    "auth.email_link": (ANYONE, "GET POST"),
    "auth.refuse_email": (ANYONE, "POST"),
    "auth.oidc_begin": (ANYONE, "POST"),
    "auth.oidc_callback": (ANYONE, "GET"),
    "auth.logout": (SIGNED_IN, "POST"),
    "account.profile": (SIGNED_IN, "GET POST"),
    "account.change_password": (SIGNED_IN, "POST"),
    "account.security": (SIGNED_IN, "GET"),
    "account.confirm": (SIGNED_IN, "GET POST"),
    "account.confirm_options": (SIGNED_IN, "POST"),
    "account.email": (SIGNED_IN, "GET POST"),
    "account.cancel_email": (SIGNED_IN, "POST"),
    "account.link_identity": (SIGNED_IN, "POST"),
    "account.confirm_by_provider": (SIGNED_IN, "POST"),
    "account.unlink_identity": (OWNER, "POST"),
    "account.add_passkey": (SIGNED_IN, "GET POST"),
    "account.passkey_options": (SIGNED_IN, "POST"),
    "account.factor_needed": (SIGNED_IN, "GET"),
    "account.factor_app": (SIGNED_IN, "GET POST"),
    "account.remove_factor": (OWNER, "POST"),
    "account.new_codes": (SIGNED_IN, "POST"),
    "account.end_session": (OWNER, "POST"),
    "account.end_other_sessions": (SIGNED_IN, "POST"),
    "account.export": (SIGNED_IN, "POST"),
    "account.leave": (SIGNED_IN, "GET POST"),
    "account.stay": (SIGNED_IN, "POST"),
    "account.tokens": (SIGNED_IN, "GET POST"),
    "account.end_token": (OWNER, "POST"),
    "account.ssh_keys": (SIGNED_IN, "GET POST"),
    "account.ssh_key": (OWNER, "GET POST"),
    "account.remove_ssh_key": (OWNER, "POST"),
    "account.notifications": (SIGNED_IN, "GET POST"),
    "account.notices": (SIGNED_IN, "GET"),
    "account.read_notices": (SIGNED_IN, "POST"),
    "account.dismiss": (OWNER, "POST"),
    "account.set_theme": (ANYONE, "POST"),
    "dashboard.overview": (SIGNED_IN, "GET"),
    "projects.index": (SIGNED_IN, "GET"),
    "projects.create": (SIGNED_IN, "GET POST"),
    "projects.show": (OWNER, "GET"),
    "projects.rename": (OWNER, "GET POST"),
    "projects.settings": (OWNER, "GET POST"),
    "projects.archive": (OWNER, "POST"),
    "projects.unarchive": (OWNER, "POST"),
    "projects.delete": (OWNER, "GET POST"),
    "bin.index": (SIGNED_IN, "GET"),
    "bin.restore_vm": (OWNER, "GET POST"),
    "bin.purge_vm": (OWNER, "GET POST"),
    "bin.project": (OWNER, "GET"),
    "bin.restore_project": (OWNER, "GET POST"),
    "bin.purge_project": (OWNER, "GET POST"),
    "projects.protect": (OWNER, "POST"),
    "projects.ownership": (OWNER, "GET"),
    "projects.offer_ownership": (OWNER, "POST"),
    "projects.withdraw_ownership": (OWNER, "POST"),
    "projects.accept_ownership": (OWNER, "POST"),
    "projects.decline_ownership": (OWNER, "POST"),
    "vms.protect": (OWNER, "POST"),
    "projects.members": (OWNER, "GET"),
    "projects.invite": (OWNER, "GET POST"),
    "projects.revoke_invitation": (OWNER, "POST"),
    "projects.change_role": (OWNER, "POST"),
    "projects.remove_member": (OWNER, "POST"),
    "projects.leave": (OWNER, "POST"),
    "invitations.show": (ANYONE, "GET"),
    "invitations.accept": (OWNER, "POST"),
    "invitations.decline": (OWNER, "POST"),
    "projects.budget": (OWNER, "GET POST"),
    "vms.index": (SIGNED_IN, "GET"),
    "vms.bulk": (SIGNED_IN, "GET POST"),
    "vms.create": (SIGNED_IN, "GET POST"),
    "vms.quote": (SIGNED_IN, "GET"),
    "vms.show": (OWNER, "GET"),
    "vms.status": (OWNER, "GET"),
    "vms.activity": (OWNER, "GET"),
    "vms.console": (OWNER, "GET"),
    "vms.metrics": (OWNER, "GET"),
    "vms.act": (OWNER, "POST"),
    "vms.labels": (OWNER, "GET POST"),
    "vms.move": (OWNER, "GET POST"),
    "vms.resize": (OWNER, "GET POST"),
    "vms.resize_quote": (OWNER, "GET"),
    "vms.delete": (OWNER, "GET POST"),
    "billing.index": (SIGNED_IN, "GET"),
    "billing.plan": (SIGNED_IN, "GET POST"),
    "billing.plan_order": (SIGNED_IN, "POST"),
    "billing.balance_chip": (SIGNED_IN, "GET"),
    "billing.bill": (SIGNED_IN, "GET"),
    "billing.spend": (SIGNED_IN, "GET"),
    "billing.spend_series": (SIGNED_IN, "GET"),
    "billing.history": (SIGNED_IN, "GET"),
    "billing.history_series": (SIGNED_IN, "GET"),
    "billing.what_if": (SIGNED_IN, "GET POST"),
    "billing.statements": (SIGNED_IN, "GET"),
    "billing.statement": (OWNER, "GET"),
    "billing.statement_pdf": (OWNER, "GET"),
    "billing.statement_csv": (OWNER, "GET"),
    "billing.bill_file": (SIGNED_IN, "GET"),
    "billing.top_up": (SIGNED_IN, "GET POST"),
    "billing.payment": (OWNER, "GET"),
    "billing.pay": (OWNER, "GET"),
    "billing.pay_again": (OWNER, "POST"),
    "billing.pay_test": (OWNER, "POST"),
    "billing.auto_top_up": (SIGNED_IN, "POST"),
    "billing.remove_method": (OWNER, "POST"),
    "webhooks.receive": (SIGNED, "POST"),
    "billing.interval": (OWNER, "GET"),
    "billing.transaction": (OWNER, "GET"),
    "billing.prices": (SIGNED_IN, "GET"),
    "billing.redeem": (SIGNED_IN, "GET POST"),
    "admin.overview": (ADMIN, "GET"),
    "admin.users": (ADMIN, "GET"),
    "admin.users_file": (ADMIN, "GET"),
    "admin.user": (ADMIN, "GET POST"),
    "admin.disable_user": (ADMIN, "POST"),
    "admin.enable_user": (ADMIN, "POST"),
    "admin.password_link": (ADMIN, "POST"),
    "admin.view_as": (ADMIN, "GET POST"),
    "admin.bulk": (ADMIN, "POST"),
    "admin.run_bulk": (ADMIN, "POST"),
    "account.leave_view": (SIGNED_IN, "POST"),
    "admin.add_note": (ADMIN, "POST"),
    "admin.remove_note": (ADMIN, "POST"),
    "admin.change_role": (ADMIN, "GET POST"),
    "admin.reset_password": (ADMIN, "GET POST"),
    "admin.end_user_sessions": (ADMIN, "POST"),
    "admin.end_user_session": (ADMIN, "POST"),
    "admin.projects": (ADMIN, "GET"),
    "admin.projects_file": (ADMIN, "GET"),
    "admin.invitations": (ADMIN, "GET"),
    "admin.revoke_invitation": (ADMIN, "POST"),
    "admin.audit_file": (ADMIN, "GET"),
    "admin.vms": (ADMIN, "GET"),
    "admin.vms_file": (ADMIN, "GET"),
    "admin.order_vms": (ADMIN, "GET POST"),
    "admin.sizes": (ADMIN, "GET"),
    "admin.offer_size": (ADMIN, "POST"),
    "admin.price": (ADMIN, "GET POST"),
    "admin.prices": (ADMIN, "GET"),
    "admin.new_prices": (ADMIN, "GET POST"),
    "admin.price_change": (ADMIN, "GET POST"),
    "admin.rehearsal": (ADMIN, "GET"),
    "admin.rehearsal_file": (ADMIN, "GET"),
    "admin.price_step": (ADMIN, "POST"),
    "admin.withdraw_prices": (ADMIN, "GET POST"),
    "admin.images": (ADMIN, "GET"),
    "admin.offer_image": (ADMIN, "POST"),
    "admin.vouchers": (ADMIN, "GET"),
    "admin.voucher_file": (ADMIN, "GET"),
    "admin.make_vouchers": (ADMIN, "GET POST"),
    "admin.revoke_voucher": (ADMIN, "GET POST"),
    "admin.payments": (ADMIN, "GET"),
    "admin.payment": (ADMIN, "GET POST"),
    "admin.announcements": (ADMIN, "GET"),
    "admin.new_announcement": (ADMIN, "GET POST"),
    "admin.announcement": (ADMIN, "GET POST"),
    "admin.end_announcement": (ADMIN, "POST"),
    "admin.settings": (ADMIN, "GET"),
    "admin.setting": (ADMIN, "GET POST"),
    "admin.reset_setting": (ADMIN, "POST"),
    "admin.audit": (ADMIN, "GET"),
    "admin.system": (ADMIN, "GET"),
    "admin.ledger": (ADMIN, "GET"),
    "admin.ledger_file": (ADMIN, "GET"),
    "admin.ledger_transfer": (ADMIN, "GET"),
    "api.openapi": (ANYONE, "GET"),
    "api.log_in": (PROGRAM, "POST"),
    "api.refresh": (PROGRAM, "POST"),
    "api.revoke": (PROGRAM, "POST"),
    "api.me": (PROGRAM, "GET"),
    "api.vms": (PROGRAM, "GET"),
    "admin.books": (ADMIN, "GET"),
    "admin.books_series": (ADMIN, "GET"),
    "admin.books_file": (ADMIN, "GET"),
    "admin.write_offs": (ADMIN, "GET"),
    "admin.write_offs_file": (ADMIN, "GET"),
    "admin.quotas": (ADMIN, "GET POST"),
    "admin.approvals": (ADMIN, "GET"),
    "admin.approve": (ADMIN, "POST"),
    "admin.refuse": (ADMIN, "POST"),
    "admin.interval": (ADMIN, "GET"),
    "admin.refund": (ADMIN, "GET POST"),
    "live.events": (SIGNED_IN, "GET"),
    "internal.take_metrics": (PROCESS, "POST"),
    "health.alive": (ANYONE, "GET"),
    "health.ready": (ANYONE, "GET"),
    "health.metrics": (ANYONE, "GET"),
}
CALLS = [(endpoint, method) for endpoint, (_, methods) in RULES.items() for method in methods.split()]
OPEN = (ANYONE, SIGNED, PROGRAM, PROCESS)
GUARDED = [(endpoint, method) for endpoint, method in CALLS if RULES[endpoint][0] not in OPEN]


def address(web, endpoint, **ids):
    """The address of an endpoint, with ids of things that exist."""
    values = {
        "project_id": ids["project"].id,
        "vm_id": ids["machine"].id,
        "invitation_id": "inv_none",
        "user_id": ids["alice"].id,
        "size_id": "size_nano",
        "image_id": "img_tiny",
        "action": "stop",
        "holder_id": ids["alice"].id,
        "token": "no-such-link",
        "interval_id": "use_none",
        "token_id": "tok_none",
        "key_id": "ssh_none",
        "session_id": "ses_none",
        "note_id": "note_none",
        "factor_id": "fac_none",
        "identity_id": "idn_none",
        "statement_id": "stm_none",
        "transfer_id": "tr_none",
        "payment_id": "pay_none",
        "method_id": "pm_none",
        "provider": "test",
        "approval_id": "apr_none",
        "target": "transfer:tr_none",
        "filename": "img/icons.svg",
        "voucher_id": "vch_none",
        "announcement_id": "ann_none",
        "setting_key": "grace_days",
        "change_id": "chg_none",
        "step": "publish",
    }
    rule = next(rule for rule in web.url_map.iter_rules() if rule.endpoint == endpoint)
    with web.test_request_context():
        return web.url_for(endpoint, **{name: values[name] for name in rule.arguments})


@pytest.fixture
def binned(cloud, alice, project):
    """A machine of alice's in the recycle bin."""
    cloud.keep_deleted(7)
    vm = cloud.launch(alice, project, "web-1b")
    cloud.vms.delete_vm(vm.id, vm.name)
    cloud.worker.work()
    return vm


@pytest.fixture
def binned_project(cloud, alice, binned):
    """A project of alice's in the recycle bin."""
    gone = cloud.project(alice, "web-1c")
    cloud.projects.delete_project(gone.id)
    return gone


@pytest.fixture
def where(web, project, machine, alice, binned, binned_project):
    def find(endpoint):
        is_bin = endpoint.startswith("bin.")
        return address(
            web,
            endpoint,
            project=binned_project if is_bin else project,
            machine=binned if is_bin else machine,
            alice=alice,
        )

    return find


@pytest.mark.asvs("6.3.4")
def test_every_rule_is_listed_with_its_methods(web):
    found = {rule.endpoint: " ".join(sorted(rule.methods - {"HEAD", "OPTIONS"})) for rule in web.url_map.iter_rules()}
    assert found == {endpoint: methods for endpoint, (_, methods) in RULES.items()}


@pytest.mark.asvs("8.2.1")
def test_visitors_are_led_to_the_log_in(visitor, where):
    for endpoint, method in GUARDED:
        url = where(endpoint)
        call = visitor.get if method == "GET" else visitor.post
        answer = call(url)
        if url.endswith(".json"):
            assert answer.status_code == 401, url
            continue
        assert answer.status_code == 303, url
        assert answer.headers["Location"].startswith("/login"), url
        fragment = call(url, htmx=True)
        assert (fragment.status_code, fragment.text) == (204, ""), url
        assert fragment.headers["HX-Redirect"].startswith("/login"), url


def test_programs_get_401_instead_of_the_log_in(visitor, where):
    for endpoint, method in GUARDED:
        call = visitor.get if method == "GET" else visitor.post
        answer = call(where(endpoint), headers={"Accept": "application/json"})
        assert answer.status_code == 401, endpoint
        assert answer.json["code"] == "AUTHENTICATION_REQUIRED"


def test_strangers_are_told_that_there_is_nothing(as_charlie, where):
    for endpoint, method in GUARDED:
        if RULES[endpoint][0] == OWNER:
            call = as_charlie.get if method == "GET" else as_charlie.post
            for htmx in (False, True):
                answer = call(where(endpoint), htmx=htmx)
                assert answer.status_code == 404, (endpoint, method)
                assert "web-1" not in answer.text


@pytest.mark.asvs("8.2.1")
def test_people_who_are_no_admins_are_refused(as_alice, where):
    for endpoint, method in GUARDED:
        if RULES[endpoint][0] == ADMIN:
            call = as_alice.get if method == "GET" else as_alice.post
            for htmx in (False, True):
                assert call(where(endpoint), htmx=htmx).status_code == 403, (endpoint, method)


@pytest.mark.asvs("3.5.1", "7.6.2")
def test_no_post_works_without_its_token(as_admin, where):
    for endpoint, method in CALLS:
        if method == "POST" and RULES[endpoint][0] not in (SIGNED, PROGRAM, PROCESS):
            answer = as_admin.post(where(endpoint), csrf=False)
            assert answer.status_code == 400, endpoint
            assert "reload it" in answer.text, endpoint


@pytest.mark.asvs("3.5.3")
def test_no_address_takes_a_method_it_does_not_have(as_admin, where):
    for endpoint, (_, methods) in RULES.items():
        wrong = "POST" if "POST" not in methods else "DELETE"
        answer = as_admin.client.open(where(endpoint), method=wrong, headers={"X-CSRFToken": as_admin.token()})
        assert answer.status_code == 405, (endpoint, wrong)


@pytest.mark.asvs("14.2.2", "14.3.2")
def test_signed_in_pages_are_never_stored(as_admin, where):
    for endpoint, method in GUARDED:
        if method == "GET" and endpoint != "live.events":
            answer = as_admin.get(where(endpoint))
            assert answer.headers["Cache-Control"] == "no-store", endpoint
            assert "HX-Request" in answer.headers["Vary"], endpoint


# -- roles in a project ---------------------------------------------------------------------------

WHO = ("anonymous", "stranger", "viewer", "restricted", "member", "project admin", "owner", "admin")
# endpoint: the mildest role that may, its status of a GET, and of a POST without any field (None: no such method)
OF_A_PROJECT = {
    "projects.show": ("viewer", 200, None),
    "projects.rename": ("project admin", 200, 400),
    "projects.settings": ("project admin", 200, 400),
    "projects.archive": ("project admin", None, 409),  # its machine runs
    "projects.unarchive": ("project admin", None, 303),
    "projects.delete": ("owner", 200, 400),
    "projects.budget": ("project admin", 200, 303),
    "projects.members": ("viewer", 200, None),
    "projects.invite": ("project admin", 200, 400),
    "projects.revoke_invitation": ("project admin", None, 404),
    "projects.change_role": ("project admin", None, 400),
    "projects.remove_member": ("project admin", None, 404),
    "projects.leave": ("viewer", None, 303),
    "vms.show": ("viewer", 200, None),
    "vms.status": ("viewer", 200, None),
    "vms.activity": ("viewer", 200, None),
    "vms.metrics": ("viewer", 200, None),
    "vms.console": ("restricted", 200, None),
    "vms.act": ("restricted", None, 303),
    "vms.labels": ("member", 200, 303),
    "vms.move": ("member", 200, 400),
    "vms.resize": ("member", 200, 400),
    "vms.resize_quote": ("member", 200, None),
    "vms.delete": ("member", 200, 400),
    "bin.restore_vm": ("member", 200, 400),
    "bin.purge_vm": ("member", 200, 400),
    "bin.project": ("owner", 200, None),
    "bin.restore_project": ("owner", 200, 400),
    "bin.purge_project": ("owner", 200, 400),
    "projects.protect": ("owner", None, 303),
    "projects.ownership": ("owner", 200, None),
    "projects.offer_ownership": ("owner", None, 404),
    "projects.withdraw_ownership": ("owner", None, 303),
    "projects.accept_ownership": ("viewer", None, 404),  # there is no offer
    "projects.decline_ownership": ("viewer", None, 404),
    "vms.protect": ("member", None, 303),
}
# What the table above cannot say: an owner does not leave, nor does one who was never in.
ODD = {
    ("projects.accept_ownership", "owner"): 303,  # theirs already
    ("projects.leave", "owner"): 409,
    ("projects.leave", "admin"): 404,
}


def expected(endpoint, who, method):
    """The status of ``endpoint`` for ``who``: 'GET', 'POST', or 'no token' for a POST without one."""
    mildest, of_get, of_post = OF_A_PROJECT[endpoint]
    status = of_get if method == "GET" else of_post
    if status is None:
        return 405
    if method == "no token":
        return 400
    if who == "anonymous":
        return 401 if endpoint == "vms.metrics" else 303
    if who == "stranger":
        return 404
    if WHO.index(who) < WHO.index(mildest):
        return 403
    return ODD.get((endpoint, who), status)


def test_every_rule_with_a_project_or_a_machine_has_its_row(web):
    taking = {rule.endpoint for rule in web.url_map.iter_rules() if {"project_id", "vm_id"} & rule.arguments}
    assert taking == set(OF_A_PROJECT)


@pytest.fixture
def person(web, container, project, binned_project, alice, admin, visitor):
    """A fresh browser of somebody in that role."""

    def log_in(who):
        if who == "anonymous":
            return visitor
        if who in ("owner", "admin"):
            return Browser(web).log_in(alice if who == "owner" else admin)
        user = sign_up(container, who.replace(" ", "-"))
        if who != "stranger":
            for each in (project, binned_project):
                join(container, each, user, who.removeprefix("project "))
        return Browser(web).log_in(user)

    return log_in


@pytest.mark.asvs("8.3.1")
@pytest.mark.parametrize("who", WHO)
def test_what_each_role_gets(person, who, where, web, project, machine, alice):
    browser = person(who)
    for endpoint in sorted(OF_A_PROJECT, key=lambda each: each == "projects.leave"):
        url = where(endpoint).replace(f"/members/{alice.id}", "/members/usr_none")
        for method in ("GET", "no token", "POST"):
            if method == "GET":
                status = browser.get(url).status_code
            else:
                status = browser.post(url, csrf=method == "POST").status_code
            assert status == expected(endpoint, who, method), (endpoint, who, method)
        if endpoint == "vms.act":
            cloud_is_idle(web, machine)


def cloud_is_idle(web, machine):
    """The stop that was ordered is done and undone, for the rules that come after."""
    vms = web.extensions[EXTENSION].get_vm_service()
    if (claim := vms.operations.claim("matrix")) is not None:
        now = web.extensions[EXTENSION].clock.now()
        assert vms.records.operation_off(claim, now)
