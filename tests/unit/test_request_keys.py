"""One check of idempotency keys, and one answer when a key was used for something else."""

import pytest

from zentry_web.services.errors import ConflictError, ValidationError
from zentry_web.services.shared.request_keys import LONGEST_KEY, check_key, require_same

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("key", [None, "k", "k" * LONGEST_KEY])
def test_a_usable_key(key: str | None) -> None:
    check_key(key)


@pytest.mark.parametrize("key", ["", "k" * (LONGEST_KEY + 1)])
def test_a_key_that_is_not_usable(key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check_key(key)
    assert caught.value.details == {"idempotency_key": "Not usable."}


def test_the_same_request_is_fine() -> None:
    require_same(True)


def test_another_request_with_the_key_of_one_before() -> None:
    with pytest.raises(ConflictError, match="made before with other contents"):
        require_same(False)
    with pytest.raises(ConflictError, match="already used to launch another machine"):
        require_same(False, "This form was already used to launch another machine. Open a new one.")
