"""Fixtures of the tests that run flows."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.flows.outside import Outside


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    """A place steps can talk to."""
    async with Outside().open() as listening:
        yield listening
