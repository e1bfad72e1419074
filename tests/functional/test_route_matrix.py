"""Every URL rule and who may call it. A rule that is not listed here fails; so does one that lets somebody else in."""

import pytest

from tests.conftest import sign_up
from tests.functional.conftest import Browser
from tests.services.people import join
from zentry_web.adapters.compute.base import Machine, PowerState
from zentry_web.domain.user import SYSTEM
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
    "public.status": (ANYONE, "GET"),
    "public.calculator": (ANYONE, "GET"),
    "public.words": (ANYONE, "GET"),
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
    "account.unlink_identity": (OWNER, "GET POST"),
    "account.add_passkey": (SIGNED_IN, "GET POST"),
    "account.passkey_options": (SIGNED_IN, "POST"),
    "account.factor_needed": (SIGNED_IN, "GET"),
    "account.factor_app": (SIGNED_IN, "GET POST"),
    "account.remove_factor": (OWNER, "GET POST"),
    "account.new_codes": (SIGNED_IN, "GET POST"),
    "account.end_session": (OWNER, "GET POST"),
    "account.end_other_sessions": (SIGNED_IN, "GET POST"),
    "account.data": (SIGNED_IN, "GET"),
    "account.export": (SIGNED_IN, "POST"),
    "account.leave": (SIGNED_IN, "GET POST"),
    "account.stay": (SIGNED_IN, "POST"),
    "account.tokens": (SIGNED_IN, "GET POST"),
    "account.end_token": (OWNER, "GET POST"),
    "account.save_view": (SIGNED_IN, "GET POST"),
    "account.saved_view": (OWNER, "GET POST"),
    "account.ssh_keys": (SIGNED_IN, "GET POST"),
    "account.ssh_key": (OWNER, "GET POST"),
    "account.remove_ssh_key": (OWNER, "GET POST"),
    "account.notifications": (SIGNED_IN, "GET POST"),
    "account.notices": (SIGNED_IN, "GET"),
    "account.read_notices": (SIGNED_IN, "POST"),
    "account.dismiss": (OWNER, "POST"),
    "account.set_theme": (ANYONE, "POST"),
    "account.set_language": (ANYONE, "POST"),
    "dashboard.overview": (SIGNED_IN, "GET"),
    "projects.index": (SIGNED_IN, "GET"),
    "projects.create": (SIGNED_IN, "GET POST"),
    "projects.show": (OWNER, "GET"),
    "projects.spend": (OWNER, "GET"),
    "projects.images": (OWNER, "GET"),
    "projects.delete_image": (OWNER, "GET POST"),
    "projects.activity": (OWNER, "GET"),
    "projects.rename": (OWNER, "GET POST"),
    "projects.settings": (OWNER, "GET POST"),
    "projects.archive": (OWNER, "POST"),
    "projects.unarchive": (OWNER, "POST"),
    "projects.delete": (OWNER, "GET POST"),
    "bin.index": (SIGNED_IN, "GET"),
    "bin.file": (SIGNED_IN, "GET"),
    "bin.several": (SIGNED_IN, "GET POST"),
    "bin.restore_vm": (OWNER, "GET POST"),
    "bin.purge_vm": (OWNER, "GET POST"),
    "bin.project": (OWNER, "GET"),
    "bin.restore_project": (OWNER, "GET POST"),
    "bin.purge_project": (OWNER, "GET POST"),
    "projects.protect": (OWNER, "POST"),
    "projects.ownership": (OWNER, "GET"),
    "projects.offer_ownership": (OWNER, "POST"),
    "projects.withdraw_ownership": (OWNER, "GET POST"),
    "projects.accept_ownership": (OWNER, "POST"),
    "projects.decline_ownership": (OWNER, "POST"),
    "vms.protect": (OWNER, "POST"),
    "projects.members": (OWNER, "GET"),
    "projects.invite": (OWNER, "GET POST"),
    "projects.revoke_invitation": (OWNER, "GET POST"),
    "projects.change_role": (OWNER, "POST"),
    "projects.remove_member": (OWNER, "GET POST"),
    "projects.leave": (OWNER, "GET POST"),
    "invitations.show": (ANYONE, "GET"),
    "invitations.accept": (OWNER, "POST"),
    "invitations.decline": (OWNER, "POST"),
    "invitations.mailed": (OWNER, "GET"),
    "invitations.accept_mailed": (OWNER, "POST"),
    "invitations.decline_mailed": (OWNER, "POST"),
    "projects.budget": (OWNER, "GET POST"),
    "undo.undo": (OWNER, "GET POST"),
    "operations.index": (SIGNED_IN, "GET"),
    "operations.show": (OWNER, "GET"),
    "operations.abort": (OWNER, "GET POST"),
    "operations.again": (OWNER, "GET POST"),
    "vms.index": (SIGNED_IN, "GET"),
    "vms.complete": (SIGNED_IN, "GET"),
    "vms.file": (SIGNED_IN, "GET"),
    "vms.bulk": (SIGNED_IN, "GET POST"),
    "vms.create": (SIGNED_IN, "GET POST"),
    "vms.quote": (SIGNED_IN, "GET"),
    "vms.show": (OWNER, "GET"),
    "vms.row": (OWNER, "GET"),
    "vms.menu": (OWNER, "GET"),
    "vms.status": (OWNER, "GET"),
    "vms.figures": (OWNER, "GET"),
    "vms.charts": (OWNER, "GET"),
    "vms.settings": (OWNER, "GET"),
    "vms.activity": (OWNER, "GET"),
    "vms.console": (OWNER, "GET"),
    "vms.console_window": (OWNER, "GET"),
    "vms.console_ticket": (OWNER, "POST"),
    "vms.console_socket": (OWNER, "GET"),
    "vms.metrics": (OWNER, "GET"),
    "vms.act": (OWNER, "GET POST"),
    "vms.force_off": (OWNER, "GET POST"),
    "vms.reset": (OWNER, "GET POST"),
    "vms.labels": (OWNER, "GET POST"),
    "vms.rename": (OWNER, "GET POST"),
    "vms.restarts": (OWNER, "GET POST"),
    "vms.timers": (OWNER, "GET"),
    "vms.add_timer": (OWNER, "GET POST"),
    "vms.remove_timer": (OWNER, "GET POST"),
    "vms.extend_timer": (OWNER, "POST"),
    "vms.rebuild": (OWNER, "GET POST"),
    "vms.rescue": (OWNER, "GET POST"),
    "vms.leave_rescue": (OWNER, "GET POST"),
    "vms.password": (OWNER, "GET POST"),
    "vms.bring_back": (OWNER, "GET POST"),
    "vms.snapshots": (OWNER, "GET"),
    "vms.take_snapshot": (OWNER, "GET POST"),
    "vms.revert": (OWNER, "GET POST"),
    "vms.delete_snapshot": (OWNER, "GET POST"),
    "vms.snapshot_schedule": (OWNER, "GET POST"),
    "vms.backups": (OWNER, "GET"),
    "vms.back_up": (OWNER, "GET POST"),
    "vms.recover": (OWNER, "GET POST"),
    "vms.delete_backup": (OWNER, "GET POST"),
    "vms.prove_backup": (OWNER, "GET POST"),
    "vms.backup_schedule": (OWNER, "GET POST"),
    "vms.make_image": (OWNER, "GET POST"),
    "vms.move": (OWNER, "GET POST"),
    "vms.resize": (OWNER, "GET POST"),
    "vms.rebuild_plan": (OWNER, "GET"),
    "vms.unrevert": (OWNER, "GET POST"),
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
    "billing.transactions_file": (SIGNED_IN, "GET"),
    "billing.details": (SIGNED_IN, "GET POST"),
    "billing.receipt_pdf": (OWNER, "GET"),
    "billing.top_up": (SIGNED_IN, "GET POST"),
    "billing.payment": (OWNER, "GET"),
    "billing.pay": (OWNER, "GET"),
    "billing.pay_again": (OWNER, "POST"),
    "billing.pay_test": (OWNER, "POST"),
    "billing.auto_top_up": (SIGNED_IN, "POST"),
    "billing.remove_method": (OWNER, "GET POST"),
    "webhooks.receive": (SIGNED, "POST"),
    "billing.interval": (OWNER, "GET"),
    "billing.transaction": (OWNER, "GET"),
    "billing.transactions": (SIGNED_IN, "GET"),
    "billing.prices": (SIGNED_IN, "GET"),
    "billing.redeem": (SIGNED_IN, "GET POST"),
    "admin.overview": (ADMIN, "GET"),
    "admin.growth": (ADMIN, "GET"),
    "admin.users": (ADMIN, "GET"),
    "admin.users_file": (ADMIN, "GET"),
    "admin.user": (ADMIN, "GET POST"),
    "admin.disable_user": (ADMIN, "GET POST"),
    "admin.enable_user": (ADMIN, "POST"),
    "admin.password_link": (ADMIN, "GET POST"),
    "admin.view_as": (ADMIN, "GET POST"),
    "admin.bulk": (ADMIN, "POST"),
    "admin.run_bulk": (ADMIN, "POST"),
    "account.leave_view": (SIGNED_IN, "POST"),
    "admin.add_note": (ADMIN, "POST"),
    "admin.remove_note": (ADMIN, "GET POST"),
    "admin.change_role": (ADMIN, "GET POST"),
    "admin.reset_password": (ADMIN, "GET POST"),
    "admin.end_user_sessions": (ADMIN, "GET POST"),
    "admin.end_user_session": (ADMIN, "GET POST"),
    "admin.projects": (ADMIN, "GET"),
    "admin.projects_file": (ADMIN, "GET"),
    "admin.invitations": (ADMIN, "GET"),
    "admin.revoke_invitation": (ADMIN, "GET POST"),
    "admin.audit_file": (ADMIN, "GET"),
    "admin.vms": (ADMIN, "GET"),
    "admin.vms_file": (ADMIN, "GET"),
    "admin.vm_menu": (ADMIN, "GET"),
    "admin.complete_vms": (ADMIN, "GET"),
    "admin.order_vms": (ADMIN, "GET POST"),
    "admin.sizes": (ADMIN, "GET"),
    "admin.new_size": (ADMIN, "GET POST"),
    "admin.offer_size": (ADMIN, "GET POST"),
    "admin.price": (ADMIN, "GET POST"),
    "admin.storage_price": (ADMIN, "GET POST"),
    "admin.prices": (ADMIN, "GET"),
    "admin.new_prices": (ADMIN, "GET POST"),
    "admin.price_change": (ADMIN, "GET POST"),
    "admin.rehearsal": (ADMIN, "GET"),
    "admin.rehearsal_file": (ADMIN, "GET"),
    "admin.publish_prices": (ADMIN, "POST"),
    "admin.discard_prices": (ADMIN, "GET POST"),
    "admin.withdraw_prices": (ADMIN, "GET POST"),
    "admin.images": (ADMIN, "GET"),
    "admin.offer_image": (ADMIN, "GET POST"),
    "admin.new_image": (ADMIN, "GET POST"),
    "admin.edit_image": (ADMIN, "GET POST"),
    "admin.image_versions": (ADMIN, "GET"),
    "admin.build_image": (ADMIN, "POST"),
    "admin.end_version": (ADMIN, "GET POST"),
    "admin.renew_version": (ADMIN, "POST"),
    "admin.vouchers": (ADMIN, "GET"),
    "admin.voucher_file": (ADMIN, "GET"),
    "admin.make_vouchers": (ADMIN, "GET POST"),
    "admin.revoke_voucher": (ADMIN, "GET POST"),
    "admin.payments": (ADMIN, "GET"),
    "admin.payment": (ADMIN, "GET POST"),
    "admin.announcements": (ADMIN, "GET"),
    "admin.new_announcement": (ADMIN, "GET POST"),
    "admin.announcement": (ADMIN, "GET POST"),
    "admin.end_announcement": (ADMIN, "GET POST"),
    "admin.settings": (ADMIN, "GET"),
    "admin.setting": (ADMIN, "GET POST"),
    "admin.reset_setting": (ADMIN, "GET POST"),
    "admin.audit": (ADMIN, "GET"),
    "admin.verify_audit": (ADMIN, "GET"),
    "admin.system": (ADMIN, "GET"),
    "admin.test_mail": (ADMIN, "POST"),
    "admin.strays": (ADMIN, "GET"),
    "admin.remove_stray": (ADMIN, "GET POST"),
    "admin.adopt_stray": (ADMIN, "GET POST"),
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
    "admin.taxes": (ADMIN, "GET"),
    "admin.tax_file": (ADMIN, "GET"),
    "admin.add_tax": (ADMIN, "GET POST"),
    "admin.remove_tax": (ADMIN, "GET POST"),
    "admin.write_offs": (ADMIN, "GET"),
    "admin.write_offs_file": (ADMIN, "GET"),
    "admin.quotas": (ADMIN, "GET POST"),
    "admin.approvals": (ADMIN, "GET"),
    "admin.approve": (ADMIN, "POST"),
    "admin.refuse": (ADMIN, "GET POST"),
    "admin.interval": (ADMIN, "GET"),
    "admin.refund": (ADMIN, "GET POST"),
    "search.find": (SIGNED_IN, "GET"),
    "projects.file": (SIGNED_IN, "GET"),
    "search.complete": (SIGNED_IN, "GET"),
    "search.keys": (SIGNED_IN, "GET"),
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
        "machine_id": ids["machine"].id,
        "invitation_id": "inv_none",
        "user_id": ids["alice"].id,
        "size_id": "size_nano",
        "kind": "snapshot",
        "snapshot_id": "snap_none",
        "backup_id": "bak_none",
        "timer_id": "tmr_none",
        "image_id": "img_tiny",
        "made_id": "img_none",
        "version_id": "iv_img_tiny",
        "deed": "withdraw",
        "recipe": "debian-12",
        "stray_id": "vm_none",
        "action": "stop",
        "holder_id": ids["alice"].id,
        "token": "no-such-link",
        "interval_id": "use_none",
        "token_id": "tok_none",
        "key_id": "ssh_none",
        "view_id": "view_none",
        "session_id": "ses_none",
        "note_id": "note_none",
        "factor_id": "fac_none",
        "identity_id": "idn_none",
        "statement_id": "stm_none",
        "transfer_id": "tr_none",
        "payment_id": "pay_none",
        "receipt_id": "rcp_none",
        "rate_id": "tax_none",
        "method_id": "pm_none",
        "provider": "test",
        "approval_id": "apr_none",
        "target": "transfer:tr_none",
        "filename": "img/icons.svg",
        "voucher_id": "vch_none",
        "announcement_id": "ann_none",
        "setting_key": "grace_days",
        "change_id": "chg_none",
        "name": "terms",
        "list_name": "projects",
        "operation_id": first_operation(web, ids["machine"]),
        "undo_id": "undo_none",
    }
    rule = next(rule for rule in web.url_map.iter_rules() if rule.endpoint == endpoint)
    with web.test_request_context():
        return web.url_for(endpoint, **{name: values[name] for name in rule.arguments})


