"""/ : the front page."""

import pytest

pytestmark = pytest.mark.integration


def test_prices_are_the_catalogue_s(visitor):
    text = visitor.page("/").text()
    for words in ("nano", "0.005", "3.65", "large", "0.20", "146.00", "get 5.00 credits"):
        assert words in text


def test_a_new_price_shows_at_once(visitor, as_admin):
    as_admin.post("/admin/sizes/size_nano/price", {"running": "0.007", "disk": "0.0002"})
    assert "0.007" in visitor.page("/").text()


def test_a_withdrawn_size_is_gone(visitor, as_admin):
    as_admin.post("/admin/sizes/size_nano")
    assert "nano" not in visitor.page("/").text()


def test_somebody_signed_in_is_led_to_the_console(as_alice):
    assert "Open the console" in as_alice.page("/").text()


def test_the_calculator_answers_without_script_and_as_a_part(visitor):
    page = visitor.page("/calculator?size=size_small&machines=2&hours=12")
    assert "37.96</strong> credits per month" in page.html  # two, half of 730 hours at 0.05 and half at 0.002
    part = visitor.page("/calculator?size=size_small&machines=2&hours=12", htmx=True)
    assert part.one("//*[@id='calculator']//input[@name='machines']").get("value") == "2"


@pytest.mark.parametrize(
    "query", ["size=none&image=none", "machines=0&hours=99", "machines=-1&hours=x", "machines=9999999"]
)
def test_whatever_is_asked_of_the_calculator_it_answers(visitor, query):
    page = visitor.page(f"/calculator?{query}")
    assert 1 <= int(page.one("//input[@name='machines']").get("value")) <= 100
    assert 1 <= int(page.one("//input[@name='hours']").get("value")) <= 24


def test_the_landing_page_names_images_money_and_status(visitor):
    page = visitor.page("/")
    assert "What a machine starts with" in page.text()
    assert page.one("//footer//a[@href='/status']") is not None
    assert page.find("//img[@width='1280']")
