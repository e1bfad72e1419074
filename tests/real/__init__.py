"""Tests on what is really there: guests, databases, processes, mail."""

import pytest

pytest.register_assert_rewrite("tests.real.worker_process")  # its assertions tell what they saw