def first_operation(web, machine):
    """Its launch."""
    work = web.extensions[EXTENSION].get_vm_service().work
    return min(line.id for line in work.list_of(None, actor=SYSTEM) if line.vm_id == machine.id)


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
    "projects.spend": ("viewer", 200, None),
    "projects.images": ("viewer", 200, None),
    "projects.delete_image": ("member", 404, 404),
    "projects.activity": ("viewer", 200, None),
    "operations.show": ("viewer", 200, None),
    "operations.abort": ("member", 409, 409),  # it has ended
    "operations.again": ("member", 409, 409),  # well
    "projects.rename": ("project admin", 200, 400),
    "projects.settings": ("project admin", 200, 400),
    "projects.archive": ("project admin", None, 409),  # its machine runs
    "projects.unarchive": ("project admin", None, 303),
    "projects.delete": ("owner", 200, 400),
    "projects.budget": ("project admin", 200, 303),
    "projects.members": ("viewer", 200, None),
    "projects.invite": ("project admin", 200, 400),
    "projects.revoke_invitation": ("project admin", 404, 404),
    "projects.change_role": ("project admin", None, 400),
    "projects.remove_member": ("project admin", 404, 404),
    "projects.leave": ("viewer", 200, 303),
    "vms.show": ("viewer", 200, None),
    "vms.row": ("viewer", 200, None),
    "vms.menu": ("viewer", 200, None),
    "vms.status": ("viewer", 200, None),
    "vms.figures": ("viewer", 200, None),
    "vms.charts": ("viewer", 200, None),
    "vms.settings": ("viewer", 200, None),
    "vms.activity": ("viewer", 200, None),
    "vms.metrics": ("viewer", 200, None),
    "vms.console": ("restricted", 200, None),
    "vms.console_window": ("restricted", 200, None),
    "vms.console_ticket": ("restricted", None, 400),
    "vms.console_socket": ("restricted", 400, None),  # what the test sends is no WebSocket
    "vms.act": ("restricted", 200, 303),
    "vms.force_off": ("restricted", 200, 303),
    "vms.reset": ("restricted", 200, 303),
    "vms.labels": ("member", 200, 303),
    "vms.rename": ("member", 200, 400),
    "vms.restarts": ("member", 200, 400),
    "vms.timers": ("viewer", 200, None),
    "vms.add_timer": ("restricted", 200, 400),
    "vms.remove_timer": ("restricted", 404, 404),
    "vms.extend_timer": ("restricted", None, 404),
    "vms.rebuild": ("member", 200, 400),
    "vms.rescue": ("member", 200, 200),
    "vms.leave_rescue": ("member", 409, 409),
    "vms.password": ("member", 409, 409),
    "vms.bring_back": ("member", 409, 409),
    "vms.snapshots": ("viewer", 200, None),
    "vms.take_snapshot": ("member", 200, 400),
    "vms.revert": ("member", 404, 404),
    "vms.delete_snapshot": ("member", 404, 404),
    "vms.snapshot_schedule": ("member", 200, 303),
    "vms.backups": ("viewer", 200, None),
    "vms.back_up": ("member", 200, 400),
    "vms.recover": ("member", 404, 404),
    "vms.delete_backup": ("member", 404, 404),
    "vms.prove_backup": ("member", 404, 404),
    "vms.backup_schedule": ("member", 200, 303),
    "vms.make_image": ("member", 200, 400),
    "vms.move": ("member", 200, 400),
    "vms.resize": ("member", 200, 400),
    "vms.rebuild_plan": ("member", 200, None),
    "vms.unrevert": ("member", 409, 409),
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
    "projects.withdraw_ownership": ("owner", 303, 303),  # there is no offer
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
    if who == "anonymous":  # also without a token: to the log-in, and back
        return 401 if endpoint == "vms.metrics" else 303
    if method == "no token":
        return 400
    if who == "stranger":
        return 404
    if WHO.index(who) < WHO.index(mildest):
        return 403
    return ODD.get((endpoint, who), status)


def test_every_rule_with_a_project_or_a_machine_has_its_row(web):
    taking = {
        rule.endpoint for rule in web.url_map.iter_rules() if {"project_id", "vm_id", "operation_id"} & rule.arguments
    }
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
        if endpoint in ("vms.act", "vms.reset", "vms.force_off", "vms.rescue") and order_is_done(web):
            runs_again(web, machine)  # only what runs can be forced off or reset


def order_is_done(web):
    """The stop that was ordered is done, for the rules that come after; False when none was."""
    container = web.extensions[EXTENSION]
    vms = container.get_vm_service()
    claim = vms.operations.claim("matrix")
    return claim is not None and vms.records.operation_off(claim, container.clock.now())


def runs_again(web, machine):
    vms = web.extensions[EXTENSION].get_vm_service()
    vms.start_vm(machine.id)
    claim = vms.operations.claim("matrix")
    assert vms.records.operation_running(claim, Machine(machine.id, PowerState.RUNNING, "another run"))
