"""Nothing but the value of `Guards` differs between the modes: held by reading syntax trees.

Who names GUARDED or UNGUARDED is listed here, each with the reason; nobody else does. Nobody compares a `Guards`, or
asks what is in it: its rules are asked, one after the other, and what is not in it is not asked. Each rule below is
shown to catch a planted violation.
"""

import ast
from collections.abc import Iterator
from dataclasses import fields

import pytest

from dnsguard.core.guards import Guards
from tests.test_house_rules import OURS, TREES, dotted, none

VALUES = frozenset({"GUARDED", "UNGUARDED"})
FIELDS = frozenset(field.name for field in fields(Guards))
NAMES = {
    "dnsguard/core/guards.py": "where they are defined",
    "dnsguard/daemon/serve.py": "a door: dnsguard serve --unguarded",
    "dnsguard/cli/simulate.py": "a door: dnsguard simulate --unguarded",
    "dnsguard/lab/explore/variants.py": "a door: the names that dnsguard explore takes, and the table's rows",
    "dnsguard/lab/demo/play.py": "a door: the demo's sides",
    "dnsguard/daemon/desk.py": "the mark on every status, health and metric; and a default",
    "dnsguard/lab/simulate/seeds.py": "a default",
    "dnsguard/lab/explore/setting.py": "a default",
    "dnsguard/lab/simulate/shortening.py": "a default",
}
MARK = ("dnsguard/daemon/desk.py", "guarded")
"""The one place, by file and by what it says, where a `Guards` is compared: to say which it is."""

Found = Iterator[tuple[int, str]]


def named(tree: ast.Module) -> set[str]:
    """Return which of the values a module names, however it came by them."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {each.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for each in node.names}
    return names & VALUES


def is_guards(node: ast.AST) -> bool:
    """Tell whether an expression is a `Guards`, or one of its lists of rules, as far as names tell."""
    name = (dotted(node) or "").split(".")
    last = name[-1].lstrip("_")
    return last == "guards" or last in VALUES or (len(name) > 1 and name[-2].lstrip("_") == "guards" and last in FIELDS)


def asked(path: str, tree: ast.Module) -> Found:
    """Find comparisons of guards, and branches on what is in them."""
    tests = [node.test for node in ast.walk(tree) if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert)]
    tests += [each for node in ast.walk(tree) if isinstance(node, ast.comprehension) for each in node.ifs]
    tests += [node.subject for node in ast.walk(tree) if isinstance(node, ast.Match)]
    tests += [node.operand for node in ast.walk(tree) if isinstance(node, ast.UnaryOp)]
    tests += [each for node in ast.walk(tree) if isinstance(node, ast.BoolOp) for each in node.values]
    for test in tests:
        # A branch on what a rule says is none on which rules there are: not below a call of a rule or of a method.
        if is_guards(test):
            yield test.lineno, f"{path}: a branch on {dotted(test)}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for each in (node.left, *node.comparators):
                if is_guards(each):
                    yield node.lineno, f"{path}: a comparison with {dotted(each)}"
        elif isinstance(node, ast.Call) and (dotted(node.func) or "") in {
            "len",
            "bool",
            "any",
            "all",
            "id",
            "isinstance",
        }:
            for each in node.args:
                if is_guards(each):
                    yield node.lineno, f"{path}: {dotted(node.func)}() of {dotted(each)}"


def test_only_the_doors_name_the_modes() -> None:
    assert {path for path in OURS if named(TREES[path])} == NAMES.keys()


def test_elsewhere_than_at_the_doors_guarded_is_a_default_only_and_unguarded_is_not_named() -> None:
    for path, why in NAMES.items():
        if "a default" in why:
            assert named(TREES[path]) == {"GUARDED"}, path
    for path in [path for path, why in NAMES.items() if why == "a default"]:
        tree = TREES[path]
        defaults = [each for node in ast.walk(tree) if isinstance(node, ast.arguments) for each in node.defaults]
        defaults += [each for n in ast.walk(tree) if isinstance(n, ast.arguments) for each in n.kw_defaults if each]
        defaults += [node.value for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and node.value]
        uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in VALUES]
        assert uses
        assert all(any(use is default for default in defaults) for use in uses), path


def test_nobody_compares_guards_or_asks_what_is_in_them() -> None:
    marks: list[str] = []
    found: list[str] = []
    for path in OURS:
        for line, said in asked(path, TREES[path]):
            (marks if path == MARK[0] and "comparison" in said else found).append(f"{line}: {said}")
    none(found)
    assert len({mark.partition(":")[0] for mark in marks}) == 1


def test_the_mark_is_a_word_and_nothing_else() -> None:
    uses = [node for node in ast.walk(TREES[MARK[0]]) if isinstance(node, ast.IfExp)]
    of_guards = [node for node in uses if any(is_guards(each) for each in ast.walk(node.test))]
    words = [(node.body, node.orelse) for node in of_guards]
    assert [tuple(getattr(each, "value", None) for each in pair) for pair in words] == [(MARK[1], f"un{MARK[1]}")]


def test_the_door_of_the_daemon_chooses_the_value_the_banner_and_the_defaults_of_the_settings() -> None:
    """`--unguarded` is asked three times: for the value, for the banner, and in `config` for loopback and defaults."""
    where = [
        path
        for path in OURS
        if path.startswith("dnsguard/daemon/")
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.Attribute) and node.attr == "unguarded"
    ]
    assert sorted(where) == ["dnsguard/daemon/config.py"] * 2 + ["dnsguard/daemon/serve.py"] * 2


def sides(tree: ast.Module) -> tuple[list[tuple[str, str]], list[str]]:
    """Return (name, guards) of the demo's sides, and what else is given to the function that opens them."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and dotted(node.func) == "open_side"]
    loops = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.For) and any(call in list(ast.walk(node)) for call in calls)
    ]
    assert len(calls) == len(loops) == 1, "the sides are opened at one place, in one loop"
    call, loop = calls[0], loops[0]
    assert isinstance(loop.target, ast.Tuple)
    assert isinstance(loop.iter, ast.Tuple)
    assert not call.keywords
    turning = [dotted(each) or "?" for each in loop.target.elts]
    given = [dotted(each) or "?" for each in call.args]
    assert given[: len(turning)] == turning
    pairs = [each.elts for each in loop.iter.elts if isinstance(each, ast.Tuple)]
    return [(dotted(name) or "?", dotted(guards) or "?") for name, guards in pairs], given[len(turning) :]


