"""Whole numbers are typed in the digits 0 to 9: not in those of other scripts, with underscores, or thousands of them.

Amounts have done so since they are typed. Here: every whole-number field of every form, query arguments, settings.
"""

import importlib
import pkgutil

import pytest
from pydantic import ValidationError
from wtforms import IntegerField

from zentry_web import blueprints
from zentry_web.config import Config
from zentry_web.domain.projects.quota import Resource, parse_amount
from zentry_web.domain.text import whole_number
from zentry_web.web.input.forms import BaseForm, WholeNumberField, number_of
from zentry_web.web.input.paging import number_argument

ODD = ("１２", "٣", "1_000", "१", "1e3", "0x1f", "1.0", "½", "", " ", "+", "-", "--1", "1 2", "²", "9" * 19)


def forms():
    """Every form of the product."""
    for module in pkgutil.walk_packages(blueprints.__path__, f"{blueprints.__name__}."):
        importlib.import_module(module.name)
    found, waiting = [], [BaseForm]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return found


@pytest.mark.unit
def test_what_a_whole_number_is():
    assert [whole_number(text) for text in ("0", " 12 ", "-3", "+4", "007", "9" * 18)] == [0, 12, -3, 4, 7, 10**18 - 1]
    assert {text: whole_number(text) for text in ODD} == dict.fromkeys(ODD)
    assert [number_of(text) for text in ("7", *ODD)] == [7] + [-1] * len(ODD)


@pytest.mark.unit
def test_every_whole_number_field_of_every_form_reads_them_so():
    seen = 0
    for form in forms():
        for name in dir(form):
            kind = getattr(getattr(form, name), "field_class", None)
            if isinstance(kind, type) and issubclass(kind, IntegerField):
                assert issubclass(kind, WholeNumberField), f"{form.__name__}.{name}"
                seen += 1
    assert seen >= 4


@pytest.mark.unit
@pytest.mark.error
@pytest.mark.parametrize("text", ODD)
def test_limits_of_quotas_too(text):
    for resource in (Resource.VMS, Resource.DISK):
        with pytest.raises(ValueError, match="whole number"):
            parse_amount(resource, text)


@pytest.mark.integration
def test_numbers_in_addresses_too(web):
    with web.test_request_context("/?before=12"):
        assert number_argument("before") == 12
    for text in (*ODD, "0", "-1"):
        with web.test_request_context("/", query_string={"before": text}):
            assert number_argument("before") is None, text


@pytest.mark.integration
@pytest.mark.parametrize("text", ["１２", "1_0"])
def test_a_form_says_so_beside_the_field_and_keeps_what_was_typed(as_admin, text):
    answer = as_admin.post("/admin/vouchers/new", {"value": "1", "count": text, "uses": "1", "idempotency_key": "k"})
    assert answer.status_code == 400
    assert "Enter a whole number." in answer.text
    assert f'value="{text}"' in answer.text


@pytest.mark.integration
def test_places_and_counts_that_are_no_numbers_are_as_if_not_typed(as_alice, machine):
    for text in ODD:
        assert as_alice.post("/credits/plan/order", {"vm": machine.id, "place": text}).status_code == 303
        assert as_alice.get("/credits/what-if", query_string={"launch": "size_nano", "count": text}).status_code == 200
        after = as_alice.get(f"/vms/{machine.id}/metrics.json", query_string={"after": text})
        assert after.status_code == 200


@pytest.mark.unit
@pytest.mark.error
@pytest.mark.parametrize("name", ["PORT", "ZENTRY_WEB_THREADS", "ZENTRY_STARTING_CREDITS", "ZENTRY_QUOTA_USER_VMS"])
@pytest.mark.parametrize("text", ["８０", "٣", "1_000"])
def test_settings_of_the_environment_too(monkeypatch, tmp_path, name, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(ValidationError, match="digits 0 to 9"):
        Config(data=tmp_path)
