"""No locked package has a version that is known to be weak (scripts/advisories.json, made by scripts/advisories)."""

import json
import re
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

pytestmark = [pytest.mark.unit, pytest.mark.asvs("15.2.1")]

SCRIPTS = Path(__file__).parents[2] / "scripts"
KNOWN = json.loads((SCRIPTS / "advisories.json").read_text())
LOCKS = ("requirements-build", "requirements", "requirements-test")


def locked(text):
    """{package: version} of a lock file."""
    return {canonicalize_name(name): version for name, version in re.findall(r"^([\w.\[\]-]+?)==(\S+)", text, re.M)}


def weak(packages):
    return [
        f"{each['package']} {packages[each['package']]}: {each['id']}"
        for each in KNOWN["advisories"]
        if each["package"] in packages and packages[each["package"]] in SpecifierSet(each["affected"], prereleases=True)
    ]


@pytest.mark.parametrize("name", LOCKS)
def test_no_locked_version_is_known_to_be_weak(name):
    packages = locked((SCRIPTS / f"{name}.lock").read_text())
    assert packages
    assert weak(packages) == [], "scripts/lock --upgrade takes newer ones"


def test_a_weak_version_in_a_lock_would_be_found():
    found = weak(locked("werkzeug==3.0.2 \\\n    --hash=sha256:0\nJinja2==3.1.5\n"))
    assert {line.split(":")[0] for line in found} == {"werkzeug 3.0.2", "jinja2 3.1.5"}
    assert weak(locked("werkzeug==3.1.9\n")) == []


def test_the_list_is_one_that_can_be_read():
    assert len({(each["package"], each["id"]) for each in KNOWN["advisories"]}) == len(KNOWN["advisories"])
    for each in KNOWN["advisories"]:
        assert each["package"] == canonicalize_name(each["package"])
        assert re.fullmatch(r"(CVE-\d{4}-\d+|GHSA(-\w{4}){3}|PYSEC-\d{4}-\d+)", each["id"])
        assert str(SpecifierSet(each["affected"]))
