"""Which addresses are one mailbox, and what a browser is called."""

import pytest

from zentry_web.domain.email import mailbox
from zentry_web.domain.people.device import device_name

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("Ana@Example.com", "ana@example.com"),
        ("a.na+x@example.com", "a.na+x@example.com"),  # an unknown provider: tags and dots may be somebody else's
        ("A.na+shop@googlemail.com", "ana@gmail.com"),
        ("a.na+shop@outlook.com", "a.na@outlook.com"),
        ("ana+1@me.com", "ana@icloud.com"),
        ("a.n.a@pm.me", "ana@proton.me"),
        ("+@gmail.com", "+@gmail.com"),
        ("...@gmail.com", "...@gmail.com"),
    ],
)
def test_addresses_of_one_mailbox_are_one(address, found):
    assert mailbox(address) == found


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537 Chrome/140 Safari/537 Edg/140", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19 like Mac OS X) Version/19 Safari/604", "Safari on iPhone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X) Chrome/140 Safari/537", "Chrome on macOS"),
        ("curl/8.1", "curl"),
        ("x" * 300, "x" * 40),
        ("", "an unnamed program"),
    ],
)
def test_browsers_have_names(agent, name):
    assert device_name(agent) == name
