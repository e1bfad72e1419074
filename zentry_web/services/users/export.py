"""Everything Zentry knows about a person, as JSON files in a zip."""

import json
import zipfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from io import TextIOWrapper
from typing import IO, Any

from sqlalchemy import RowMapping, select

from zentry_web.domain.event import Subject
from zentry_web.domain.user import ANONYMOUS_ID, SYSTEM, Actor
from zentry_web.models import DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.shared.access import require_self
from zentry_web.services.shared.account_rows import require_user_row
from zentry_web.services.shared.rate_limits import RateLimiter, limit_of
from zentry_web.services.users.personal_data import PERSONAL, PERSONAL_METRICS, SOMEBODY_ELSE

AT_A_TIME = 1000
_PERSON = "usr_"  # what an account's id begins with
README = """Everything this Zentry keeps about you. Times are UTC; amounts are micro-credits (1 000 000 are one credit).
Secrets (your password, tokens, recovery codes, keys of second factors) are kept as hashes or encrypted, and are not in
here: of each you see that it is there, its name and its times. Where a row names another person it says
"somebody else". The figures behind the charts of your machines are on the machines' pages.
"""


class DataExport(BaseService):
    """Writes a person's data, as the register in personal_data.py has it; a part of UserService."""

    name = "data_export"

    def __init__(self, core: Core, monitoring: MonitoringService) -> None:
        super().__init__(core)
        self._monitoring = monitoring

    def write(self, user_id: str, file: IO[bytes], *, actor: Actor = SYSTEM) -> None:
        """Write a zip with one JSON file per kind of thing into ``file``, row by row, in one consistent reading.

        Raises NotFoundError (also for somebody else's), RateLimitedError (five an hour).
        """
        require_self(actor, user_id)
        RateLimiter(self._core).check(limit_of("export", user_id))
        self.audit("user.export", Subject.user(user_id), actor=actor)
        with self.reading() as session, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            require_user_row(session, user_id)
            archive.writestr("README.txt", README)
            for each in PERSONAL:
                if each.file:
                    query = each.query(user_id).execution_options(yield_per=AT_A_TIME)
                    rows = session.execute(query).mappings()
                    _write(archive, each.file, (_without_others(row, each.others, user_id) for row in rows))
            machines = list(session.scalars(select(DbVM.id).where(DbVM.owner_id == user_id).order_by(DbVM.id)))
            for table, (name, _) in PERSONAL_METRICS.items():
                _write(archive, name, self._monitoring.rows_of_machines(table, machines))


def _without_others(row: RowMapping, columns: Iterable[str], user_id: str) -> dict[str, Any]:
    """The row without the ids of other people, be they in a column of their own or in what an event tells."""
    known = (None, user_id, SYSTEM.id, ANONYMOUS_ID)
    hidden = {name: SOMEBODY_ELSE for name in columns if row[name] not in known}
    return {name: _without_ids(value, user_id) for name, value in {**row, **hidden}.items()}


def _without_ids(value: Any, user_id: str) -> Any:
    if isinstance(value, str):
        return SOMEBODY_ELSE if value.startswith(_PERSON) and value != user_id else value
    if isinstance(value, dict):
        return {name: _without_ids(each, user_id) for name, each in value.items()}
    return [_without_ids(each, user_id) for each in value] if isinstance(value, list) else value


def _write(archive: zipfile.ZipFile, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    with archive.open(f"{name}.json", "w") as raw, TextIOWrapper(raw, encoding="utf-8") as text:
        text.write("[")
        for number, row in enumerate(rows):
            text.write(",\n" if number else "\n")
            json.dump(dict(row), text, default=_plain, ensure_ascii=False)
        text.write("\n]\n")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
