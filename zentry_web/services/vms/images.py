"""Images as admins keep them: added, built, described, withdrawn, removed. The worker makes them (image_making.py)."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.adapters.compute.images import ImageLimits
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.user import Actor
from zentry_web.domain.vms.catalogue import Image
from zentry_web.domain.vms.image import (
    RECIPES,
    WORKING,
    ImageSource,
    ImageVersion,
    VersionState,
)
from zentry_web.domain.vms.new_image import BUILT, BUILT_NEEDS, PARSERS, parse_address, parse_sha256
from zentry_web.models import DbImage, DbImageVersion, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.shared.access import require_admin
from zentry_web.services.shared.fields import Fields, invalid
from zentry_web.services.vms.catalogue import as_image


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """An image as admins see it: with all its versions, newest first, and how many machines it has."""

    image: Image
    versions: tuple[ImageVersion, ...]
    machines: int

    @property
    def is_working(self) -> bool:
        """Whether one of its versions is being made."""
        return any(version.is_working for version in self.versions)


class VMImages(BaseService):
    """A part of VMService. Everything here is for admins."""

    name = "vm_images"

    def __init__(self, core: Core, billing: BillingService, limits: ImageLimits) -> None:
        super().__init__(core)
        self._settings = billing.settings
        self._limits = limits

    def list_entries(self, *, actor: Actor) -> list[ImageEntry]:
        """Everybody's images with their versions. Three statements."""
        require_admin(actor)
        shared = DbImage.project_id.is_(None), DbImage.deleted_at.is_(None)
        living = DbVM.deleted_at.is_(None)
        with self.reading() as session:
            images = session.scalars(select(DbImage).where(*shared).order_by(DbImage.position, DbImage.name)).all()
            versions = _versions_of(session, [image.id for image in images])
            counts = dict(
                session.execute(select(DbVM.image_id, func.count()).where(living).group_by(DbVM.image_id)).all()
            )
            return [_entry(image, versions[image.id], counts.get(image.id, 0)) for image in images]

    def get_entry(self, image_id: str, *, actor: Actor) -> ImageEntry:
        """One of them. Raises NotFoundError."""
        for entry in self.list_entries(actor=actor):
            if entry.image.id == image_id:
                return entry
        raise NotFoundError(_("There is no such image."))

    def list_names(self, driver_names: Collection[str], *, actor: Actor) -> list[str]:
        """What a host calls its images, as people call them: each name once; what no image of ours is stays as it is.
        Raises PermissionDeniedError."""
        require_admin(actor)
        with self.reading() as session:
            query = select(DbImageVersion.driver_name, DbImage.name).join(DbImage)
            found = session.execute(query.where(DbImageVersion.driver_name.in_(driver_names)))
            names = {row.driver_name: row.name for row in found}
        return sorted({names.get(each, each) for each in driver_names})

    def get_version(self, version_id: str, *, actor: Actor) -> ImageVersion:
        """One version of any image. Raises NotFoundError."""
        require_admin(actor)
        with self.reading() as session:
            return as_version(_get(session, version_id))

    def missing_recipes(self, entries: Sequence[ImageEntry]) -> dict[str, str]:
        """What can be built with one click and is not there: name by recipe."""
        there = {entry.image.name for entry in entries}
        return {recipe: words for recipe, words in RECIPES.items() if words not in there}

    def limits(self) -> ImageLimits:
        """Where images may come from now, and how much of it."""
        return replace(self._limits, hosts=self._settings.words(SettingKey.IMAGE_HOSTS))

    # -- adding ---------------------------------------------------------------------------------

    def add_address(self, data: Mapping[str, Any], *, actor: Actor) -> str:
        """An image, or with ``image_id`` the next version of one, from an https address; returns the version's id. The
        worker fetches it. Raises ValidationError on the fields that are wrong, ConflictError."""
        require_admin(actor)
        fields = Fields(data)
        address = fields.take("address", parse_address, "")
        sha256 = fields.take("sha256", parse_sha256, "")
        host = (urlsplit(address).hostname or "").lower()
        if address and not self.limits().allows(host):
            fields.errors["address"] = _("%(host)s is not among the hosts that images may come from.", host=host)
        return self._add(data, fields, ImageSource.ADDRESS, address, sha256, actor)

    def add_file(self, data: Mapping[str, Any], path: str, *, actor: Actor) -> ImageVersion:
        """The same from a file on the server that only the command line names."""
        require_admin(actor)
        return self.get_version(self._add(data, Fields(data), ImageSource.FILE, path, "", actor), actor=actor)

    def build(self, recipe: str, *, actor: Actor) -> str:
        """Have the worker build an image, or its next version; returns the version's id. Raises NotFoundError (no such
        recipe), ConflictError (it is being built)."""
        require_admin(actor)
        if recipe not in RECIPES:
            raise NotFoundError(_("There is no such recipe."))
        facts = BUILT[recipe] | BUILT_NEEDS
        with self.transaction() as session:
            image = session.scalar(
                select(DbImage).where(DbImage.name == facts["name"], DbImage.project_id.is_(None))
            ) or self._new_image(session, facts, recipe)
            return self._new_version(session, image, ImageSource.BUILD, recipe, "", actor)

    def _add(
        self, data: Mapping[str, Any], fields: Fields, source: ImageSource, reference: str, sha256: str, actor: Actor
    ) -> str:
        image_id = str(data.get("image_id") or "")
        facts: dict[str, Any] = {}
        if not image_id:
            facts = _take_facts(fields)
        fields.check()
        with self.transaction() as session:
            image = _get_image(session, image_id) if image_id else None
            if image is None:
                self._require_free(session, facts["name"])
                image = self._new_image(session, facts, "")
            return self._new_version(session, image, source, reference, sha256, actor)

    def _require_free(self, session: Session, name: str, but: str = "") -> None:
        shared = DbImage.name == name, DbImage.project_id.is_(None), DbImage.id != but
        if session.scalar(select(DbImage.id).where(*shared)) is not None:
            raise invalid({"name": _("There is an image of this name. Choose another, or add a version to it.")})

    def _new_image(self, session: Session, facts: Mapping[str, Any], driver_name: str) -> DbImage:
        image_id = self.new_id("img")
        last = session.scalar(select(func.max(DbImage.position))) or 0
        image = DbImage(
            id=image_id,
            driver_name=driver_name or image_id.lower().replace("_", "-"),
            position=last + 1,
            active=True,
            **facts,
        )
        session.add(image)
        session.flush()
        return image

    def _new_version(
        self, session: Session, image: DbImage, source: ImageSource, reference: str, sha256: str, actor: Actor
    ) -> str:
        mine = DbImageVersion.image_id == image.id
        if session.scalar(select(DbImageVersion.id).where(mine, DbImageVersion.state.in_(WORKING))) is not None:
            raise ConflictError(_("A version of %(name)s is being made just now.", name=image.name))
        number = (session.scalar(select(func.max(DbImageVersion.number)).where(mine)) or 0) + 1
        version = DbImageVersion(
            id=self.new_id("iv"),
            image_id=image.id,
            number=number,
            driver_name=image.driver_name if number == 1 else f"{image.driver_name}.{number}",
            source=source,
            reference=reference,
            expected_sha256=sha256,
            created_by=actor.id,
            **_begun(source, self.now()),
        )
        session.add(version)
        details = {"name": image.name, "version": number, "source": source.value}
        self.audit("image.add", Subject("image", image.id), details, actor=actor)
        self.after_commit(self._core.bell.ring)
        return version.id

    # -- changing -------------------------------------------------------------------------------

    def describe(self, image_id: str, data: Mapping[str, Any], *, actor: Actor) -> None:
        """Change what an image says of itself; machines keep what they have. Raises ValidationError, NotFoundError."""
        require_admin(actor)
        fields = Fields(data)
        facts = _take_facts(fields)
        fields.check()
        with self.transaction() as session:
            image = _get_image(session, image_id)
            self._require_free(session, facts["name"], but=image_id)
            changed = sorted(name for name, value in facts.items() if getattr(image, name) != value)
            for name in changed:
                setattr(image, name, facts[name])
            if changed:
                details = {"name": image.name, "fields": changed}
                self.audit("image.describe", Subject("image", image_id), details, actor=actor)

    def cancel(self, version_id: str, *, actor: Actor) -> None:
        """Give up a version that is being made; the worker throws away what there is. Success if asked before."""
        with self._change(version_id, "image.cancel", WORKING, actor) as row:
            row.cancelling = True

    def retry(self, version_id: str, *, actor: Actor) -> None:
        """Make a version anew whose making failed. Raises ConflictError where what it came from is gone."""
        with self._change(version_id, "image.retry", (VersionState.FAILED,), actor) as row:
            if row.source == ImageSource.FILE:
                raise ConflictError(_("The file is not there any more. Add it again."))
            for name, value in _begun(ImageSource(row.source), row.created_at).items():
                setattr(row, name, value)

    def withdraw(self, version_id: str, *, actor: Actor) -> None:
        """Take a version off offer: launches take the one before; machines made from it go on."""
        with self._change(version_id, "image.version_withdraw", (VersionState.READY,), actor) as row:
            row.state = VersionState.WITHDRAWN

    def offer(self, version_id: str, *, actor: Actor) -> None:
        """Put a withdrawn version on offer again."""
        with self._change(version_id, "image.version_offer", (VersionState.WITHDRAWN,), actor) as row:
            row.state = VersionState.READY

    def remove(self, version_id: str, *, actor: Actor) -> None:
        """Remove a version that failed or is withdrawn: from the host as soon as no machine is based on it."""
        allowed = (VersionState.FAILED, VersionState.WITHDRAWN)
        with self._change(version_id, "image.remove", allowed, actor) as row:
            row.state = VersionState.REMOVING

    @contextmanager
    def _change(
        self, version_id: str, action: str, allowed: Sequence[VersionState], actor: Actor
    ) -> Iterator[DbImageVersion]:
        """One change of a version that is in a state which allows it; told in the trail."""
        require_admin(actor)
        with self.transaction() as session:
            row = _get(session, version_id, lock=True)
            image = session.get_one(DbImage, row.image_id)
            if row.state not in allowed:
                raise ConflictError(_("Meanwhile this version of %(name)s is in another state.", name=image.name))
            yield row
            details = {"name": image.name, "version": row.number}
            self.audit(action, Subject("image", image.id), details, actor=actor)
            self.after_commit(self._core.bell.ring)


