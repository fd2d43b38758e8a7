"""The order of the tests."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The file that takes longest begins first: files run side by side, and the others fit in beside it."""
    items.sort(key=lambda item: item.path.name != "test_parity.py")
