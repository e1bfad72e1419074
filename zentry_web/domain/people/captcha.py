"""What a page needs to show the question that keeps programs out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Widget:
    """A provider's widget: its script, the class and key of its element, the field its answer comes in.

    ``hosts`` are what the page's policy has to allow for it, and for no other page.
    """

    script: str
    css_class: str
    site_key: str
    field: str
    hosts: tuple[str, ...]
