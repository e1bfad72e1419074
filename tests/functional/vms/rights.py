"""Who may do what with the things that are stored of a machine."""

from tests.functional.conftest import Browser
from tests.services.people import join


def only_members_act(as_charlie: Browser, as_viewer: Browser, at: str, deeds: list[str]) -> None:
    """A stranger finds nothing, not even to do the first of ``deeds`` to; a viewer looks, and has no way to any."""
    assert as_charlie.get(at).status_code == 404
    assert as_charlie.post(f"{at}/{deeds[0]}").status_code == 404
    page = as_viewer.page(at)
    assert "before" in page.text()
    assert not page.find(f"//a[starts-with(@href, '{at}/')]")
    for deed in ("new", "schedule", *deeds):
        assert as_viewer.post(f"{at}/{deed}").status_code == 403, deed


def viewer(web, container, bob, project) -> Browser:
    """Bob, who may look at the project."""
    join(container, project, bob, "viewer")
    return Browser(web).log_in(bob)
