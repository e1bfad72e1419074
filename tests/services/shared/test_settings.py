"""Settings: looked up at each use, in all processes at once; who may change them, and what they then do."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.conftest import PASSWORD, sign_up
from tests.services.people import ALWAYS, Statements, acting, events_of, visitor
from zentry_web.composition import build_container
from zentry_web.domain.credits.books import Approval
from zentry_web.domain.credits.voucher import VoucherDraft
from zentry_web.domain.money import MICRO
from zentry_web.domain.secret import secret_hash
from zentry_web.domain.setting import DEFINITIONS, SettingKey, allows_domain, parse_domains
from zentry_web.domain.user import Actor, Role
from zentry_web.services.errors import (
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ProofRequiredError,
    RateLimitedError,
    ValidationError,
)

pytestmark = pytest.mark.integration

ADA = Actor("ada", Role.ADMIN, proved_at=ALWAYS)
GRACE = Actor("grace", Role.ADMIN, proved_at=ALWAYS)


@pytest.fixture
def settings(container):
    return container.get_billing_service().settings


def person(name, **more):
    return {"email": f"{name}@example.com", "name": name.title(), "password": PASSWORD} | more


# -- looking up -----------------------------------------------------------------------------------


def test_two_processes_on_one_database_agree_at_once(container, config, clock, admin):
    other = build_container(config, clock=clock)
    try:
        container.get_billing_service().settings.change("starting_credits", 7 * MICRO, 0, actor=acting(admin))
        late = sign_up(other, "late")
        assert other.get_billing_service().get_balance(late.id).total_micro == 7 * MICRO
        other.get_billing_service().settings.reset("starting_credits", 1, actor=acting(admin))
        later = sign_up(container, "later")
        assert container.get_billing_service().get_balance(later.id).total_micro == 5 * MICRO
    finally:
        other.close()


def test_what_the_environment_sets_cannot_be_changed(config, clock):
    pinned = config.model_copy(update={"grace_days": 30})
    pinned.__pydantic_fields_set__.add("grace_days")
    container = build_container(pinned, clock=clock)
    try:
        settings = container.get_billing_service().settings
        with Statements(container.database) as statements:
            assert settings.number(SettingKey.GRACE_DAYS) == 30
        assert statements.count == 0
        found = settings.get_setting("grace_days")
        assert (found.is_pinned, found.value, found.definition.variable) == (True, 30, "ZENTRY_GRACE_DAYS")
        for call in (lambda: settings.change("grace_days", 5, 0), lambda: settings.reset("grace_days", 0)):
            with pytest.raises(ConflictError, match="environment"):
                call()
    finally:
        container.close()


def test_a_value_in_the_database_yields_to_the_environment(container, config, clock):
    container.get_billing_service().settings.change("grace_days", 5, 0)
    pinned = config.model_copy(update={"grace_days": 30})
    pinned.__pydantic_fields_set__.add("grace_days")
    other = build_container(pinned, clock=clock)
    try:
        assert other.get_billing_service().settings.number(SettingKey.GRACE_DAYS) == 30
    finally:
        other.close()


def test_every_setting_has_a_default_that_it_takes_itself(settings, config):
    for key, default in config.setting_defaults.items():
        if key in config.pinned_settings:
            continue
        assert settings.get(key) == default == DEFINITIONS[key].default
        assert settings.change(key, default, 0).value == default


def test_a_list_takes_one_statement(container, settings):
    settings.change("grace_days", 5, 0)
    with Statements(container.database) as statements:
        assert len(settings.list_settings()) == len(SettingKey)
    assert len([text for text in statements.texts if text.startswith("SELECT")]) == 1


# -- changing -------------------------------------------------------------------------------------


def test_a_change_is_written_down_and_told(container, settings, core, admin, alice):
    other = container.get_auth_service()
    other.redeem_link(other.create_admin("second@example.com", "Second"), PASSWORD)
    changed = settings.change("starting_credits", 2 * MICRO, 0, actor=acting(admin))  # less needs nobody else
    assert (changed.value, changed.is_default, changed.changed_by_name) == (2 * MICRO, False, "Admin")
    waits = settings.reset("starting_credits", changed.version, actor=acting(admin))
    assert waits.what == "“Starting credits” to be 5.00 instead of 2.00"
    approvals = container.get_billing_service().books.approvals
    second = next(row.user for row in container.get_user_service().list_users() if row.user.name == "Second")
    approvals.decide(waits.id, True, actor=acting(second))
    again = settings.get_setting("starting_credits")
    assert (again.value, again.is_default, again.changed_by_name) == (5 * MICRO, True, "Second")
    found = [(event.details["from"], event.details["to"]) for event in events_of(core, "setting.change")]
    assert found == [(5 * MICRO, 2 * MICRO), (2 * MICRO, 5 * MICRO)]
    assert [event.details["to"] for event in settings.list_history("starting_credits")] == [5 * MICRO, 2 * MICRO]
    notices = container.get_billing_service().notices
    titles = [notice.title for notice in notices.list_notices(second.id)]
    assert "“Starting credits” is now 2.00" in titles
    told = [notice.title for notice in notices.list_notices(admin.id) if "Starting credits" in notice.title]
    assert told == [
        "Your request for “Starting credits” to be 5.00 instead of 2.00 was approved",
        "“Starting credits” is now 5.00",
    ]


def test_the_same_value_again_is_no_event(settings, core):
    settings.change("grace_days", 14, 0)
    assert events_of(core, "setting.change") == []


@pytest.mark.error
def test_two_admins_at_once_do_not_overwrite_each_other(settings):
    settings.change("grace_days", 5, 0)
    with pytest.raises(ConflictError):
        settings.change("grace_days", 6, 0)
    with pytest.raises(ConflictError):
        settings.reset("grace_days", 0)
    assert settings.number(SettingKey.GRACE_DAYS) == 5


def test_of_many_at_the_same_moment_one_wins(settings, core):
    done, refused = [], []

    def change(days):
        try:
            done.append(settings.change("grace_days", days, 0).value)
        except ConflictError:
            refused.append(days)

    threads = [threading.Thread(target=change, args=(days,)) for days in range(20, 26)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(done), len(refused)) == (1, 5)
    assert done == [settings.number(SettingKey.GRACE_DAYS)]
    assert len(events_of(core, "setting.change")) == 1


@pytest.mark.asvs("7.5.3")
@pytest.mark.error
def test_only_admins_with_a_fresh_proof_change_money(settings, alice, admin):
    for call in (
        lambda: settings.change("grace_days", 5, 0, actor=acting(alice)),
        lambda: settings.reset("grace_days", 0, actor=acting(alice)),
        lambda: settings.list_settings(actor=acting(alice)),
        lambda: settings.get_setting("grace_days", actor=acting(alice)),
        lambda: settings.list_history("grace_days", actor=acting(alice)),
    ):
        with pytest.raises(PermissionDeniedError):
            call()
    stale = replace(acting(admin), proved_at=None)
    for key in ("starting_credits", "approval_credits"):
        with pytest.raises(ProofRequiredError):
            settings.change(key, 1, 0, actor=stale)
    settings.change("grace_days", 5, 0, actor=stale)


@pytest.mark.asvs("2.2.2")
@pytest.mark.error
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("starting_credits", -1), ("starting_credits", 1.5), ("starting_credits", None), ("starting_credits", 10**18),
        ("approval_credits", True), ("grace_days", 0), ("grace_days", 366), ("grace_days", "14"),
        ("max_projects", 1001),
        ("signup", "maybe"), ("signup", None), ("login_tries", 2), ("signup_domains", "not a domain!"),
        ("signup_domains", "-x.example"), ("signup_domains", "a..b"), ("signup_domains", "\x00.example"),
        ("signup_domains", "com"), ("signup_domains", "1.5"), ("signup_domains", ".99"),
        ("signup_domains", " ".join(f"d{number}.example" for number in range(101))),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_on_its_field(settings, core, key, value):
    with pytest.raises(ValidationError) as refused:
        settings.change(key, value, 0)
    assert set(refused.value.details) == {"value"}
    assert events_of(core, "setting.change") == []


@pytest.mark.error
def test_there_is_no_such_setting(settings):
    for call in (lambda: settings.get_setting("x"), lambda: settings.change("x", 1, 0), lambda: settings.reset("x", 0)):
        with pytest.raises(NotFoundError):
            call()


# -- what they do ---------------------------------------------------------------------------------


def test_a_raised_approval_limit_frees_nobody_for_a_day(container, settings, alice, admin, clock):
    billing, me = container.get_billing_service(), acting(admin)  # alone: nobody could agree to raising it
    settings.change("approval_credits", 5_000 * MICRO, 0, actor=me)
    settings.change("approval_credits", 9_000 * MICRO, 1, actor=me)  # not even in two steps
    assert isinstance(billing.vouchers.create(VoucherDraft(1_001 * MICRO), actor=me), Approval)
    for actor in (me, GRACE):
        assert isinstance(billing.add_credits(alice.id, 1_001 * MICRO, "x", actor=actor), Approval)
    clock.advance(24 * 3600)
    assert not isinstance(billing.add_credits(alice.id, 1_002 * MICRO, "z", actor=me), Approval)


def test_a_lowered_approval_limit_holds_at_once_for_everybody(container, settings, alice, admin):
    billing, me = container.get_billing_service(), acting(admin)
    settings.change("approval_credits", 10 * MICRO, 0, actor=me)
    for actor in (me, GRACE):
        assert isinstance(billing.add_credits(alice.id, 11 * MICRO, "x", actor=actor), Approval)


def test_the_lowest_limit_of_a_day_holds_whoever_changed_it(settings, clock):
    def limit():
        return settings.approval_limit() // MICRO

    settings.change("approval_credits", 5_000 * MICRO, 0)
    clock.advance(hours=12)
    settings.change("approval_credits", 300 * MICRO, 1)
    settings.change("approval_credits", 6_000 * MICRO, 2)
    assert limit() == 300
    clock.advance(hours=12)
    assert limit() == 300, "what it was before the first change is a day ago"
    clock.advance(hours=12)
    assert limit() == 6_000


def test_days_of_grace_hold_for_disks_that_begin_to_wait(container, settings, cloud, alice):
    project = cloud.project(alice, "Website")
    cloud.launch(alice, project, "web-1")
    landing = container.get_billing_service().landing

    def spans():
        lines = landing.get_plan(alice.id).lines
        return lines[-1].at - lines[-2].at

    before = spans()
    settings.change("grace_days", 13, 0)
    assert before - spans() == timedelta(days=1)


@pytest.mark.asvs("2.3.2")
def test_the_number_of_projects(container, settings, alice):
    settings.change("max_projects", 1, 0)
    projects = container.get_project_service()
    projects.create_project({"name": "one"}, alice)
    with pytest.raises(ConflictError, match="at most 1 "):
        projects.create_project({"name": "two"}, alice)


def test_wrong_log_ins(container, settings, alice):
    settings.change("login_tries", 3, 0)
    auth = container.get_auth_service()
    for _ in range(3):
        with pytest.raises(Exception, match="wrong"):
            auth.login({"email": alice.email, "password": "no"}, actor=visitor())
    with pytest.raises(RateLimitedError):
        auth.login({"email": alice.email, "password": "no"}, actor=visitor())


def test_sign_ups_per_hour(container, settings):
    settings.change("signups_per_hour", 1, 0)
    auth = container.get_auth_service()
    auth.signup(person("ann"), actor=visitor())
    with pytest.raises(RateLimitedError):
        auth.signup(person("ben"), actor=visitor())


def test_invitations_per_hour(container, settings, alice, cloud):
    project = cloud.project(alice, "Website")
    settings.change("invitations_per_hour", 1, 0)
    invitations = container.get_project_service().invitations
    invitations.invite(project.id, {"email": "a@example.com", "role": "viewer"}, actor=acting(alice))
    with pytest.raises(RateLimitedError):
        invitations.invite(project.id, {"email": "b@example.com", "role": "viewer"}, actor=acting(alice))


def test_closed_and_by_invitation(container, settings, alice, cloud):
    auth, project = container.get_auth_service(), cloud.project(alice, "Website")
    invitations = container.get_project_service().invitations
    secret = invitations.invite(project.id, {"email": "a@x.org", "role": "viewer"}, actor=acting(alice)).secret
    settings.change("signup", "invited", 0)
    for wrong in ("", "no-such-secret", None, secret_hash(secret)):
        with pytest.raises(ConflictError, match="by invitation"):
            auth.signup(person("ann", invitation=wrong), actor=visitor())
    auth.signup(person("ann", invitation=secret), actor=visitor())
    with pytest.raises(ConflictError, match="by invitation"):
        auth.signup(person("ben", invitation=secret), actor=visitor())  # it lets one person in
    assert invitations.peek(secret), "and still leads into the project"
    another = invitations.invite(project.id, {"email": "b@x.org", "role": "viewer"}, actor=acting(alice))
    invitations.revoke(project.id, another.id, actor=acting(alice))
    with pytest.raises(ConflictError):
        auth.signup(person("ben", invitation=another.secret), actor=visitor())
    settings.change("signup", "closed", 1)
    with pytest.raises(ConflictError, match="Nobody"):
        auth.signup(person("ben", invitation=secret), actor=visitor())
    assert auth.login(person("ann"), actor=visitor()), "accounts there are log in as ever"
    auth.create_admin("new@example.com", "New")  # no sign-up


@pytest.mark.asvs("2.3.3")
def test_an_invitation_lets_one_of_many_in_whichever_way_they_come(container, settings, alice, cloud):
    """Asked for by many, finished by one: by mail the account is made later."""
    auth, project = container.get_auth_service(), cloud.project(alice, "Website")
    invitations = container.get_project_service().invitations
    secret = invitations.invite(project.id, {"email": "a@x.org", "role": "viewer"}, actor=acting(alice)).secret
    settings.change("signup", "invited", 0)
    for name in ("ann", "ben"):
        auth.verification.request_signup(person(name, invitation=secret), actor=visitor())
    first, second = (auth.verification.claim_mail().body.partition("/signup/")[2].split()[0] for _ in range(2))
    auth.verification.finish_signup(first, PASSWORD, actor=visitor())
    with pytest.raises(ConflictError, match="signed up by this invitation"):
        auth.verification.finish_signup(second, PASSWORD, actor=visitor())
    with pytest.raises(ConflictError, match="by invitation"):
        auth.signup(person("cem", invitation=secret), actor=visitor())
    settings.change("signup", "open", 1)
    auth.signup(person("dan", invitation=secret), actor=visitor())  # nobody needs one now


def test_two_who_sign_up_by_one_invitation_at_once_make_one_account(container, settings, alice, cloud):
    auth, project = container.get_auth_service(), cloud.project(alice, "Website")
    invitations = container.get_project_service().invitations
    secret = invitations.invite(project.id, {"email": "a@x.org", "role": "viewer"}, actor=acting(alice)).secret
    settings.change("signup", "invited", 0)

    def enter(name):
        try:
            return auth.signup(person(name, invitation=secret), actor=visitor())
        except ConflictError:
            return None

    with ThreadPoolExecutor(4) as pool:
        made = [user for user in pool.map(enter, ("ann", "ben", "cem", "dan")) if user]
    assert len(made) == 1


def test_domains_hold_in_both_ways_to_sign_up(container, settings, alice):
    settings.change("signup_domains", "example.org", 0)
    auth = container.get_auth_service()
    for call in (auth.signup, auth.verification.request_signup):
        for email in ("ann@example.com", alice.email, "ann@sub.example.org"):  # one that exists is told the same
            with pytest.raises(ValidationError) as refused:
                call(person("ann") | {"email": email}, actor=visitor())
            assert refused.value.details == {"email": "Only addresses that end with @example.org can sign up here."}
    assert auth.signup(person("ann") | {"email": "ann@EXAMPLE.org"}, actor=visitor())
    auth.verification.request_signup(person("ben") | {"email": "ben@example.org"}, actor=visitor())


@pytest.mark.unit
@pytest.mark.parametrize(
    ("domains", "email", "may"),
    [
        ("", "a@anything.example", True),
        ("example.com", "a@example.com", True), ("example.com", "a@Example.COM", True),
        ("example.com", "a@sub.example.com", False), ("example.com", "a@badexample.com", False),
        (".example.com", "a@sub.example.com", True), (".example.com", "a@deep.sub.example.com", True),
        (".example.com", "a@example.com", False), (".example.com", "a@badexample.com", False),
        ("@example.com, example.org", "a@example.org", True), ("xn--bcher-kva.example", "a@bücher.example", True),
        ("bücher.example", "a@xn--bcher-kva.example", True), ("example.com", "\"x@example.com\"@evil.example", False),
    ],
)  # fmt: skip
def test_what_a_domain_means(domains, email, may):
    assert allows_domain(parse_domains(domains), email) is may
