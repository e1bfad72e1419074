"""Where processes keep their figures: in memory, else beside the data if there is room, else nowhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zentry_web import figures
from zentry_web.figures import SWITCH, prepare_figures

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def no_switch(monkeypatch):
    """Unset, and unset again afterwards: what ``prepare_figures`` puts there would hide the figures of later tests."""
    monkeypatch.setenv(SWITCH, "to be undone")
    monkeypatch.delenv(SWITCH)


def test_they_lie_in_memory_and_not_on_the_disk_that_may_be_full(tmp_path, monkeypatch):
    memory = tmp_path / "shm"
    memory.mkdir()
    folder = prepare_figures(tmp_path, "abc", memory=memory)
    assert folder == memory / "zentry-figures-abc"
    assert os.environ[SWITCH] == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("trap", ["link", "open", "file"])
def test_a_folder_that_somebody_else_may_have_put_there_is_not_used(tmp_path, trap):
    memory, theirs = tmp_path / "shm", tmp_path / "shm" / "zentry-figures-abc"
    memory.mkdir()
    if trap == "link":
        (tmp_path / "elsewhere").mkdir()
        theirs.symlink_to(tmp_path / "elsewhere")
    elif trap == "open":
        theirs.mkdir()
        theirs.chmod(0o777)
    else:
        theirs.write_text("")
    assert prepare_figures(tmp_path, "abc", memory=memory) == tmp_path / "prometheus"


def test_without_room_anywhere_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "LEAST_FREE_BYTES", 2**62)
    monkeypatch.setenv(SWITCH, "/left/over")
    assert prepare_figures(tmp_path, "abc", memory=tmp_path / "none") is None
    assert SWITCH not in os.environ


def test_files_of_processes_that_are_gone_go(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    folder = tmp_path / "prometheus"
    folder.mkdir(mode=0o700)
    for pid in (gone.pid, os.getpid()):
        (folder / f"counter_{pid}.db").touch()
    prepare_figures(tmp_path, "abc", memory=Path("/nowhere"))
    assert [path.name for path in folder.iterdir()] == [f"counter_{os.getpid()}.db"]
