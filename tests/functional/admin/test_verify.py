"""What the admin's overview and system pages say of the hourly checks."""

import pytest
from sqlalchemy import text

pytestmark = pytest.mark.integration


def test_before_the_first_run_both_pages_say_so(as_admin):
    assert "last checked never" in as_admin.page("/admin").text()
    assert "Not checked yet" in as_admin.page("/admin/system").text()


def test_each_row_with_its_time(as_admin, container, clock):
    container.get_billing_service().books.verification.run_hourly()
    page = as_admin.page("/admin/system")
    rows = page.find("//section[@id='verify']//tbody/tr")
    assert [row.findtext("td") for row in rows] == [f"L{number}" for number in range(1, 19)]
    texts = {row.findtext("td"): "".join(row.itertext()) for row in rows}
    assert "by test only" in texts["L5"]
    assert "Holds" in texts["L16"]
    assert " ms" in texts["L1"]
    assert "last checked" not in as_admin.page("/admin").text()
    clock.advance(hours=2, seconds=1)
    assert "last checked" in as_admin.page("/admin").text()
    assert "too old" in as_admin.page("/admin/system", htmx=True).text()


def test_a_breach_is_on_both_pages_and_in_the_notices(as_admin, alice, container):
    with container.database.engine.begin() as connection:
        connection.execute(text("UPDATE account SET balance = balance + 1 WHERE kind = 'wallet'"))
    container.get_billing_service().books.verification.run_hourly()
    assert "The books do not agree: L2" in as_admin.page("/admin").text()
    text_of_system = as_admin.page("/admin/system").text()
    assert "Breach" in text_of_system
    assert "differs from its entries" in text_of_system
    assert "The books do not agree" in as_admin.page("/account/notices").text()
