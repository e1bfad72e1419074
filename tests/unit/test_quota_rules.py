"""Quotas: what is left, what is refused, what an admin may type."""

import pytest

from tests.conftest import make_config
from zentry_web.domain.projects.quota import (
    Amounts,
    Limits,
    Resource,
    Scope,
    as_typed,
    format_memory,
    in_words,
    make_quota,
    make_room,
    parse_limit,
    refusal,
    with_overrides,
)
from zentry_web.domain.setting import DEFINITIONS, NO_LIMIT, SettingKey, parse_setting, show_setting

pytestmark = pytest.mark.unit

NANO = Amounts(1, 1, 128, 1)


NOTHING = Amounts()


def quota(limits, used=NOTHING, scope=Scope.PROJECT):
    return make_quota(scope, limits, used)


def test_what_has_no_limit_has_no_gauge_and_is_never_refused():
    free = quota(Limits())
    assert (free.gauges, free.refusing(Amounts(10**6, 10**6, 10**6, 10**6))) == ((), None)


@pytest.mark.parametrize(("used", "refused"), [(0, False), (2, False), (3, True), (9, True)])
def test_the_last_that_fits_is_accepted_and_the_next_is_not(used, refused):
    found = quota(Limits(vms=3), Amounts(vms=used)).refusing(NANO)
    assert (found is not None) is refused


def test_what_grows_by_nothing_is_accepted_over_the_limit():
    over = quota(Limits(vms=1, vcpus=1, memory_mib=128, disk_gib=1), Amounts(5, 5, 640, 5))
    assert over.refusing(Amounts()) is None
    assert over.refusing(Amounts(disk_gib=1)).resource == Resource.DISK
    assert [gauge.left for gauge in over.gauges] == [0, 0, 0, 0]


def test_what_is_left_is_the_tighter_of_both():
    project = quota(Limits(vms=5, memory_mib=1024), Amounts(2, 2, 256, 2))
    owner = quota(Limits(vms=4, disk_gib=100), Amounts(3, 3, 384, 3), Scope.USER)
    left = {Resource.VMS: 1, Resource.MEMORY: 768, Resource.DISK: 97}
    assert dict(make_room((project, owner))) == left
    assert make_room(()) == ()


def test_overrides_take_the_place_of_defaults_also_with_none():
    defaults = Limits(vms=10, vcpus=20)
    assert with_overrides(defaults, {}) == defaults
    assert with_overrides(defaults, {Resource.VMS: 0, Resource.VCPUS: None}) == Limits(vms=0)


@pytest.mark.parametrize(
    ("resource", "text", "found"),
    [
        ("vms", "", (False, None)), ("vms", " none ", (True, None)), ("vms", "12", (True, 12)), ("vms", "0", (True, 0)),
        ("memory_mib", "64 GiB", (True, 65536)), ("memory_mib", "512MiB", (True, 512)),
        ("memory_mib", "2g", (True, 2048)),
        ("memory_mib", "0", (True, 0)),
    ],
)  # fmt: skip
def test_what_an_admin_types(resource, text, found):
    assert parse_limit(Resource(resource), text) == found
    if found[0]:
        typed = as_typed(Resource(resource), {Resource(resource): found[1]})
        assert parse_limit(Resource(resource), typed) == found


@pytest.mark.parametrize(
    ("resource", "text"),
    [
        ("vms", "-1"), ("vms", "1.5"), ("vms", "many"), ("vms", "9" * 11), ("vms", "\u0663"), ("memory_mib", "64"),
        ("memory_mib", "999999999 GiB"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(resource, text):
    with pytest.raises(ValueError, match=r"[Ee]nter|unit"):
        parse_limit(Resource(resource), text)


def test_words():
    assert [in_words(Resource.VMS, number) for number in (0, 1, 1000)] == ["0 machines", "1 machine", "1,000 machines"]
    assert [in_words(Resource.MEMORY, mib) for mib in (0, 512, 1536, 2048)] == [
        "0 MiB memory", "512 MiB memory", "1.5 GiB memory", "2 GiB memory",
    ]  # fmt: skip
    assert [format_memory(mib) for mib in (1023, 1024, 1300, 16_416, 1_048_576)] == [
        "1023 MiB", "1 GiB", "1.27 GiB", "16.03 GiB", "1,024 GiB",
    ]  # fmt: skip
    (gauge,) = quota(Limits(memory_mib=1024), Amounts(memory_mib=896)).gauges
    assert refusal(Scope.PROJECT, gauge, 512).startswith(
        "This project may have 1 GiB memory: 896 MiB in use, and this needs 512 MiB more. "
    )


def test_what_the_environment_says_is_pinned(tmp_path, monkeypatch):
    assert make_config(tmp_path).setting_defaults[SettingKey.QUOTA_PROJECT_VMS] == NO_LIMIT
    monkeypatch.setenv("ZENTRY_QUOTA_USER_VMS", "none")
    monkeypatch.setenv("ZENTRY_QUOTA_PROJECT_DISK_GIB", "50")
    config = make_config(tmp_path)
    limits = {SettingKey.QUOTA_USER_VMS: NO_LIMIT, SettingKey.QUOTA_PROJECT_DISK_GIB: 50}
    assert {key: config.setting_defaults[key] for key in limits} == limits
    assert limits.keys() <= config.pinned_settings
    assert SettingKey.QUOTA_USER_VCPUS not in config.pinned_settings
    monkeypatch.setenv("ZENTRY_QUOTA_USER_VMS", "-1")
    with pytest.raises(ValueError, match="quota_user_vms"):
        make_config(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "parsed", "shown"),
    [
        ("quota_user_vms", "12", 12, "12"), ("quota_user_vms", " None ", NO_LIMIT, "no limit"),
        ("quota_user_vcpus", 0, 0, "0"), ("quota_user_memory_mib", "64 GiB", 65536, "64 GiB"),
        ("quota_project_memory_mib", "512 MiB", 512, "512 MiB"), ("quota_project_disk_gib", "2000", 2000, "2,000 GiB"),
        ("quota_project_vms", "no limit", NO_LIMIT, "no limit"),
    ],
)  # fmt: skip
def test_a_default_is_a_number_or_no_limit(key, value, parsed, shown):
    definition = DEFINITIONS[SettingKey(key)]
    assert parse_setting(definition, value) == parsed
    assert show_setting(definition, parsed) == shown


@pytest.mark.error
@pytest.mark.parametrize("value", ["", " ", None, "-1", -1, True, 1.5, "1.5", "many", "9" * 20, 10**10, "64 GiB"])
def test_nonsense_is_no_default(value):
    with pytest.raises(ValueError, match="no limit"):
        parse_setting(DEFINITIONS[SettingKey.QUOTA_USER_VMS], value)
