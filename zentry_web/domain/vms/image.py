"""Images: how they come to be, what state their versions are in, and what user data each takes."""

import re
from dataclasses import dataclass
from datetime import datetime
from email import message_from_string
from enum import StrEnum

from zentry_web.domain.language import _, kept, lazy

IMAGE_NAME = re.compile(r"[^\W_][\w .+()-]{0,58}[^\W]|[^\W_]")
CANCELLED = kept("It was cancelled.")
RECIPES = {  # what can be built on the host, by the name of the recipe
    "debian-12": "Debian 12",
    "debian-12-cloud": "Debian 12 with cloud-init",
}


class UserDataKind(StrEnum):
    NONE = "none"
    SCRIPT = "script"  # begins with '#!'; run by the image's own agent
    CLOUD = "cloud"  # cloud-init is inside: scripts, #cloud-config, multipart


class ImageSource(StrEnum):
    BUILTIN = "builtin"  # came with Zentry
    FILE = "file"
    ADDRESS = "address"
    BUILD = "build"
    MACHINE = "machine"


class VersionState(StrEnum):
    BUILDING = "building"
    IMPORTING = "importing"
    READY = "ready"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"  # no launches; machines made from it stay
    REMOVING = "removing"  # to be removed from the host when no machine is based on it any more
    REMOVED = "removed"


WORKING = (VersionState.BUILDING, VersionState.IMPORTING)

STATE_WORDS = {
    VersionState.BUILDING: lazy("Building"),
    VersionState.IMPORTING: lazy("Importing"),
    VersionState.READY: lazy("Ready"),
    VersionState.FAILED: lazy("Failed"),
    VersionState.WITHDRAWN: lazy("Withdrawn"),
    VersionState.REMOVING: lazy("Being removed"),
    VersionState.REMOVED: lazy("Removed"),
}
STEP_WORDS = {
    "": lazy("Waits for its turn"),
    "fetch": lazy("Fetching"),
    "digest": lazy("Checking its digest"),
    "look": lazy("Looking at it"),
    "convert": lazy("Converting"),
    "packages": lazy("Installing Debian’s packages"),
    "disk": lazy("Making its disk"),
    "check": lazy("Checking"),
    "place": lazy("Putting it in place"),
}


@dataclass(frozen=True, slots=True)
class ImageVersion:
    """One make of an image, and how far its making is."""

    id: str
    image_id: str
    number: int
    driver_name: str
    state: VersionState
    source: ImageSource
    reference: str
    sha256: str
    size_bytes: int
    disk_bytes: int
    step: str
    done_bytes: int
    total_bytes: int
    cancelling: bool
    reason: str
    created_at: datetime
    ended_at: datetime | None

    @property
    def is_working(self) -> bool:
        """Whether it is being made."""
        return self.state in WORKING

    @property
    def percent(self) -> int | None:
        """How far its present step is; None where that is not known."""
        return min(100, self.done_bytes * 100 // self.total_bytes) if self.total_bytes else None


@dataclass(frozen=True, slots=True)
class ImageWork:
    """What the worker is to do for one version."""

    version_id: str
    driver_name: str
    state: VersionState
    source: ImageSource
    reference: str
    sha256: str


def user_data_words(kind: UserDataKind) -> str:
    """What user data an image takes, in a sentence."""
    return {
        UserDataKind.NONE: _("It takes no user data."),
        UserDataKind.SCRIPT: _("Scripts that begin with “#!”."),
        UserDataKind.CLOUD: _("Scripts that begin with “#!”, “#cloud-config” and multipart, by cloud-init."),
    }[kind]


def user_data_problem(kind: UserDataKind, text: str) -> str:
    """Why an image would not understand this user data; empty when it would."""
    if not text.strip():
        return ""
    if kind == UserDataKind.NONE:
        return _("This image takes no user data. Leave it empty, or choose another image.")
    if text.startswith("#!"):
        return ""
    if kind == UserDataKind.SCRIPT:
        return _("User data must begin with “#!”, such as “#!/bin/sh”: the guest runs it as a script.")
    first = text.splitlines()[0].strip()
    if first == "#cloud-config":
        return ""
    if first.lower().startswith(("content-type: multipart/", "mime-version:")):
        message = message_from_string(text)
        if message.is_multipart() and not message.defects:
            return ""
        return _("This multipart user data has no parts: check its boundary.")
    return _("User data for this image begins with “#!”, “#cloud-config” or “Content-Type: multipart/…”.")
