"""The API reference: one page for each public package, written when the site is built."""

import ast
import shutil
import tempfile
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# Packages for the command line alone, and for files; they are not called by users.
PRIVATE = {"cli", "report", "storage"}

OVERVIEW = "reference/index.md"
HEADING = "API reference"  # in the menu of mkdocs.yml

# The folder that mkdocstrings reads: unsup_fast with kernels in it, as it is installed.
_tree = tempfile.TemporaryDirectory(prefix="unsup_fast-docs-")


@event_priority(100)  # before mkdocstrings reads its paths
def on_config(config: MkDocsConfig) -> None:
    """Tell mkdocstrings where the package is, and put the reference into the menu."""
    package = Path(_tree.name, "unsup_fast")
    for folder, copy in ((ROOT / "unsup_fast", package), (ROOT / "kernels", package / "kernels")):
        ignore = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(folder, copy, ignore=ignore, dirs_exist_ok=True)
    handlers = config.plugins["mkdocstrings"].config["handlers"]
    handlers["python"]["paths"] = [_tree.name]
    menu: list[object] = [OVERVIEW]
    menu += [{name.removeprefix("unsup_fast."): _page(name)} for name in public_modules()]
    config.nav = [{HEADING: menu} if HEADING in entry else entry for entry in config.nav or []]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages of the reference."""
    for name in public_modules():
        files.append(File.generated(config, _page(name), content=_reference(name)))


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Add the list of modules to the first page of the reference."""
    return markdown + _overview(public_modules()) if page.file.src_uri == OVERVIEW else markdown


def public_modules() -> list[str]:
    """Return the packages that list their names in `__all__`, and the modules among them."""
    names: set[str] = set()
    for base, prefix in (
        (ROOT / "unsup_fast", "unsup_fast"),
        (ROOT / "kernels", "unsup_fast.kernels"),
    ):
        for path in base.rglob("__init__.py"):
            parts = path.parent.relative_to(base).parts
            if not parts or any(part.startswith("_") or part in PRIVATE for part in parts):
                continue
            exported, package = exports(path), ".".join((prefix, *parts))
            homes = imports(path)  # a function may have the name of the file that it stands in
            own = {n for n in exported if homes.get(n, package) == package}
            modules = {n for n in own if (path.parent / f"{n}.py").exists()}
            packages = {n for n in own if (path.parent / n).is_dir()}
            names |= {f"{package}.{name}" for name in modules}
            if set(exported) - modules - packages:
                names.add(package)
    return sorted(names)


def exports(path: Path) -> list[str]:
    """Return the names in `__all__` of a file; none if it has no such list."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def imports(path: Path) -> dict[str, str]:
    """Return the module that each name of a file is imported from."""
    return {
        alias.name: node.module
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def _page(name: str) -> str:
    return f"reference/{name.removeprefix('unsup_fast.').replace('.', '-')}.md"


def _reference(name: str) -> str:
    """Return the page of a module.

    Where a file and its function share their name, as `ddim` in `samplers/ddim.py`, mkdocstrings
    sees the file alone, so that such functions are listed by their own names.
    """
    path = _source(name)
    shadowed = [
        f"{name}.{each}.{each}"
        for each in exports(path)
        if imports(path).get(each) == f"{name}.{each}"
    ]
    return f"# {name}\n\n::: {name}\n\n" + "".join(
        f"::: {each}\n    options:\n      show_root_heading: true\n"
        "      show_root_toc_entry: true\n\n"
        for each in shadowed
    )


def _source(name: str) -> Path:
    path = Path(_tree.name, *name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _overview(names: list[str]) -> str:
    """Return the page that lists all modules, and what `unsup_fast` itself exports."""
    top = ROOT / "unsup_fast" / "__init__.py"
    homes = imports(top)
    rows = [
        f"| `unsup_fast.{name}` | [`{homes[name]}.{name}`][{homes[name]}.{name}] |"
        for name in exports(top)
        if homes.get(name, "unsup_fast") != "unsup_fast" and "._" not in homes[name]
    ]
    modules = [f"| [{n}]({Path(_page(n)).name}) | {_summary(n)} |" for n in names]
    return "\n".join(
        [
            "",
            "| module | contents |",
            "|---|---|",
            *modules,
            "",
            "## Names of the package itself",
            "",
            "`unsup_fast.__version__` is the version, as text. The schedulers for diffusers are",
            "names of the package, too.",
            "",
            "| name | is |",
            "|---|---|",
            *rows,
            "",
            "::: unsup_fast.load",
            "    options:",
            "      show_root_heading: true",
            "      show_root_toc_entry: true",
        ]
    )


def _summary(name: str) -> str:
    """Return the first line of a module's docstring."""
    text = ast.get_docstring(ast.parse(_source(name).read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
