"""Where mail is sent: from sign-up to a verified account, and from a forgotten password back in."""

import re
import time
from collections.abc import Callable

from playwright.sync_api import Browser, expect

from tests.browser.browser import Person, browser_context
from tests.browser.mailbox import Inbox
from tests.browser.product import PASSWORD, Product
from tests.browser.test_factors import fresh_code, log_out, set_up_app

NEW = "quite another horse"


def test_a_link_makes_the_account_and_another_brings_back_who_forgot(
    poor: tuple[Product, str, str], inbox: tuple[Inbox, str], chromium: Browser
) -> None:
    product, address = poor[0], "vera@example.com"
    with browser_context(chromium, product.url) as (context, problems):
        problems.expect("404")
        page = Person(context, problems).page
        page.goto("/signup")
        expect(page.get_by_label("Password", exact=True)).to_have_count(0)
        page.get_by_label("Your name").fill("Vera")
        page.get_by_label("E-mail").fill(address)
        page.get_by_role("button", name="Mail me a link").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Check your mail")

        signup = inbox[0].path_mailed_to(address, "signup")
        page.goto(signup)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Create account").click()
        expect(page).to_have_url(re.compile("/overview$"))
        page.goto("/account/security")
        expect(page.locator("#main")).to_contain_text("this one")

        with browser_context(chromium, product.url) as (elsewhere, more):
            more.expect("404")
            other = Person(elsewhere, more).page
            other.goto("/login")
            other.get_by_role("link", name="Forgotten password?").click()
            other.get_by_label("E-mail").fill(address)
            other.get_by_role("button", name="Mail me a link").click()
            expect(other.get_by_role("heading", level=1)).to_have_text("Check your mail")
            other.goto(inbox[0].path_mailed_to(address, "reset"))
            other.get_by_label("Password", exact=True).fill(NEW)
            other.get_by_role("button", name="Set password").click()
            expect(other).to_have_url(re.compile("/login$"))
            other.get_by_label("E-mail").fill(address)
            other.get_by_label("Password", exact=True).fill(NEW)
            other.get_by_role("button", name="Log in").click()
            expect(other).to_have_url(re.compile("/overview$"))

        page.goto("/projects")  # the reset ended this session
        expect(page).to_have_url(re.compile("/login"))
        page.goto(signup)
        expect(page.locator("main")).to_contain_text("has been used")


def test_a_forgotten_password_does_not_go_around_the_second_factor(
    poor: tuple[Product, str, str],
    inbox: tuple[Inbox, str],
    sign_in: Callable[..., Person],
    visit: Callable[..., Person],
) -> None:
    fiona = sign_in("fiona", at=poor[0])
    fiona.page.goto("/account/factors/app")
    started = time.time()
    app = set_up_app(fiona.page)
    fiona.page.get_by_role("link", name="I have kept them").click()
    log_out(fiona.page)

    page = visit(poor[0]).page
    page.goto("/forgot")
    page.get_by_label("E-mail").fill(fiona.email)
    page.get_by_role("button", name="Mail me a link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Check your mail")
    page.goto(inbox[0].path_mailed_to(fiona.email, "reset"))
    page.get_by_label("Password", exact=True).fill(NEW)
    page.get_by_role("button", name="Set password").click()
    expect(page).to_have_url(re.compile("/login$"))

    page.get_by_label("E-mail").fill(fiona.email)
    page.get_by_label("Password", exact=True).fill(NEW)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page).to_have_url(re.compile("/login/factor$"))
    page.goto("/overview")
    expect(page).to_have_url(re.compile("/login")), "the link and the new password alone open nothing"
    page.goto("/login/factor")
    page.get_by_label("Code from your app").fill(fresh_code(app, started))
    page.get_by_role("button", name="Log in").first.click()
    expect(page).to_have_url(re.compile("/overview$"))
    page.goto("/account/security")
    expect(page.get_by_role("region", name="Second factors")).to_contain_text("10 left")


def test_a_mailed_invitation_is_accepted_by_another_person(
    poor: tuple[Product, str, str], inbox: tuple[Inbox, str], sign_in: Callable[..., Person]
) -> None:
    owner, guest = sign_in("olga", at=poor[0]), sign_in("gustav", at=poor[0])
    project_id = owner.make_project("shared-work")
    page = owner.page
    page.goto(f"/projects/{project_id}/members")
    page.get_by_role("link", name="Invite").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("E-mail").fill(guest.email)
    dialog.get_by_role("radio", name=re.compile("restricted", re.I)).check()
    dialog.get_by_role("button", name="Invite").click()
    expect(page.get_by_text(guest.email)).to_be_visible()
    page.goto("/overview")

    theirs = guest.page
    theirs.goto(inbox[0].path_mailed_to(guest.email, "invitations"))
    expect(theirs.get_by_role("heading", name="Join shared-work?")).to_be_visible()
    expect(theirs.locator("main")).to_contain_text("Olga")
    theirs.get_by_role("button", name="Accept").click()
    theirs.wait_for_url(f"**/projects/{project_id}")
    page.goto(f"/projects/{project_id}/members")
    expect(page.locator("#main")).to_contain_text("Gustav")
