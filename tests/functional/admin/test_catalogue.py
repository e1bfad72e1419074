"""/admin/sizes, prices, /admin/images."""

from datetime import timedelta

import pytest

from tests.page import Page
from tests.services.people import acting, events_of
from zentry_web.services.errors import PermissionDeniedError

pytestmark = pytest.mark.integration


def test_withdrawing_and_offering_a_size(as_admin, as_alice, project):
    assert as_admin.post("/admin/sizes/size_large").headers["Location"] == "/admin/sizes"
    assert "size_large" not in as_alice.page("/vms/new").html
    as_admin.post("/admin/sizes/size_large", {"active": "y"})
    assert "size_large" in as_alice.page("/vms/new").html


@pytest.mark.parametrize("htmx", [False, True])
def test_a_new_price_counts_for_new_launches_only(as_admin, as_alice, machine, htmx):
    answer = as_admin.post("/admin/sizes/size_nano/price", {"running": "0.009", "disk": "0.0003"}, htmx=htmx)
    assert answer.status_code == (204 if htmx else 303)
    assert "v2" in as_admin.page("/admin/sizes").text()
    assert "0.009" in as_alice.page("/vms/new").text()
    assert "0.009" not in as_alice.page(f"/vms/{machine.id}").text()


@pytest.mark.parametrize("htmx", [False, True])
@pytest.mark.parametrize(
    ("field", "value"), [("running", ""), ("running", "cheap"), ("disk", "-1"), ("disk", "0.00000001")]
)
def test_a_wrong_price_is_said_beside_its_field(as_admin, field, value, htmx):
    data = {"running": "0.01", "disk": "0.0001"} | {field: value}
    answer = as_admin.post("/admin/sizes/size_nano/price", data, htmx=htmx)
    assert answer.status_code == 400
    assert set(Page(answer.text, fragment=htmx).errors()) == {field}


@pytest.mark.parametrize("path", ["/admin/sizes/size_gone", "/admin/images/img_gone"])
def test_what_does_not_exist_cannot_be_withdrawn(as_admin, path):
    assert as_admin.post(path).status_code == 404


def test_a_size_that_does_not_exist_has_no_price(as_admin):
    assert as_admin.get("/admin/sizes/size_gone/price").status_code == 404


def test_withdrawing_and_offering_an_image(as_admin, as_alice, project):
    as_admin.post("/admin/images/img_tiny")
    assert "img_tiny" not in as_alice.page("/vms/new").html
    assert "Withdrawn" in as_admin.page("/admin/images").text()
    as_admin.post("/admin/images/img_tiny", {"active": "y"})
    assert "img_tiny" in as_alice.page("/vms/new").html


SIZE = {
    "name": "memory-2", "vcpus": "2", "memory": "16 GiB", "gib": "40", "running": "0.12", "disk": "0.0001",
    "starts": "",
}  # fmt: skip


@pytest.mark.parametrize("htmx", [False, True])
def test_a_new_size_is_on_offer_at_once(as_admin, as_alice, project, container, core, htmx):
    answer = as_admin.post("/admin/sizes/new", SIZE, htmx=htmx)
    assert answer.status_code == (204 if htmx else 303)
    sizes = container.get_vm_service().list_sizes()
    assert [size.name for size in sizes] == ["nano", "micro", "small", "memory-2", "medium", "large"]
    made = sizes[3]
    assert (made.vcpus, made.memory_mib, made.disk_gib) == (2, 16 * 1024, 40)
    assert (made.running_micro_per_hour, made.stopped_micro_per_hour) == (120_000, 4_000)
    assert as_alice.page("/vms/new").find(f"//label[.//input[@value='{made.id}']][contains(., '0.12')]")
    assert events_of(core, "size.create")[0].details == {
        "name": "memory-2", "vcpus": 2, "memory_mib": 16384, "disk_gib": 40,
    }  # fmt: skip
    assert events_of(core, "price.publish")[0].resource_id == made.id
    assert "Created size memory-2" in as_admin.page("/admin/audit").text()


