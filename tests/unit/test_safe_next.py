"""Where a log-in may lead back to."""

import pytest

from zentry_web.web.session.safe_next import safe_next

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("target", ["/", "/vms", "/vms?q=a&sort=name", "/vms/vm_1#metrics", "/a//b", "/%2F%2Fevil"])
def test_addresses_of_this_site_are_kept(target):
    assert safe_next(target, "/home") == target


@pytest.mark.asvs("1.1.1", "1.2.2")
@pytest.mark.parametrize(
    "target",
    ["", "vms", "//evil.example", "///evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)",
     "\t//evil.example", "/\t/evil.example", "/\n/evil.example", "http:/evil.example",
     "/logout", "/logout?again=1", "/account/theme", "/events"],
)  # fmt: skip
def test_anything_else_is_not(target):
    assert safe_next(target, "/home") == "/home"