def test_the_demo_opens_its_sides_by_one_function_with_other_guards_and_nothing_else() -> None:
    opened, same = sides(TREES["dnsguard/lab/demo/play.py"])
    assert opened == [("UNGUARDED_SIDE", "UNGUARDED"), ("GUARDED_SIDE", "GUARDED"), ("RESCUED_SIDE", "GUARDED")]
    assert same == ["setting"]


def names_asked(tree: ast.AST) -> set[str | None]:
    """Return all names on which something depends."""
    tests: list[ast.AST] = [node.test for node in ast.walk(tree) if isinstance(node, ast.If | ast.IfExp | ast.While)]
    tests += [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    return {dotted(node) for test in tests for node in ast.walk(test)}


def test_what_opens_a_side_asks_neither_for_its_guards_nor_for_its_name() -> None:
    for path in ("dnsguard/lab/demo/side.py", "dnsguard/lab/demo/publishers.py"):
        tree = TREES[path]
        none([f"{line}: {said}" for line, said in asked(path, tree)])
        assert names_asked(tree).isdisjoint({"self.name", "side.name", "journal.side", "self.journal.side"})
    opening = [
        node
        for node in ast.walk(TREES["dnsguard/lab/demo/side.py"])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in {"open_side", "_at"}
    ]
    assert len(opening) == 2
    for function in opening:
        assert names_asked(function).isdisjoint({"name", "guards"})


@pytest.mark.parametrize(
    "source",
    [
        "if self.guards == other: pass",
        "x = 1 if guards.write else 2",
        "if fence_as_seen in self.guards.write: pass",
        "if not guards.recheck: pass",
        "while self._guards.delete: pass",
        "x = [e for e in y if guards is GUARDED]",
        "if len(guards.write) > 2: pass",
        "match guards.spare:\n    case (): pass",
        "x = guards.write and 1",
    ],
)
def test_a_planted_branch_is_caught(source: str) -> None:
    assert list(asked("x.py", ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "if guards.refuse_change(facts) is not None: pass",
        "for rule in guards.recheck: pass",
        "x = any(rule(listed, node) for rule in self.spare)",
        "if self.guards.spares(listed, node): pass",
    ],
)
def test_asking_the_rules_is_let_through(source: str) -> None:
    assert not list(asked("x.py", ast.parse(source)))


@pytest.mark.parametrize("source", ["from dnsguard.core.guards import UNGUARDED", "x = guards.GUARDED", "x = GUARDED"])
def test_a_planted_name_is_caught(source: str) -> None:
    assert named(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "for n, g in ((A, B), (C, D)):\n    open_side(n, g, s)\nopen_side(E, F, t)",
        "for n in (A, B):\n    open_side(n, g, s)",
        "for n, g in ((A, B),):\n    open_side(n, g, s, fast=True)",
    ],
)
def test_sides_that_are_opened_otherwise_are_caught(source: str) -> None:
    with pytest.raises(AssertionError):
        sides(ast.parse(source))


def test_the_rules_speak_of_a_value_that_exists() -> None:
    assert {"write", "delete", "recheck"} <= FIELDS
