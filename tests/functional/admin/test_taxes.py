"""/admin/taxes: the table, its rows to come, and sums as a file."""

import pytest

from tests.csv_rows import csv_rows
from tests.page import Page
from tests.services.payment_world import Till

pytestmark = pytest.mark.integration

NEW = {"country": "DE", "kind": "person", "rate": "19", "label": "VAT", "note": "", "first_day": ""}


@pytest.mark.parametrize("htmx", [False, True])
def test_a_rate_is_added_and_holds_at_once(as_admin, cloud, alice, htmx):
    assert "No tax" in as_admin.page("/admin/taxes").text()
    as_admin.page("/admin/taxes/new", htmx=htmx)
    answer = as_admin.post("/admin/taxes/new", NEW | {"rate": "5,5 %"}, htmx=htmx)
    assert answer.status_code == (204 if htmx else 303)
    text = as_admin.page("/admin/taxes").text()
    assert "VAT 5.5 %" in text
    assert "Remove" not in text
    assert "Added a tax rate" in as_admin.page("/admin/audit?action=tax.").text()
    cloud.billing.settings.change("seller_country", "DE", 0)
    assert cloud.billing.payments.taxes.tax_on(alice.id, 1000).tax_minor == 55


@pytest.mark.error
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"country": ""}, "country"), ({"country": "ZZ"}, "country"), ({"rate": ""}, "rate"),
        ({"rate": "much"}, "rate"),
        ({"rate": "101"}, "rate"), ({"rate": "1.234"}, "rate"), ({"rate": "-1"}, "rate"), ({"rate": "١"}, "rate"),
        ({"kind": "cat"}, "kind"), ({"label": ""}, "label"), ({"first_day": "2020-01-01"}, "first_day"),
        ({"first_day": "9999-12-31"}, "first_day"), ({"first_day": "soon"}, "first_day"),
    ],
)  # fmt: skip
def test_a_bad_form_says_so(as_admin, changes, field):
    answer = as_admin.post("/admin/taxes/new", NEW | changes)
    assert (answer.status_code, set(Page(answer.text).errors())) == (400, {field})


def test_a_rate_to_come_is_removed(as_admin, cloud):
    as_admin.post("/admin/taxes/new", NEW | {"first_day": "2027-01-01"})
    (rate,) = cloud.billing.payments.taxes.list_rates()
    assert "Remove VAT of 19 % for Germany?" in as_admin.page(f"/admin/taxes/{rate.id}/remove").text()
    assert as_admin.post(f"/admin/taxes/{rate.id}/remove").status_code == 303
    assert "No tax" in as_admin.page("/admin/taxes").text()
    as_admin.post("/admin/taxes/new", NEW)
    (rate,) = cloud.billing.payments.taxes.list_rates()
    assert as_admin.post(f"/admin/taxes/{rate.id}/remove").status_code == 409


def test_sums_are_shown_and_go_into_a_file(as_admin, container, cloud, alice):
    as_admin.post("/admin/taxes/new", NEW)
    cloud.billing.settings.change("seller_country", "DE", 0)
    till = Till(container, alice)
    till.press(till.start(10), "pay")
    month = f"{cloud.clock.now():%Y-%m}"
    assert all(part in as_admin.page("/admin/taxes").text() for part in (month, "Germany", "1.90 EUR", "10.00 EUR"))
    (row,) = csv_rows(as_admin.get("/admin/taxes.csv"))
    assert (row["month"], row["country"], row["net_minor"], row["tax_minor"]) == (month, "DE", "1000", "190")
