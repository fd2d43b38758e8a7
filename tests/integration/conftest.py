"""Order the tests."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the slowest file first: files run in parallel, and the others finish beside it."""
    items.sort(key=lambda item: item.path.name != "test_parity.py")
