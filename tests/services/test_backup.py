"""``zentry backup`` and ``zentry restore``, on both databases, while things go on."""

import json
import shutil
import stat
import subprocess
import sys
from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import make_url

from tests.conftest import PASSWORD, START, make_config
from tests.postgres import execute
from tests.services.people import visitor
from zentry_web.backup import BackupError, backup, backup_daily, list_backups, restore
from zentry_web.cli import main
from zentry_web.composition import build_container

pytestmark = pytest.mark.integration


@pytest.fixture
def elsewhere(config, tmp_path, request, worker_id):
    """Settings of an empty place: another folder and, on PostgreSQL, another database."""
    folder = tmp_path / "elsewhere"
    if not config.database_url:
        yield make_config(folder)
        return
    url, name = request.getfixturevalue("postgres_url"), f"restored_{worker_id}"
    execute(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"')
    there = make_url(config.database_url).set(database=name).render_as_string(hide_password=False)
    yield make_config(folder, database_url=there)
    execute(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def machine(cloud, alice):
    return cloud.launch(alice, cloud.project(alice, "Website"), "web-1")


def test_what_was_backed_up_comes_back_whole_and_its_books_agree(config, cloud, alice, elsewhere, tmp_path, machine):
    cloud.clock.advance(7200)
    cloud.round(3)
    cloud.container.get_monitoring_service().generate_mock_metrics(
        machine.id, START, START + timedelta(hours=1), owner_id=alice.id
    )
    before = cloud.billing.get_user_credits(alice.id)
    made = backup(config, tmp_path / "backups", cloud.clock.now())
    cloud.billing.add_credits(alice.id, 7_000_000, "after the backup")
    found = restore(elsewhere, made)
    assert found.made_at == cloud.clock.now()
    restored = build_container(elsewhere, clock=cloud.clock)
    try:
        assert restored.get_billing_service().get_user_credits(alice.id) == before
        assert restored.get_auth_service().login({"email": alice.email, "password": PASSWORD}, actor=visitor())
        assert [check for check in restored.get_billing_service().verify() if not check.ok] == []
        series = restored.get_monitoring_service().get_vm_metrics(
            machine.id, start=START, end=START + timedelta(hours=1)
        )
        assert len(series.times) > 10
    finally:
        restored.close()


def test_nobody_else_reads_it_and_it_says_what_it_is(config, container, clock, tmp_path):
    made = backup(config, tmp_path / "backups", clock.now())
    assert stat.S_IMODE(made.stat().st_mode) == stat.S_IMODE(made.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.iterdir()} == {0o600}
    contents = json.loads((made / "backup.json").read_text())
    assert contents["secret_key"].startswith("ZENTRY_SECRET_KEY"), "where the key is, never the key"
    assert "test-secret-key" not in (made / "backup.json").read_text()
    assert set(contents["sha256"]) == {path.name for path in made.iterdir()} - {"backup.json"}


def test_two_nights_and_as_many_as_are_kept(config, container, clock, tmp_path):
    folder = tmp_path / "backups"
    nights = []
    for _ in range(4):
        nights.append(backup_daily(config, folder, clock.now(), keep=2))
        assert backup_daily(config, folder, clock.now() + timedelta(hours=23), keep=2) is None, "one a day"
        clock.advance(days=1)
    assert list_backups(folder) == nights[-2:]


def test_what_a_killed_worker_left_is_no_backup_and_goes(config, container, clock, tmp_path):
    folder = tmp_path / "backups"
    made = backup(config, folder, clock.now())
    torn = folder / "zentry-20991231T000000Z.partial"
    shutil.copytree(made, torn)
    assert list_backups(folder) == [made]
    clock.advance(days=1)
    backup_daily(config, folder, clock.now(), keep=5)
    assert not torn.exists()


@pytest.mark.error
def test_only_into_an_empty_place_and_only_what_is_whole(config, container, clock, elsewhere, tmp_path):
    made = backup(config, tmp_path / "backups", clock.now())
    with pytest.raises(BackupError, match="already"):
        restore(config, made)
    with pytest.raises(BackupError, match="no backup"):
        restore(elsewhere, tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(made, broken)
    (victim,) = broken.glob("business.*")
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    with pytest.raises(BackupError, match="not what was backed up"):
        restore(elsewhere, broken)
    assert not elsewhere.data.exists() or not any(elsewhere.data.iterdir()), "nothing was put in place"
    restore(elsewhere, made)
    with pytest.raises(BackupError, match="already"):
        restore(elsewhere, made)


@pytest.mark.error
def test_a_backup_of_the_other_database_is_refused(sqlite_config, clock, tmp_path):
    made = backup(sqlite_config, tmp_path / "backups", clock.now())
    other = make_config(tmp_path / "other", database_url="postgresql+psycopg://zentry@/zentry?host=/nowhere")
    with pytest.raises(BackupError, match="no business database of PostgreSQL"):
        restore(other, made)


@pytest.mark.error
def test_a_backup_that_cannot_be_written_leaves_nothing_of_its_name(sqlite_config, clock, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(BackupError, match="could not be written"):
        backup(sqlite_config, blocked, clock.now())
    (sqlite_config.data / "zentry.sqlite").unlink()
    with pytest.raises(BackupError, match="There is no database"):
        backup(sqlite_config, tmp_path / "backups", clock.now())
    assert list((tmp_path / "backups").iterdir()) == []


def test_by_the_command_line_with_the_secret_key_and_verify(sqlite_config, tmp_path, monkeypatch):
    """As an operator: the key is in the data folder, and `zentry verify` has the last word."""
    monkeypatch.setenv("ZENTRY_COMPUTE", "simulator")
    monkeypatch.setenv("ZENTRY_ENVIRONMENT", "test")
    monkeypatch.setenv("ZENTRY_DATA", str(sqlite_config.data))
    (sqlite_config.data / "secret-key").write_text("a key of this installation\n")
    answer = CliRunner().invoke(main, ["backup", str(tmp_path / "backups")])
    assert answer.exit_code == 0, answer.output
    (made,) = list_backups(tmp_path / "backups")
    assert CliRunner().invoke(main, ["restore", str(made)]).exit_code == 1, "not over what is there"
    monkeypatch.setenv("ZENTRY_DATA", str(tmp_path / "new"))
    answer = CliRunner().invoke(main, ["restore", str(made)])
    assert answer.exit_code == 0, answer.output
    assert (tmp_path / "new" / "secret-key").read_text() == "a key of this installation\n"
    assert stat.S_IMODE((tmp_path / "new" / "secret-key").stat().st_mode) == 0o600
    verified = subprocess.run(
        [sys.executable, "-m", "zentry_web", "verify"], capture_output=True, text=True, timeout=60
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
