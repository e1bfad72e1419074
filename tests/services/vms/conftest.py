"""Alice's project, and a machine of hers that runs."""

import pytest


@pytest.fixture
def project(cloud, alice):
    return cloud.project(alice)


@pytest.fixture
def vm(cloud, alice, project):
    return cloud.launch(alice, project)


@pytest.fixture
def backup(cloud, alice, vm):
    """Of that machine."""
    return cloud.back_up(alice, vm)
