"""Addresses among the settings: what cannot be used is refused at start, with the mend and without the password."""

import pytest
from click.testing import CliRunner

from zentry_web.cli import main
from zentry_web.config import Config

pytestmark = pytest.mark.unit

PASSWORD = "p" + "#" + "ss"


@pytest.mark.parametrize(
    ("name", "value", "mend"),
    [
        ("smtp_url", f"smtps://zentry:{PASSWORD}@mail.example.com:465", "%23"),
        ("smtp_url", "smtps://zentry:12#3@mail.example.com", "%23"),
        ("smtp_url", "smtps://zentry:p/ss@mail.example.com", "%2F"),
        ("smtp_url", "smtps://zentry:p?ss@mail.example.com", "%3F"),
        ("smtp_url", "smtp://mail.example.com:99999", "up to 65535"),
        ("smtp_url", "mail.example.com:25", "smtp://host:port"),
        ("smtp_url", "smtp://mail.example.com/inbox", "smtp://host:port"),
        ("smtp_url", "http://mail.example.com", "smtp://host:port"),
        ("database_url", "postgresql+psycopg://zentry:p@ss:w@host:x/zentry", "%40"),
        ("database_url", "mysql://zentry@host/zentry", "postgresql"),
        ("database_url", "zentry.sqlite", "postgresql"),
        ("metrics_url", "oracle://host", "postgresql"),
        ("oidc_issuer", "https://cloud.example.com:https", "a port is a number"),
        ("oidc_issuer", "https://cloud.example.com/#top", "cannot be read"),
        ("captcha_api", "https://captcha.example:x", "a port is a number"),
        ("stripe_api", "https://[::1", "cannot be read"),
        ("smtp_ca_file", "no-such-file.pem", "file"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_with_the_mend(tmp_path, monkeypatch, name, value, mend):
    with pytest.raises(ValueError, match=mend):
        Config(data=tmp_path, **{name: value})
    monkeypatch.setenv("ZENTRY_DATA", str(tmp_path))
    monkeypatch.setenv(f"ZENTRY_{name.upper()}", value)
    for command in ("web", "worker", "migrate", "verify"):
        answer = CliRunner().invoke(main, [command])
        assert answer.exit_code == 1
        assert name in answer.output
        assert mend in answer.output
        assert "ss@" not in answer.output, "no password on a terminal or in a log"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smtp_url", "smtps://zentry:p%23ss@mail.example.com:465"),
        ("smtp_url", "smtp://[::1]:25"),
        ("smtp_url", "smtp://localhost/"),
        ("database_url", "postgresql+psycopg://zentry@/zentry?host=/run/postgresql"),
        ("database_url", "sqlite:////srv/zentry/zentry.sqlite"),
        ("base_url", "https://cloud.example.com"),
        ("base_url", "https://bücher.example"),
    ],
)
def test_what_can_be_used_is_taken(tmp_path, name, value):
    assert getattr(Config(data=tmp_path, **{name: value}), name) == value