def _take_facts(fields: Fields) -> dict[str, Any]:
    return {name: fields.take(name, parse, default) for name, (parse, default) in PARSERS.items()}


def _begun(source: ImageSource, at: datetime) -> dict[str, Any]:
    """What a version's row has while nothing of it is made."""
    state = VersionState.BUILDING if source == ImageSource.BUILD else VersionState.IMPORTING
    nothing = {"sha256": "", "size_bytes": 0, "disk_bytes": 0, "step": "", "done_bytes": 0, "total_bytes": 0}
    return {"state": state, "cancelling": False, "reason": "", "created_at": at, "ended_at": None, **nothing}


def _get(session: Session, version_id: str, *, lock: bool = False) -> DbImageVersion:
    row = session.get(DbImageVersion, version_id[:40], with_for_update=lock)
    if row is None:
        raise NotFoundError(_("There is no such version of an image."))
    return row


def _get_image(session: Session, image_id: str) -> DbImage:
    row = session.get(DbImage, image_id[:40], with_for_update=True)
    if row is None or row.project_id is not None or row.deleted_at is not None:
        raise NotFoundError(_("There is no such image."))
    return row


def _versions_of(session: Session, image_ids: list[str]) -> dict[str, list[ImageVersion]]:
    gone = DbImageVersion.state.in_((VersionState.REMOVED,))
    query = select(DbImageVersion).where(DbImageVersion.image_id.in_(image_ids), ~gone)
    found: dict[str, list[ImageVersion]] = defaultdict(list)
    for row in session.scalars(query.order_by(DbImageVersion.number.desc())):
        found[row.image_id].append(as_version(row))
    return found


def _entry(row: DbImage, versions: list[ImageVersion], machines: int) -> ImageEntry:
    newest = next((version for version in versions if version.state == VersionState.READY), None)
    image = as_image(row)
    if newest is not None:
        image = replace(image, driver_name=newest.driver_name, version_id=newest.id, version=newest.number)
    return ImageEntry(image, tuple(versions), machines)


def as_version(row: DbImageVersion) -> ImageVersion:
    """The row as pages and the worker see it."""
    plain = ("id", "image_id", "number", "driver_name", "reference", "sha256", "size_bytes", "disk_bytes", "step",
             "done_bytes", "total_bytes", "cancelling", "reason", "created_at", "ended_at")  # fmt: skip
    fields = {name: getattr(row, name) for name in plain}
    return ImageVersion(state=VersionState(row.state), source=ImageSource(row.source), **fields)
