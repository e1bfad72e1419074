"""What the supervisor does with children that end: at once again after a kill, with growing pauses after a crash."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compute_contract import wait_for
from zentry_web.supervisor import FIRST_PAUSE, Supervisor

pytestmark = pytest.mark.unit


@pytest.fixture
def supervise():
    made = []

    def supervise(code):
        made.append(Supervisor({"child": [sys.executable, "-c", code]}))
        return made[-1]

    yield supervise
    for supervisor in made:
        supervisor._stop_all()


def ended(supervisor):
    """Start the child, wait for its end and let the supervisor see it; the pause before the next start."""
    (child,) = supervisor._children
    child.start_after = 0.0
    supervisor._look_after(child)
    process = child.process
    yield process
    wait_for(lambda: process.poll() is not None, 30, "the child to end")
    supervisor._look_after(child)
    assert child.process is None
    yield child.pause


def test_however_often_it_is_killed_it_is_started_again_at_once(supervise):
    supervisor = supervise("import time; time.sleep(600)")
    for _ in range(4):
        steps = ended(supervisor)
        next(steps).kill()
        assert next(steps) == FIRST_PAUSE


def test_one_that_ends_by_itself_is_started_with_growing_pauses(supervise):
    supervisor = supervise("raise SystemExit(3)")
    pauses = []
    for _ in range(3):
        steps = ended(supervisor)
        next(steps)
        pauses.append(next(steps))
    assert pauses == [2, 4, 8]


def test_children_end_with_a_supervisor_that_is_killed(tmp_path):
    written = f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))"
    child = f"import os, time, pathlib; {written}; time.sleep(600)"
    code = (
        "import sys; from zentry_web.supervisor import Supervisor; "
        f"Supervisor({{'child': [sys.executable, '-c', {child!r}]}}).run(lambda: None)"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", code])
    try:
        wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), 30, "the child to run")
    finally:
        supervisor.kill()
        supervisor.wait()
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not is_there(pid), 30, "the child to end with it")


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"  # one that nobody has asked about yet is over, too
