"""A few cases of each family of the battery; `python tests/battery.py` tries many."""

import battery
import pytest

# As many as take a few seconds.
COUNTS = {"kills": 3, "streams": 2, "writers": 1, "coordinates": 8, "lists": 10, "file_sizes": 10}


@pytest.fixture(scope="module")
def commands(networks):
    return battery.Commands(networks)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(battery.FAMILIES))
def test_hostile_cases_are_held(commands, name):
    count = COUNTS.get(name, 20)
    total, failed = battery.tried(name, commands, count, 0)
    assert total >= min(count, 1)
    assert not failed, failed[0]
