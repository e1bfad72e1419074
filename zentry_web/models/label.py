"""Labels: what people write on machines and projects to find them again."""

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base


class DbVMLabel(Base):
    __tablename__ = "vm_label"

    vm_id: Mapped[str] = mapped_column(ForeignKey("vm.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(63), primary_key=True)
    value: Mapped[str] = mapped_column(String(63))  # '': a plain word

    __table_args__ = (Index("ix_vm_label_key_value", "key", "value"),)


class DbProjectLabel(Base):
    __tablename__ = "project_label"

    project_id: Mapped[str] = mapped_column(ForeignKey("project.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(63), primary_key=True)
    value: Mapped[str] = mapped_column(String(63))
