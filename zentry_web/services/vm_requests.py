"""What a person may ask for when launching: the checks on each field."""

import unicodedata
from dataclasses import dataclass
from typing import Any

from zentry_web.domain.label import NO_LABELS, Label, parse_labels
from zentry_web.domain.ssh_key import MOST_KEYS
from zentry_web.domain.vm import MAX_USER_DATA_BYTES, NAME_PATTERN
from zentry_web.services.errors import ValidationError
from zentry_web.services.ssh_key_text import parse_public_key

_FIELDS = ("project_id", "name", "size_id", "image_id")


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """A checked request: every text is within its limits."""

    project_id: str
    name: str
    size_id: str
    image_id: str
    ssh_key: str  # pasted: one line of authorized_keys, or empty
    user_data: str
    ssh_key_ids: tuple[str, ...] = ()  # of the launcher's account
    labels: tuple[Label, ...] = NO_LABELS


def parse_launch(vm_data: dict[str, Any]) -> LaunchRequest:
    """The request in ``vm_data``. Raises ValidationError with a sentence per wrong field."""
    errors: dict[str, str] = {}
    values = {name: _text(vm_data.get(name)).strip() for name in _FIELDS}
    values["name"] = values["name"].lower()
    if not NAME_PATTERN.fullmatch(values["name"]):
        errors["name"] = "Use 1 to 63 letters, digits and hyphens, beginning and ending with a letter or digit."
    for name, sentence in (
        ("project_id", "Choose a project."),
        ("size_id", "Choose a size."),
        ("image_id", "Choose an image."),
    ):
        if not values[name]:
            errors[name] = sentence
    ssh_key = _text(vm_data.get("ssh_key")).strip()
    if ssh_key:
        try:
            ssh_key = parse_public_key(ssh_key).line
        except ValueError as error:
            errors["ssh_key"] = str(error)
    user_data = _text(vm_data.get("user_data")).replace("\r\n", "\n")
    if problem := _user_data_problem(user_data):
        errors["user_data"] = problem
    labels = NO_LABELS
    try:
        labels = parse_labels(vm_data.get("labels"))
    except ValueError as error:
        errors["labels"] = str(error)
    if errors:
        raise ValidationError("Please check the marked fields.", details=errors)
    keys = _key_ids(vm_data.get("ssh_key_ids"))
    return LaunchRequest(**values, ssh_key=ssh_key, user_data=user_data, ssh_key_ids=keys, labels=labels)


def _text(value: Any) -> str:
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else ""


def _key_ids(value: Any) -> tuple[str, ...]:
    """The ticked keys, each once. More than an account can have are cut off, one beyond: that one is refused then."""
    ids = value if isinstance(value, (list, tuple)) else ()
    return tuple(dict.fromkeys(str(each).replace("\x00", "") for each in ids))[: MOST_KEYS + 1]


def _user_data_problem(text: str) -> str:
    if not text.strip():
        return ""
    if len(text.encode()) > MAX_USER_DATA_BYTES:
        return "User data may be 64 KiB at most."
    if any(unicodedata.category(char) == "Cc" and char not in "\n\t\r" for char in text):
        return "User data must be plain text."
    if not text.startswith("#!"):
        return "User data must begin with “#!”, such as “#!/bin/sh”: the guest runs it as a script."
    return ""
