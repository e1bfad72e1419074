"""/terms and /contact: what the operator wrote; and where it is linked."""

import pytest

from zentry_web.domain.setting import SettingKey

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(container):
    return container.get_billing_service().settings


def links(page):
    return [a.get("href") for a in page.find("//footer//a | //p[@class='z-auth-foot']//a")]


def test_without_words_there_are_no_pages_and_no_links(visitor):
    for path in ("/terms", "/contact"):
        assert visitor.get(path).status_code == 404
        assert path not in links(visitor.page("/"))
    assert visitor.get("/imprint").status_code == 404


def test_what_the_operator_wrote_is_a_page_and_linked(visitor, settings):
    settings.change(SettingKey.TERMS, "Be kind.\n<b>Always</b>", 0)
    settings.change(SettingKey.CONTACT, "Ana, ana@example.com", 0)
    settings.change(SettingKey.DOCS, "https://docs.example.com/zentry", 0)
    assert "Be kind. <b>Always</b>" in visitor.page("/terms").text()
    assert "Ana, ana@example.com" in visitor.page("/contact").text()
    for path in ("/", "/signup", "/status"):
        assert {"/terms", "/contact", "https://docs.example.com/zentry"} <= set(links(visitor.page(path)))


def test_an_admin_writes_it_and_the_list_shows_its_beginning(as_admin):
    long = "All of this holds. " * 200
    answer = as_admin.post("/admin/settings/terms", {"value": long, "version": "0"})
    assert answer.status_code == 303
    assert "All of this holds. All of this holds." in as_admin.page("/admin/settings").text()
    assert len(as_admin.get("/admin/settings").text) < 60_000
    assert long.strip() in as_admin.page("/admin/settings/terms").text()


@pytest.mark.error
@pytest.mark.parametrize("value", ["javascript:alert(1)", "docs", "https://", "ftp://docs.example.com", "https://a b"])
def test_a_link_is_an_address_of_the_web(as_admin, value):
    assert as_admin.post("/admin/settings/docs", {"value": value, "version": "0"}).status_code == 400
