"""Budgets of projects."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, CheckConstraint, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime


class DbProjectBudget(Base):
    """What a project may cost each month, how far its owner was told, and when to look again."""

    __tablename__ = "project_budget"

    project_id: Mapped[str] = mapped_column(ForeignKey("project.id"), primary_key=True)
    amount: Mapped[int] = mapped_column(BigInteger)  # micro-credits a month
    alerts: Mapped[str] = mapped_column(String(60))  # percentages with commas: '50,80,100'
    hard_cap: Mapped[bool] = mapped_column(Boolean)
    told_month: Mapped[str] = mapped_column(String(7), default="")
    told_amount: Mapped[int] = mapped_column(BigInteger, default=0)
    told_percent: Mapped[int] = mapped_column(Integer, default=0)
    look_at: Mapped[datetime] = mapped_column(UTCDateTime)  # what a percentage may be reached at; now: costs changed

    __table_args__ = (CheckConstraint("amount > 0", name="above_zero"), Index("ix_project_budget_look_at", "look_at"))
