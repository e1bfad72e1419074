"""Credits run out: the machine is stopped in time, nothing is owed, and the page says why."""

import re

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import func, select

from tests.browser.browser import Person, browser_context
from tests.browser.mailbox import Inbox
from tests.browser.product import Product, wait_until
from zentry_web.models import DbAccount, DbEntry

HOLD_SECONDS = 120


@pytest.mark.timeout(300)
def test_a_machine_is_stopped_when_its_credits_end_and_starts_again_with_new_ones(
    poor: tuple[Product, str, str], inbox: tuple[Inbox, str], chromium: Browser
) -> None:
    """``poor`` launched a machine, before the first page was looked at, with credits for its first hold and no more."""
    product, email, vm_id = poor
    billing = product.container.get_billing_service()
    user_id = product.find_user(email).id
    with browser_context(chromium, product.url) as (context, problems):
        person = Person(context, problems, email=email)
        person.log_in()
        page = person.page
        page.goto(f"/vms/{vm_id}")
        person.wait_state("Stopped", HOLD_SECONDS + 60)
        expect(page.locator("#vm-status .z-alert")).to_contain_text(re.compile("credit", re.IGNORECASE))
        start = page.get_by_role("button", name=re.compile("^Start"))
        expect(start).to_have_attribute("aria-disabled", "true")
        expect(start).to_have_accessible_description("There are not enough credits to start it.")
        page.goto(f"/vms/{vm_id}/start")
        page.get_by_role("button", name=re.compile("^Start")).click()
        expect(page.locator("body")).to_contain_text("more are needed")
        page.goto(f"/vms/{vm_id}")
        expect(person.state).to_have_text("Stopped")
        subjects = " ".join(text.partition("\r\n\r\n")[0] for _, text in inbox[0].mails)
        assert "Your credits run out in less than an hour" in subjects
        assert "Machines are about to stop" in subjects
        page.goto("/account/notices")
        expect(page.locator("#main")).to_contain_text("brief stops at")
        page.goto("/credits/plan")
        expect(page.locator("#main")).to_contain_text("Its disk is deleted")
        page.goto(f"/vms/{vm_id}")
        billing.add_credits(user_id, 1_000_000, "back again")
        person.wait_state("Running", 60)

    (running, *_) = product.intervals(vm_id)
    assert running.end_at is not None
    seconds = (running.end_at - running.start_at).total_seconds()
    assert HOLD_SECONDS - 30 <= seconds <= HOLD_SECONDS
    wait_until(lambda: product.intervals(vm_id)[0].settled, 30, "the run is settled")
    assert billing.get_balance(user_id).total_micro >= 0
    lowest = (
        select(func.min(DbEntry.balance_after))
        .join(DbAccount, DbAccount.id == DbEntry.account_id)
        .where(DbAccount.owner_id == user_id)
    )
    with product.container.database.reading() as session:
        assert session.scalar(lowest) >= 0
    assert [check for check in billing.verify() if not check.ok] == []
