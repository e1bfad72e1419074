"""SSH public keys of an account: kept here, ticked at a launch. Machines have copies, which nothing here touches."""

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.notice_texts import say
from zentry_web.domain.people.ssh_key import MOST_KEYS, PublicKey, SshKey, in_words
from zentry_web.domain.people.ssh_key_text import parse_public_key
from zentry_web.domain.target import Place, Target
from zentry_web.domain.text import clean_name
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.models import DbOperation, DbSshKey, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.shared.access import require_recent_proof, require_self
from zentry_web.services.shared.account_rows import require_user_row
from zentry_web.services.shared.fields import Fields, invalid
from zentry_web.services.shared.notices import Notices

LONGEST_NAME = 100
_NONE = PublicKey("", 0, "", "", "")


class SshKeys(BaseService):
    """List, add, rename, remove; a part of UserService."""

    name = "ssh_keys"

    def __init__(self, core: Core, notices: Notices) -> None:
        super().__init__(core)
        self._notices = notices

    def list_keys(self, user_id: str, *, actor: Actor = SYSTEM) -> list[SshKey]:
        """An account's keys, oldest first. Raises NotFoundError for somebody else's."""
        require_self(actor, user_id)
        with self.reading() as session:
            rows = session.scalars(select(DbSshKey).where(DbSshKey.user_id == user_id).order_by(DbSshKey.id))
            return [_as_ssh_key(row) for row in rows]

    def get_key(self, user_id: str, key_id: str, *, actor: Actor = SYSTEM) -> SshKey:
        """One of an account's keys. Raises NotFoundError."""
        require_self(actor, user_id)
        with self.reading() as session:
            return _as_ssh_key(_require(session, user_id, key_id))

    def add(self, user_id: str, public_key: object, name: object = "", *, actor: Actor = SYSTEM) -> SshKey:
        """Keep the key in a line of a ``.pub`` file; without a name it is called by its comment, else by its kind.

        Its owner is told: whoever has the private half gets into what is launched with it. Raises ValidationError
        (``public_key``, ``name``), ConflictError (20 at most), NotFoundError, ProofRequiredError.
        """
        require_self(actor, user_id)
        fields = Fields({"public_key": public_key, "name": name})
        key = fields.take("public_key", parse_public_key, _NONE)
        called = fields.take("name", _parse_optional_name, "") or key.comment[:LONGEST_NAME].strip()
        fields.check()  # before the proof: a private key that was pasted by mistake is kept nowhere meanwhile
        require_recent_proof(actor, self.now())
        with self.transaction() as session:
            require_user_row(session, user_id, lock=True)
            kept = self.list_keys(user_id)
            if same := next((each for each in kept if each.fingerprint == key.fingerprint), None):
                raise invalid({"public_key": _("You have this key already: it is called “%(name)s”.", name=same.name)})
            if len(kept) >= MOST_KEYS:
                raise ConflictError(
                    _("There are %(most)s keys already. Remove one that is not needed.", most=MOST_KEYS)
                )
            row = DbSshKey(
                id=self.new_id("ssh"), user_id=user_id, name=called or in_words(key.kind, key.bits), kind=key.kind,
                bits=key.bits, blob=key.blob, comment=key.comment, fingerprint=key.fingerprint, created_at=self.now(),
            )  # fmt: skip
            session.add(row)
            session.flush()
            self._log("ssh_key.add", row, actor)
            words = say("ssh_key_added", name=row.name, fingerprint=row.fingerprint)
            self._notices.tell(user_id, "ssh_key", row.id, *words, target=Target(Place.SSH_KEYS))
            return _as_ssh_key(row)

    def rename(self, user_id: str, key_id: str, name: object, *, actor: Actor = SYSTEM) -> None:
        """Call a key something else. Raises ValidationError (``name``), NotFoundError."""
        require_self(actor, user_id)
        fields = Fields({"name": name})
        called = fields.take("name", lambda value: clean_name(value, longest=LONGEST_NAME), "")
        fields.check()
        with self.transaction() as session:
            row = _require(session, user_id, key_id)
            if row.name != called:
                row.name = called
                self._log("ssh_key.rename", row, actor)

    def remove(self, user_id: str, key_id: str, *, actor: Actor = SYSTEM) -> SshKey:
        """Offer a key no more; machines that were launched with it keep it. Raises NotFoundError."""
        require_self(actor, user_id)
        with self.transaction() as session:
            row = _require(session, user_id, key_id)
            self._log("ssh_key.remove", row, actor)
            session.delete(row)
            return _as_ssh_key(row)

    def _log(self, action: str, row: DbSshKey, actor: Actor) -> None:
        personal = {"name": row.name, "fingerprint": row.fingerprint}
        about = Subject("ssh_key", row.id, row.user_id)
        self.audit(action, about, {"kind": row.kind}, actor=actor, personal=personal)


def forget_in_machines(session: Session, user_id: str) -> None:
    """Of an account that is being erased: forget what launches wrote down of its keys, in the machines it launched in
    others' projects and where somebody else pasted one of its keys.

    Only Zentry's records: a machine that was made has its copy on its disks, which are its owner's.
    """
    launched = select(DbOperation.vm_id).where(
        DbOperation.kind == OperationKind.CREATE, DbOperation.requested_by == user_id
    )
    _set(session, DbVM.id.in_(launched) & (DbVM.ssh_key != ""), "")
    blobs = list(session.scalars(select(DbSshKey.blob).where(DbSshKey.user_id == user_id)))
    if not blobs:
        return
    having = or_(*(DbVM.ssh_key.contains(blob, autoescape=True) for blob in blobs))
    for vm_id, lines in session.execute(select(DbVM.id, DbVM.ssh_key).where(having)).all():
        left = [line for line in lines.splitlines() if line.split()[1] not in blobs]
        _set(session, DbVM.id == vm_id, "\n".join(left))


def _set(session: Session, which: ColumnElement[bool], lines: str) -> None:
    run(session, update(DbVM).where(which).values(ssh_key=lines))


def _require(session: Session, user_id: str, key_id: str) -> DbSshKey:
    row = session.scalar(select(DbSshKey).where(DbSshKey.id == key_id, DbSshKey.user_id == user_id))
    if row is None:
        raise NotFoundError(_("There is no such key in your account."))
    return row


def _parse_optional_name(value: object) -> str:
    return clean_name(value, longest=LONGEST_NAME) if isinstance(value, str) and value.strip() else ""


def _as_ssh_key(row: DbSshKey) -> SshKey:
    return SshKey(
        row.id, row.name, row.kind, row.bits, row.fingerprint, row.comment, row.created_at, row.last_used_at
    )  # fmt: skip
