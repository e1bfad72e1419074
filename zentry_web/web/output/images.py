"""What images say of themselves, as people read it: filters for templates (filters.py registers them)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from zentry_web.domain.language import _, find, lazy
from zentry_web.domain.vms.catalogue import Image
from zentry_web.domain.vms.image import (
    STATE_WORDS,
    STEP_WORDS,
    ImageSource,
    ImageVersion,
    UserDataKind,
    VersionState,
    user_data_words,
)
from zentry_web.domain.vms.new_image import BUILT
from zentry_web.domain.vms.rebuild import ImageChoice
from zentry_web.web.output.regions import credits_text, memory

SOURCES: Mapping[ImageSource, str] = {
    ImageSource.BUILTIN: lazy("Came with Zentry"),
    ImageSource.FILE: lazy("A file on the server"),
    ImageSource.ADDRESS: lazy("Fetched"),
    ImageSource.BUILD: lazy("Built here"),
    ImageSource.MACHINE: lazy("A machine’s disk"),
}
# By state: what can be done after a question ('': at once, again), and the word for it.
DEEDS: Mapping[VersionState, tuple[tuple[str, str], ...]] = {
    VersionState.BUILDING: (("cancel", lazy("Cancel")),),
    VersionState.IMPORTING: (("cancel", lazy("Cancel")),),
    VersionState.FAILED: (("", lazy("Try again")), ("remove", lazy("Remove"))),
    VersionState.READY: (("withdraw", lazy("Withdraw")),),
    VersionState.WITHDRAWN: (("", lazy("Offer")), ("remove", lazy("Remove"))),
}


def image_options(images: Sequence[Image], projects: Iterable[Any] = ()) -> list[dict[str, str]]:
    """Images as the options of ui.radio_cards; those of ``projects`` (a form's choices) in groups of
    their own."""
    names = {choice.value: choice.label for choice in projects}
    return [
        {
            "value": each.id,
            "title": each.name,
            "text": find(each.description),
            "note": _note(each),
            "group": _("Images of project %(name)s", name=names[each.project_id]) if each.project_id in names else "",
        }
        for each in images
    ]


def rebuild_options(choices: Sequence[ImageChoice]) -> list[dict[str, Any]]:
    """Images that a machine can be rebuilt from, as the options of ui.radio_cards."""
    return [
        {
            "value": each.image.id,
            "title": each.image.name,
            "text": each.problem or find(each.image.description),
            "note": _("%(price)s per hour when running", price=credits_text(each.rates.running)),
            "disabled": bool(each.problem),
            "group": _("Images of its project") if each.image.project_id else "",
        }
        for each in choices
    ]


def _note(image: Image) -> str:
    least, surcharge = memory(image.min_memory_mib), image.surcharge_micro_per_hour
    if surcharge:
        needs = _("from %(memory)s, adds %(price)s per hour", memory=least, price=credits_text(surcharge))
    else:
        needs = _("from %(memory)s", memory=least)
    return f"{needs} · {_in_short(image)}"


def _in_short(image: Image) -> str:
    """Whom the keys let in and what user data it takes, in some words."""
    takes = {
        UserDataKind.NONE: _("no user data"),
        UserDataKind.SCRIPT: _("user data: #! scripts"),
        UserDataKind.CLOUD: _("user data: #! scripts, #cloud-config, multipart"),
    }[image.user_data]
    return _("log-in as %(user)s", user=image.default_user) + f" · {takes}"


def first_login(image: Image) -> str:
    """How one logs in the first time."""
    return _("As %(user)s, with an SSH key chosen at the launch.", user=image.default_user)


def image_deeds(version: ImageVersion) -> tuple[tuple[str, str], ...]:
    """What an admin may do to a version now: (deed, its word)."""
    return () if version.cancelling else DEEDS.get(version.state, ())


IMAGE_FILTERS: dict[str, Callable[..., Any]] = {
    "image_options": image_options,
    "rebuild_options": rebuild_options,
    "image_state": lambda state: STATE_WORDS[state],
    "image_step": lambda step: STEP_WORDS.get(step, step),
    "image_source": lambda source: SOURCES[source],
    "image_user_data": user_data_words,
    "image_deeds": image_deeds,
    "first_login": first_login,
    "recipe_words": lambda recipe: find(BUILT[recipe]["description"]),
}
