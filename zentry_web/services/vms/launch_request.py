"""What a person may ask for when launching: the checks on each field."""

import unicodedata
from dataclasses import dataclass
from typing import Any

from zentry_web.domain.label import NO_LABELS, Label, parse_labels
from zentry_web.domain.language import _
from zentry_web.domain.people.ssh_key import MOST_KEYS
from zentry_web.domain.people.ssh_key_text import parse_public_key
from zentry_web.domain.vms.image import UserDataKind, user_data_problem
from zentry_web.domain.vms.launch_source import SourceKind
from zentry_web.domain.vms.naming import MOST_AT_ONCE, names_from, parse_count
from zentry_web.domain.vms.vm import MAX_USER_DATA_BYTES, NAME_PATTERN, NAME_RULE
from zentry_web.services.errors import ValidationError

_FIELDS = ("project_id", "name", "size_id", "image_id")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may log in, and what the guest runs."""

    ssh_key: str  # pasted: one line of authorized_keys, or empty
    ssh_key_ids: tuple[str, ...]  # of the account of whoever asks
    user_data: str


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
    source: tuple[SourceKind, str] | None = None  # whose disk it begins with, by id; None: with the image's
    labels: tuple[Label, ...] = NO_LABELS
    count: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """What the machines will be called."""
        return names_from(self.name, self.count)


def parse_launch(vm_data: dict[str, Any]) -> LaunchRequest:
    """The request in ``vm_data``. Raises ValidationError with a sentence per wrong field."""
    errors: dict[str, str] = {}
    values = {name: _text(vm_data.get(name)).strip() for name in _FIELDS}
    values["name"] = values["name"].lower()
    count = parse_count(vm_data.get("count"))
    if count is None:
        errors["count"] = _("Launch 1 to %(most)s at once.", most=MOST_AT_ONCE)
    if not all(NAME_PATTERN.fullmatch(name) for name in names_from(values["name"], count or 1)):
        errors["name"] = NAME_RULE
    for name, sentence in (
        ("project_id", _("Choose a project.")),
        ("size_id", _("Choose a size.")),
        ("image_id", _("Choose an image.")),
    ):
        if not values[name]:
            errors[name] = sentence
    access = parse_access(vm_data, errors)
    labels = NO_LABELS
    try:
        labels = parse_labels(vm_data.get("labels"))
    except ValueError as error:
        errors["labels"] = str(error)
    if errors:
        # What no image takes is said with the rest; what the chosen one takes is looked at afterwards.
        if problem := user_data_problem(UserDataKind.CLOUD, access.user_data):
            errors.setdefault("user_data", problem)
        raise ValidationError(_("Please check the marked fields."), details=errors)
    return LaunchRequest(
        **values,
        ssh_key=access.ssh_key,
        user_data=access.user_data,
        ssh_key_ids=access.ssh_key_ids,
        source=_source(vm_data),
        labels=labels,
        count=count or 1,
    )


def parse_access(data: dict[str, Any], errors: dict[str, str]) -> Access:
    """The keys and user data in ``data``; a sentence per wrong field goes into ``errors``."""
    ssh_key = _text(data.get("ssh_key")).strip()
    if ssh_key:
        try:
            ssh_key = parse_public_key(ssh_key).line
        except ValueError as error:
            errors["ssh_key"] = str(error)
    user_data = _text(data.get("user_data")).replace("\r\n", "\n")
    if problem := _user_data_problem(user_data):
        errors["user_data"] = problem
    return Access(ssh_key, _key_ids(data.get("ssh_key_ids")), user_data)


def _source(data: dict[str, Any]) -> tuple[SourceKind, str] | None:
    for kind in SourceKind:
        if source_id := _text(data.get(f"{kind}_id")).strip()[:40]:
            return kind, source_id
    return None


def _text(value: Any) -> str:
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else ""


def _key_ids(value: Any) -> tuple[str, ...]:
    """The ticked keys, each once. More than an account can have are cut off, one beyond: that one is refused then."""
    ids = value if isinstance(value, (list, tuple)) else ()
    return tuple(dict.fromkeys(map(str, ids)))[: MOST_KEYS + 1]


def _user_data_problem(text: str) -> str:
    if not text.strip():
        return ""
    if len(text.encode()) > MAX_USER_DATA_BYTES:
        return _("User data may be 64 KiB at most.")
    if any(unicodedata.category(char) == "Cc" and char not in "\n\t\r" for char in text):
        return _("User data must be plain text.")
    return ""
