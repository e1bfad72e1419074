"""The Flask-SQLAlchemy object, the declarative base and the constraint naming convention; nothing else."""

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, MetaData
from sqlalchemy.orm import DeclarativeBase

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of every table of the business database."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class MetricsBase(DeclarativeBase):
    """Base of the tables in the metrics store, a database of its own (ADR 0003)."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class SharedEngine(SQLAlchemy):
    """Flask-SQLAlchemy on the engine that the service container made: one pool per process, not two."""

    def _make_engine(self, bind_key: str | None, options: dict[str, object], app: Flask) -> Engine:
        engine: Engine = app.config["ZENTRY_ENGINE"]
        return engine


db = SharedEngine(model_class=Base)
