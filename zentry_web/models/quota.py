"""What admins have set instead of the default quotas."""

from sqlalchemy import BigInteger, CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base


class DbQuota(Base):
    """One limit of one account or project. No row: the default holds."""

    __tablename__ = "quota"

    holder_id: Mapped[str] = mapped_column(String(40), primary_key=True)  # of a user or a project
    resource: Mapped[str] = mapped_column(String(12), primary_key=True)
    amount: Mapped[int | None] = mapped_column(BigInteger)  # None: no limit

    __table_args__ = (CheckConstraint("amount >= 0", name="not_below_zero"),)
