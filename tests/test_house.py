"""The walls of the house: which room may import from which."""

import ast
import re
from graphlib import TopologicalSorter

import pytest
from conftest import ROOT

COMMANDS = ("maximask", "maxitrack", "maxireport")


def room(path):
    """Name of the module in a file; what is in `benchmarks/` is run as scripts, from there."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part not in ("__init__", "benchmarks"))


ROOMS = {
    room(path): path
    for folder in (".", "maxitools/**", "training/**", "benchmarks")
    for path in ROOT.glob(f"{folder}/*.py")
    if path.name != "setup.py"
}
BENCHMARKS = {name for name, path in ROOMS.items() if path.parent.name == "benchmarks"}


def imported(path):
    """Rooms that a module imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import hides from this test"
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                names.add(module if module in ROOMS else node.module)
    return names & set(ROOMS)


IMPORTS = {name: imported(path) for name, path in ROOMS.items()}


def within(name, *rooms):
    """Whether a module is one of the rooms, or in one of them."""
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def doors(from_rooms, to_rooms):
    """The imports that lead from some modules to others."""
    return {
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if from_rooms(name) and to_rooms(other)
    }


def test_what_the_commands_share_knows_neither_them_nor_what_makes_networks():
    shared = doors(
        lambda name: within(name, "maxitools"),
        lambda other: within(other, *COMMANDS, "training") or other in BENCHMARKS,
    )
    assert not shared


def test_the_commands_know_nothing_of_training_and_benchmarks():
    assert not doors(
        lambda name: within(name, *COMMANDS),
        lambda other: within(other, "training") or other in BENCHMARKS,
    )


def test_only_the_finder_of_networks_opens_the_wing_of_the_published_ones():
    assert not doors(
        lambda name: not within(name, "maxitools.networks", "maxitools.published"),
        lambda other: within(other, "maxitools.published"),
    )


def test_no_import_leads_back_to_where_it_came_from():
    # It raises CycleError, which names the modules.
    list(TopologicalSorter(IMPORTS).static_order())


@pytest.mark.parametrize(
    ("page", "rooms"),
    [("CONTRIBUTING.md", (*COMMANDS, "maxitools")), ("training/README.md", ("training",))],
)
def test_a_newcomer_finds_a_line_for_each_module(page, rooms):
    text = (ROOT / page).read_text(encoding="utf-8")
    modules = {path.name for name, path in ROOMS.items() if within(name, *rooms)} - {"__init__.py"}
    assert not {module for module in modules if not re.search(rf"\b{module}\b", text)}


@pytest.mark.parametrize("name", ["maximask", "maxitools.networks", "training.train", "run"])
def test_the_walls_stand_around_what_there_is(name):
    assert IMPORTS[name]