def test_a_size_with_a_start_is_on_offer_from_then_on(as_admin, as_alice, project, container, clock):
    starts = clock.now() + timedelta(days=3)
    as_admin.post("/admin/sizes/new", SIZE | {"starts": f"{starts:%Y-%m-%dT%H:%M}"})
    (planned,) = container.get_vm_service().list_planned_sizes()
    assert planned.coming is not None
    assert planned.coming.starts_at == starts.replace(second=0, microsecond=0)
    assert planned.id not in as_alice.page("/vms/new").html
    assert as_admin.page("/admin/sizes").find("//tr[contains(., 'memory-2') and contains(., 'Planned')]")
    launch = {"name": "early", "project_id": project.id, "image_id": "img_tiny", "size_id": planned.id}
    assert as_alice.post("/vms/new", launch).status_code == 400
    assert "Withdraw memory-2?" in as_admin.page(f"/admin/sizes/{planned.id}").text()
    as_admin.post(f"/admin/sizes/{planned.id}")
    assert as_admin.page("/admin/sizes").find("//tr[contains(., 'memory-2')][contains(., 'Withdrawn')]")
    as_admin.post(f"/admin/sizes/{planned.id}", {"active": "y"})
    clock.advance(days=3, minutes=1)
    assert planned.id in as_alice.page("/vms/new").html
    assert container.get_vm_service().list_planned_sizes() == []


@pytest.mark.parametrize("htmx", [False, True])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "Large one"), ("name", "-a"), ("name", "nano"), ("vcpus", "0"), ("vcpus", "many"),
        ("vcpus", "257"), ("memory", "16"), ("memory", "none"), ("memory", "1 MiB"), ("memory", "999999999 GiB"),
        ("gib", "1001"), ("gib", "-1"), ("running", "cheap"), ("running", "10001"), ("disk", "-1"),
        ("starts", "2001-01-01T00:00"), ("starts", "2026-12-01T00:00Z"), ("starts", "9999-12-31T23:59"),
        ("starts", "0001-01-01T00:00"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_new_size_is_said_beside_its_field(as_admin, container, field, value, htmx):
    answer = as_admin.post("/admin/sizes/new", SIZE | {field: value}, htmx=htmx)
    assert answer.status_code == 400
    page = Page(answer.text, fragment=htmx)
    assert set(page.errors()) == {field}
    assert page.one("//input[@name='memory']").get("value") == (SIZE | {field: value})["memory"]
    assert len(container.get_vm_service().list_sizes(include_inactive=True)) == 5
    assert container.get_vm_service().list_planned_sizes() == []


def test_a_machine_keeps_a_new_size_that_is_withdrawn(as_admin, as_alice, project, container, cloud, alice):
    as_admin.post("/admin/sizes/new", SIZE | {"memory": "128 MiB", "vcpus": "1", "gib": "1"})
    (size,) = [size for size in container.get_vm_service().list_sizes() if size.name == "memory-2"]
    machine = cloud.launch(alice, project, size=size.id)
    as_admin.post(f"/admin/sizes/{size.id}")
    assert size.id not in as_alice.page("/vms/new").html
    assert "memory-2" in as_alice.page(f"/vms/{machine.id}").text()
    as_alice.post(f"/vms/{machine.id}/stop")
    cloud.worker.work()
    assert as_alice.post(f"/vms/{machine.id}/start").status_code in (200, 303)


def test_nobody_else_makes_a_size(as_alice, container, alice):
    assert as_alice.get("/admin/sizes/new").status_code == 403
    assert as_alice.post("/admin/sizes/new", SIZE).status_code == 403
    with pytest.raises(PermissionDeniedError):
        container.get_vm_service().create_size({"name": "x"}, actor=acting(alice))


def test_what_storing_costs_is_set_for_what_comes(as_admin):
    page = as_admin.get("/admin/sizes")
    assert "Snapshots, images and backups" in page.text
    answer = as_admin.post("/admin/storage/snapshot/price", {"gib": "0.0002"})
    assert answer.status_code == 303
    assert "0.0002" in as_admin.get("/admin/sizes").text
    assert "0.0002" in as_admin.get("/credits/prices").text
    wrong = as_admin.post("/admin/storage/snapshot/price", {"gib": "much"})
    assert wrong.status_code == 400
    assert as_admin.get("/admin/storage/memories/price").status_code == 404
