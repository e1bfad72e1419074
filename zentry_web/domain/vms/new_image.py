"""What an admin says of an image: the checks on each field. Each raises ValueError with a sentence."""

import re
from typing import Any

from zentry_web.domain.language import _, kept
from zentry_web.domain.text import clean_name, clean_text
from zentry_web.domain.vms.image import UserDataKind
from zentry_web.domain.vms.new_size import parse_disk, parse_size_memory

MOST_NAME, MOST_TEXT, MOST_URL = 60, 500, 2000
_SHA256 = re.compile(r"[0-9a-f]{64}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
DEFAULTS: dict[str, Any] = {
    "description": "", "min_memory_mib": "512 MiB", "min_disk_gib": "5", "default_user": "root", "first_login": "",
    "user_data": UserDataKind.CLOUD.value,
}  # fmt: skip
# What is known of the recipes.
BUILT: dict[str, dict[str, Any]] = {
    "debian-12": {
        "name": "Debian 12",
        "description": kept("A whole Debian with systemd and SSH, and Zentry’s own small agent instead of cloud-init."),
        "user_data": UserDataKind.SCRIPT,
    },
    "debian-12-cloud": {
        "name": "Debian 12 with cloud-init",
        "description": kept("The same with cloud-init, which takes longer at the first start and obeys #cloud-config."),
        "user_data": UserDataKind.CLOUD,
    },
}
BUILT_NEEDS = {"min_memory_mib": 384, "min_disk_gib": 2, "default_user": "root", "first_login": ""}


def parse_image_name(value: object) -> str:
    """What people see it called."""
    return clean_name(value, longest=MOST_NAME)


def parse_image_text(value: object) -> str:
    """A few lines."""
    return clean_text(value, longest=MOST_TEXT)


def parse_sha256(value: object) -> str:
    """The digest of a file, as publishers name it."""
    text = value.strip().lower() if isinstance(value, str) else ""
    if not _SHA256.fullmatch(text):
        raise ValueError(_("Enter the SHA-256 that the publisher names: 64 letters and digits."))
    return text


def parse_address(value: object) -> str:
    """An https address without a password in it."""
    text = value.strip() if isinstance(value, str) else ""
    is_plain = text.isascii() and text.isprintable() and " " not in text and len(text) <= MOST_URL
    if not is_plain or not re.fullmatch(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/\S*", text):
        raise ValueError(_("Enter an address that begins with https://, without a password in it."))
    return text


def parse_user(value: object) -> str:
    """The account that the launch's keys let in."""
    text = value.strip() if isinstance(value, str) else ""
    if not _USER.fullmatch(text):
        raise ValueError(_("Enter the name of an account, such as root or debian."))
    return text


def parse_user_data(value: object) -> UserDataKind:
    """What it takes of user data."""
    try:
        return UserDataKind(str(value))
    except ValueError:
        raise ValueError(_("Choose what user data it takes.")) from None


PARSERS: dict[str, tuple[Any, Any]] = {
    "name": (parse_image_name, ""),
    "description": (parse_image_text, ""),
    "min_memory_mib": (parse_size_memory, 1),
    "min_disk_gib": (parse_disk, 1),
    "default_user": (parse_user, ""),
    "first_login": (parse_image_text, ""),
    "user_data": (parse_user_data, UserDataKind.NONE),
}
