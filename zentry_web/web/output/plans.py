"""What differs between the plan that was shown and the one that is true now, in words, for the form that comes back."""

from collections.abc import Callable
from dataclasses import dataclass

from zentry_web.domain.language import _, lazy
from zentry_web.domain.text import whole_number
from zentry_web.domain.vms.plan import Facts
from zentry_web.web.output.regions import credits_text


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is another one now."""

    name: str
    shown: str
    now: str


def _price(text: str) -> str:
    number = whole_number(text)
    return credits_text(number) if number is not None else text


def _power(text: str) -> str:
    return {"on": _("on"), "off": _("off")}.get(text, text)


def _as_it_is(text: str) -> str:
    return text


# Each fact: what it is called, and how its value is said.
FACTS: dict[str, tuple[str, Callable[[str], str]]] = {
    "machines": (lazy("Machines that it is done to"), _as_it_is),
    "name": (lazy("Name"), _as_it_is),
    "project": (lazy("Project"), _as_it_is),
    "size": (lazy("Size"), _as_it_is),
    "disk": (lazy("Disk, GiB"), _as_it_is),
    "power": (lazy("Power"), _power),
    "running": (lazy("Per hour while it runs"), _price),
    "stopped": (lazy("Per hour while stopped"), _price),
    "new_size": (lazy("New size"), _as_it_is),
    "new_running": (lazy("Per hour while it runs, with the new size"), _price),
    "new_stopped": (lazy("Per hour while stopped, with the new size"), _price),
    "image": (lazy("Image"), _as_it_is),
    "new_image": (lazy("New image"), _as_it_is),
    "with_image_running": (lazy("Per hour while it runs, with that image"), _price),
    "with_image_stopped": (lazy("Per hour while stopped, with that image"), _price),
    "snapshot": (lazy("Snapshot"), _as_it_is),
    "then": (lazy("Power then"), _power),
    "days": (lazy("Days in the recycle bin"), _as_it_is),
}


def differences(shown: Facts, now: Facts) -> list[Difference]:
    """What is another one now, in the order above. What has no words (which of many changed) is told as such."""
    found = [
        Difference(str(name), written(shown.get(key, "–")), written(now.get(key, "–")))
        for key, (name, written) in FACTS.items()
        if (key in shown or key in now) and shown.get(key) != now.get(key)
    ]
    if not found and shown != now:
        found = [Difference(_("One of the machines"), _("as it was shown"), _("something else: see below"))]
    return found
