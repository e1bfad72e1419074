"""What a person may ask for when launching: the checks on each field."""

import unicodedata
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from zentry_web.domain.vm import MAX_USER_DATA_BYTES, NAME_PATTERN
from zentry_web.services.errors import ValidationError

_FIELDS = ("project_id", "name", "size_id", "image_id")


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """A checked request: every text is within its limits."""

    project_id: str
    name: str
    size_id: str
    image_id: str
    ssh_key: str
    user_data: str


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
    if problem := _ssh_key_problem(ssh_key):
        errors["ssh_key"] = problem
    user_data = _text(vm_data.get("user_data")).replace("\r\n", "\n")
    if problem := _user_data_problem(user_data):
        errors["user_data"] = problem
    if errors:
        raise ValidationError("Please check the marked fields.", details=errors)
    return LaunchRequest(**values, ssh_key=ssh_key, user_data=user_data)


def _text(value: Any) -> str:
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else ""


def _ssh_key_problem(key: str) -> str:
    if not key:
        return ""
    if len(key) > 16_384 or "\n" in key or any(unicodedata.category(char) == "Cc" for char in key):
        return "Paste one public key, on one line."
    if "PRIVATE KEY" in key:
        return "That is a private key. Paste the public one, from the file that ends in .pub."
    try:
        load_ssh_public_key(key.encode())
    except (ValueError, UnsupportedAlgorithm):
        return "That is not an OpenSSH public key, such as “ssh-ed25519 AAAA… you@laptop”."
    return ""


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
