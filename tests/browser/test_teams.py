"""A team: invited by a link, accepted as another person, refused politely, and out at the next click."""

import re

from playwright.sync_api import expect

from tests.browser.browser import Person


def invite(owner: Person, project_id: str, role: str) -> str:
    """Invite somebody through the dialog; the path of the link that is shown once."""
    page = owner.page
    page.goto(f"/projects/{project_id}/members")
    page.get_by_role("link", name="Invite").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("E-mail").fill("friend@example.com")
    dialog.get_by_role("radio", name=re.compile(role, re.I)).check()
    dialog.get_by_role("button", name="Invite").click()
    expect(dialog.get_by_text("hand this link")).to_be_visible()
    found = re.search(r"/invitations/[\w-]{20,}", dialog.inner_text())
    assert found
    dialog.get_by_role("link", name="Done").click()
    expect(page.get_by_text("friend@example.com")).to_be_visible()
    return found.group()


def test_a_restricted_member_joins_works_is_refused_and_put_out(alice: Person, bob: Person) -> None:
    project_id = alice.make_project("team-work")
    vm_id = alice.launch("shared")
    alice.wait_state("Running")
    link = invite(alice, project_id, "restricted")
    page = bob.page
    page.goto(link)
    expect(page.get_by_role("heading", name="Join team-work?")).to_be_visible()
    page.get_by_role("button", name="Accept").click()
    page.wait_for_url(f"**/projects/{project_id}")
    page.goto(f"/vms/{vm_id}")
    page.get_by_role("button", name="Reboot").click()
    expect(page.get_by_text("The reboot is ordered.")).to_be_visible()
    expect(page.get_by_role("link", name="Delete")).to_have_count(0)
    refused = page.goto(f"/vms/{vm_id}/delete")  # what the page does not offer, by its address
    assert refused is not None
    assert refused.status == 403
    expect(page.locator("main")).to_contain_text("Your role in this project is “restricted”")
    expect(page.get_by_role("link", name="Go back")).to_be_visible()
    page.goto(f"/vms/{vm_id}")
    token = page.locator('meta[name="csrf-token"]').get_attribute("content") or ""
    answer = page.request.post(f"/vms/{vm_id}/delete", form={"csrf_token": token, "confirm_name": "shared"})
    assert answer.status == 403
    assert "Your role in this project is “restricted”" in answer.text()
    alice.page.goto(f"/projects/{project_id}/members")
    alice.page.get_by_role("button", name=re.compile("^Actions for")).click()
    alice.page.locator("[popover]:popover-open").get_by_role("link", name="Remove").click()
    with alice.page.expect_navigation():
        alice.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    gone = page.goto(f"/projects/{project_id}")
    assert gone is not None
    assert gone.status == 404
    gone = page.goto(f"/vms/{vm_id}/console")
    assert gone is not None
    assert gone.status == 404
