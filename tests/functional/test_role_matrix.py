"""Every URL rule × every role × GET, POST without its token, POST: the status of each from one table.

Who may call what stands in test_route_matrix.py. Whoever may gets 200 from a GET and, having sent no field, 400 from a
POST, unless the rule stands below; ids of project and machine are real, others are of nothing.
"""

import pytest

from tests.functional.conftest import Browser
from tests.functional.test_route_matrix import (
    ADMIN,
    ANYONE,
    OF_A_PROJECT,
    OWNER,
    PROCESS,
    PROGRAM,
    RULES,
    SIGNED,
    WHO,
    address,
    binned,
    binned_project,
    expected,
    person,
    where,
)  # fmt: skip

__all__ = ["address", "binned", "binned_project", "person", "where"]  # fixtures

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

NOTHING_THERE = 404
# endpoint: status of a GET and of a POST without any field, for those who may. None: as said above.
STATUS = {
    "public.words": (404, None),  # the operator wrote none
    "account.save_view": (404, 404),  # of no list
    "auth.welcome": (404, 404),
    "auth.finish_signup": (404, 404),
    "auth.forgot": (None, 404),  # without a mail server
    "auth.reset_password": (404, 404),
    "auth.email_link": (404, 404),
    "auth.refuse_email": (None, 404),
    "auth.oidc_begin": (None, 404),  # no provider is set
    "auth.oidc_callback": (404, None),
    "auth.login_factor": (303, 303),  # nothing waits for a factor
    "auth.factor_options": (None, 401),
    "auth.passkey_options": (None, 200),
    "auth.logout": (None, 303),
    "account.confirm_options": (None, 404),
    "account.passkey_options": (None, 200),
    "account.factor_needed": (303, None),
    "account.new_codes": (None, 409),
    "account.email": (404, 404),  # without a mail server
    "account.cancel_email": (None, 303),
    "account.link_identity": (None, 404),
    "account.confirm_by_provider": (None, 404),
    "account.leave_view": (None, 303),
    "account.end_other_sessions": (None, 303),
    "account.export": (None, 200),
    "account.stay": (None, 303),
    "account.read_notices": (None, 303),
    "account.notifications": (None, 303),  # nothing is ticked: no mails but those that always come
    "account.set_theme": (None, 303),
    "account.set_language": (None, 303),
    "invitations.show": (404, None),
    "vms.quote": (404, None),
    "vms.bulk": (404, 404),
    "bin.several": (404, 404),
    "billing.details": (None, 303),  # as they are
    "billing.plan": (None, 303),
    "billing.plan_order": (None, 303),
    "billing.what_if": (None, 200),
    "admin.disable_user": (None, 303),
    "admin.enable_user": (None, 303),
    "admin.password_link": (None, 200),
    "admin.bulk": (None, 303),  # back to the list: nothing was chosen
    "admin.remove_note": (404, 404),
    "admin.reset_password": (None, 409),  # without a mail server
    "admin.test_mail": (None, 409),  # the same
    "admin.end_user_sessions": (None, 303),
    "admin.end_user_session": (404, 404),
    "admin.quotas": (None, 303),
    "admin.offer_size": (None, 303),
    "admin.offer_image": (None, 303),
    "admin.build_image": (None, 303),
    "admin.end_version": (None, 303),
    "admin.edit_image": (None, 303),  # as it is
    "admin.renew_version": (None, 303),  # offered again
    "admin.price_change": (404, 404),
    "admin.rehearsal": (404, None),
    "admin.rehearsal_file": (404, None),
    "admin.publish_prices": (None, 404),
    "admin.discard_prices": (404, 404),
    "admin.withdraw_prices": (404, 404),
    "admin.revoke_voucher": (404, 404),
    "admin.payment": (404, 404),
    "admin.remove_tax": (404, 404),
    "admin.announcement": (404, 404),
    "admin.end_announcement": (404, 404),
    "admin.reset_setting": (None, 303),
    "admin.order_vms": (404, 404),
    "admin.remove_stray": (404, 404),
    "admin.adopt_stray": (404, 404),
    "admin.revoke_invitation": (None, 404),
    "admin.ledger_transfer": (404, None),
    "admin.approve": (None, 404),
    "admin.refuse": (404, 404),
    "admin.interval": (404, None),
    "admin.refund": (404, 404),
    "api.me": (401, None),
    "api.vms": (401, None),
    "internal.take_metrics": (None, 401),
    "health.ready": (503, None),  # no worker reports in this test
    "health.metrics": (404, None),  # no ZENTRY_METRICS_TOKEN
}
WHEN_SIGNED_IN = {"auth.signup": (303, 303), "auth.login": (303, 400)}
# The address of the first, with GET, is the second's, and names a thing that is not there.
AS_ANOTHER = {"billing.auto_top_up": "billing.payment", "admin.bulk": "admin.user"}
WITHOUT_TOKEN = {PROGRAM: None, PROCESS: None, SIGNED: 400}  # no browsers' forms: as with one


def status_of(endpoint, url, who, method):
    """What the table says; ``method`` as in ``expected``."""
    of_another = method == "GET" and endpoint in AS_ANOTHER
    if of_another:
        endpoint = AS_ANOTHER[endpoint]
    kind, methods = RULES[endpoint]
    if endpoint in OF_A_PROJECT:
        return expected(endpoint, who, method)
    if ("GET" if method == "GET" else "POST") not in methods.split():
        return 405
    if who == "anonymous" and kind not in (ANYONE, *WITHOUT_TOKEN):  # also without a token: to the log-in, and back
        return 401 if url.endswith(".json") else 303
    if method == "no token" and kind not in WITHOUT_TOKEN:
        return 400
    if kind == OWNER:
        return NOTHING_THERE
    if kind == ADMIN and who != "admin":
        return 403
    if of_another:
        return NOTHING_THERE
    row = STATUS.get(endpoint, (None, None))
    if who != "anonymous":
        row = WHEN_SIGNED_IN.get(endpoint, row)
    return (row[0] or 200) if method == "GET" else (row[1] or 400)


def call(browser, url, method):
    """The status of an answer; a stream is not waited for."""
    if method != "GET":
        answer = browser.post(url, csrf=method == "POST")
    else:
        answer = browser.client.get(url, buffered=False) if url == "/events" else browser.get(url)
    answer.close()
    return answer.status_code


def test_the_table_names_only_rules_that_there_are():
    assert set(STATUS) | set(WHEN_SIGNED_IN) <= set(RULES)


@pytest.mark.asvs("8.2.1")
@pytest.mark.parametrize("who", WHO)
def test_every_role_on_every_rule(person, who, where, web):
    browser = person(who)
    wrong = []
    for endpoint in sorted(RULES, key=lambda each: each == "projects.leave"):  # whoever left is a stranger
        if endpoint in OF_A_PROJECT:
            continue  # test_route_matrix.test_what_each_role_gets
        url = where(endpoint)
        for method in ("GET", "no token", "POST"):
            status, wanted = call(browser, url, method), status_of(endpoint, url, who, method)
            if status != wanted:
                wrong.append((endpoint, method, status, wanted))
        if endpoint == "auth.logout" and browser.user is not None:
            browser = Browser(web).log_in(browser.user)
    assert wrong == [], "\n".join(map(str, wrong))
