"""What belongs to alice is nowhere to be seen for bob: not by address, not in the stream of live events."""

from playwright.sync_api import expect

from tests.browser.browser import Person

COLLECT_EVENTS = """() => {
  window.heard = [];
  const stream = new EventSource(document.body.dataset.events);
  stream.addEventListener("change", (event) => window.heard.push(event.data));
  return new Promise((resolve) => stream.addEventListener("open", resolve));
}"""


def test_a_stranger_finds_nothing_of_mine(alice: Person, bob: Person) -> None:
    project_id = alice.make_project("secret-plans")
    vm_id = alice.launch("hidden-gem")
    alice.wait_state("Running")
    page = bob.page
    for path in (
        *(f"/vms/{vm_id}{rest}" for rest in ("", "/status", "/activity", "/console", "/metrics.json", "/delete")),
        *(f"/projects/{project_id}{rest}" for rest in ("", "/rename", "/delete")),
    ):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 404, path
        for secret in ("hidden-gem", "secret-plans", alice.email):
            assert secret not in answer.text(), (path, secret)
    bob.make_project("my-own")
    token = page.locator('meta[name="csrf-token"]').get_attribute("content") or ""
    for path in (*(f"/vms/{vm_id}/{action}" for action in ("start", "stop", "reboot", "force_off", "delete")),):
        answer = page.request.post(path, form={"csrf_token": token, "confirm_name": "hidden-gem"})
        assert answer.status == 404, path
    answer = page.request.post(
        "/vms/new",
        form={
            "csrf_token": token, "name": "intruder", "project_id": project_id,
            "size_id": "size_nano", "image_id": "img_tiny",
        },
    )  # fmt: skip
    assert answer.status == 404
    for path in ("/admin", "/admin/users", "/admin/vms", "/admin/audit"):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 403, path
    expect(alice.state).to_have_text("Running")


def test_live_events_do_not_leak(alice: Person, bob: Person) -> None:
    bob.page.goto("/vms")
    bob.page.evaluate(COLLECT_EVENTS)
    alice.page.evaluate(COLLECT_EVENTS)
    project_id = alice.make_project("whisper")
    alice.page.goto("/overview")
    alice.page.evaluate(COLLECT_EVENTS)
    page = alice.context.new_page()
    person_page, alice.page = alice.page, page
    vm_id = alice.launch("whisperer")
    alice.wait_state("Running")
    person_page.wait_for_function("(id) => window.heard.some((data) => data.includes(id))", arg=vm_id)
    heard = bob.page.evaluate("window.heard.join(' ')")
    assert vm_id not in heard
    assert project_id not in heard
