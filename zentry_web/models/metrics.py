"""Tables of the metrics store, a database of its own: samples, and the console logs collected."""

from datetime import datetime

from sqlalchemy import BigInteger, Float, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import MetricsBase
from zentry_web.models.types import UTCDateTime, UTCSecond


class DbSample(MetricsBase):
    __tablename__ = "sample"

    vm_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCSecond, primary_key=True)
    cpu_percent: Mapped[float] = mapped_column(Float)
    memory_used_bytes: Mapped[int | None] = mapped_column(BigInteger)
    memory_total_bytes: Mapped[int] = mapped_column(BigInteger)
    disk_read_bytes_per_s: Mapped[float] = mapped_column(Float)
    disk_write_bytes_per_s: Mapped[float] = mapped_column(Float)
    net_rx_bytes_per_s: Mapped[float] = mapped_column(Float)
    net_tx_bytes_per_s: Mapped[float] = mapped_column(Float)

    __table_args__ = (Index("ix_sample_at", "at"), {"sqlite_with_rowid": False})


class DbLatest(MetricsBase):
    """The newest sample's headline figures per VM, so that lists and 'busiest' need no scan of all samples."""

    __tablename__ = "latest"

    vm_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner_id: Mapped[str] = mapped_column(String(40))
    at: Mapped[datetime] = mapped_column(UTCSecond)
    cpu_percent: Mapped[float] = mapped_column(Float)
    memory_used_bytes: Mapped[int | None] = mapped_column(BigInteger)
    memory_total_bytes: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("ix_latest_owner_id_cpu_percent", "owner_id", "cpu_percent"),)


class DbConsole(MetricsBase):
    __tablename__ = "console"

    vm_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    collected_at: Mapped[datetime] = mapped_column(UTCDateTime)
    output_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # when it was last seen to grow
