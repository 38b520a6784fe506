"""Imports run one way: from a layer to those below it, and never round."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "raddiag_hf"

LAYERS = (
    "vocabulary", "core", "model", "metrics", "imaging", "phantoms", "knowledge", "labels",
    "checkpoints", "data", "reports", "inference", "evaluation", "training", "reproduce",
    "hub", "demo", "cli",
)  # fmt: skip
"""Rooms from the ground up; a room imports from those before it and from itself."""

LEVEL = {room: level for level, room in enumerate(LAYERS)}


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """Modules of this package that a file imports anywhere, in functions too."""
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")
                parent = parent[: len(parent) - node.level + 1]
                base = ".".join([*parent, base] if base else parent)
            targets = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        inside = (target for target in targets if target.startswith("raddiag_hf."))
        yield from (target for target in inside if target != "raddiag_hf.__version__")


def files():
    return sorted(PACKAGE.rglob("*.py"))


def room(module):
    return module.split(".")[1]


def test_every_room_has_a_layer():
    rooms = {room(module_name(path)) for path in files() if module_name(path).count(".")}
    assert rooms <= LEVEL.keys()


def test_imports_run_downwards():
    wrong = []
    for path in files():
        name = module_name(path)
        if name == "raddiag_hf":  # the package itself offers names of every layer, lazily
            continue
        for target in imports_of(path):
            if LEVEL[room(target)] > LEVEL[room(name)]:
                wrong.append(f"{name} imports {target}")
    assert wrong == []


def test_the_model_room_imports_nothing_else_of_the_package():
    """It travels as remote code."""
    for path in (PACKAGE / "model").glob("*.py"):
        outside = [target for target in imports_of(path) if room(target) != "model"]
        assert outside == [], f"{path.name} imports {outside}"


def test_there_are_no_cycles():
    modules = {module_name(path) for path in files()}
    graph = {
        module_name(path): {target for target in imports_of(path) if target in modules}
        for path in files()
        if module_name(path) != "raddiag_hf"
    }
    for module, targets in graph.items():
        targets.discard(module)
        targets.discard("raddiag_hf")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"import cycle: {' -> '.join(error.args[1])}") from None


def test_files_stay_small():
    long = {path.name: len(path.read_text().splitlines()) for path in files()}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}


def test_modules_import_from_modules():
    """What a package offers is for users; inside, it would hide which module needs which."""
    modules = {module_name(path) for path in files()}
    faces = {module_name(path) for path in files() if path.name == "__init__.py"}
    wrong = []
    for path in files():
        targets = list(imports_of(path))
        offered = [
            target
            for target in targets
            if target not in modules and target.rpartition(".")[0] in faces - {"raddiag_hf"}
        ]
        wrong += [f"{module_name(path)} imports {target}" for target in offered]
    assert wrong == []
