"""/account/notifications."""

import pytest

from tests.page import Page
from zentry_web.domain.notice import Topic

pytestmark = pytest.mark.integration
URL = "/account/notifications"


def boxes(page):
    return {box.get("value"): box.get("checked") is not None for box in page.find("//input[@name='mail']")}


@pytest.mark.parametrize("htmx", [False, True])
def test_what_is_ticked_is_kept(as_alice, htmx):
    before = boxes(as_alice.page(URL))
    assert (before[Topic.BUDGETS], before[Topic.STATEMENTS]) == (True, False)
    assert Topic.SECURITY not in before, "there is no box to clear"
    answer = as_alice.post(URL, {"mail": Topic.STATEMENTS}, htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == URL
    page = as_alice.page(URL)
    assert [topic for topic, ticked in boxes(page).items() if ticked] == [Topic.STATEMENTS]
    assert "This Zentry sends no mail" in page.text()
    assert as_alice.post(URL).status_code == 303
    assert not any(boxes(as_alice.page(URL)).values())


@pytest.mark.error
def test_a_topic_that_there_is_not_is_refused_and_the_choice_kept(as_alice):
    answer = as_alice.post(URL, {"mail": ["everything", Topic.BUDGETS]})
    assert answer.status_code == 400
    page = Page(answer.text)
    assert set(page.errors()) == {"mail"}
    assert boxes(page)[Topic.BUDGETS]
    assert not boxes(page)[Topic.PAYMENTS]
    assert boxes(as_alice.page(URL))[Topic.PAYMENTS], "nothing was stored"
