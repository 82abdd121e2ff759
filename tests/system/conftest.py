"""Marks for the scoreboard (tests/scoreboard): which fault a test tries, and what it measured.

    @pytest.mark.scoreboard(8)
    def test_a_black_hole_is_noticed(figure):
        ...
        figure(f"noticed in {seconds:.1f} s")

A row may have several tests, and a test several marks; a figure is optional. `long` marks what is
left out unless NIGHTJAR_TEST_LONG is set."""

import os

import pytest


def pytest_configure(config):
    config.addinivalue_line("markers", "scoreboard(row): a fault of the scoreboard that this test tries")
    config.addinivalue_line("markers", "long: takes minutes; left out unless NIGHTJAR_TEST_LONG is set")


def pytest_collection_modifyitems(items):
    wanted = {int(row) for row in os.environ.get("NIGHTJAR_SCOREBOARD_ROWS", "").split(",") if row}
    if wanted:
        items[:] = [item for item in items
                    if wanted & {mark.args[0] for mark in item.iter_markers("scoreboard")}]
    for item in items:
        for mark in item.iter_markers("scoreboard"):
            item.user_properties.append(("scoreboard", mark.args[0]))
        if item.get_closest_marker("long") and not os.environ.get("NIGHTJAR_TEST_LONG"):
            item.add_marker(pytest.mark.skip(reason="NIGHTJAR_TEST_LONG is not set"))


@pytest.fixture
def figure(request):
    """Keeps a measured figure, a short text, for the test's row of the scoreboard."""
    return lambda text: request.node.user_properties.append(("figure", text))
