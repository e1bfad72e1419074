"""The locks say what setup.cfg asks for, and install anywhere."""

import configparser
import os
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "scripts").glob("requirements*.lock"))
PIN = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    return {
        canonicalize_name(package): version for package, version in PIN.findall((ROOT / "scripts" / name).read_text())
    }


def wanted(*extras: str) -> list[Requirement]:
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    lines = setup["options"]["install_requires"].splitlines()
    for extra in extras:
        lines += setup["options.extras_require"][extra].splitlines()
    return [Requirement(line) for line in lines if line.strip()]


@pytest.mark.asvs("15.1.2")
@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_lock_names_no_place_and_hashes_everything(lock: Path) -> None:
    text = lock.read_text()
    assert not re.search(r"^\s*-|://|^/|@ ", re.sub(r"--hash=sha256:[0-9a-f]{64}", "", text), re.MULTILINE)
    blocks = re.split(r"^(?=[\w.-]+(?:\[[\w,-]+\])?==)", text, flags=re.MULTILINE)[1:]
    assert blocks
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements.lock", ()), ("requirements-test.lock", ("test", "dev"))], ids=["run", "test"]
)
def test_lock_holds_what_setup_cfg_asks_for(lock: str, extras: tuple[str, ...]) -> None:
    locked = pins(lock)
    for requirement in wanted(*extras):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not in {lock}: run scripts/lock"
        assert requirement.specifier.contains(version), f"{lock} has {version}, not {requirement}: run scripts/lock"


def test_tests_run_on_the_versions_that_run_in_earnest() -> None:
    assert pins("requirements.lock").items() <= pins("requirements-test.lock").items()


@pytest.mark.asvs("15.2.1")
def test_what_is_held_at_one_version_is_named_by_the_promise() -> None:
    """``scripts/lock --upgrade`` raises everything else: nothing hinders keeping to the days that are promised."""
    promise = (ROOT / "docs" / "protection.md").read_text().partition("## How soon libraries are updated")[2]
    days = [int(each) for each in re.findall(r"^\| .+ \| (\d+) days", promise, re.MULTILINE)]
    assert len(days) == 4
    assert days == sorted(days)
    held = {each.name for each in wanted() if any(part.operator.startswith("==") for part in each.specifier)}
    assert {canonicalize_name(name) for name in re.findall(r"Flask-\w+", promise)} == held
    assert "--upgrade" in (ROOT / "scripts" / "lock").read_text()


def test_every_script_can_be_run() -> None:
    for script in [*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run"]:
        if script.is_file() and script.read_bytes().startswith(b"#!"):
            assert os.access(script, os.X_OK), script
