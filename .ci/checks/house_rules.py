"""Count what CONTRIBUTING.md limits, and fail where a budget is exceeded: house_rules.py [FOLDER].

Three figures, none of which may rise: words that stand for something with a name of its own, the
share of parameters annotated `Any`, and files of more than 500 lines. Lower a budget when the
figure falls.
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

# Each is right in an ordinary sentence, and wrong as a name: labels are not what is "found".
WORDS = ["apart", "beside", "descend", "found", "given", "gone", "kept", "made", "optimiser"]
WORDS += ["optimisers", "place", "places", "reach", "told", "waves", "way"]
PHRASES = ["of no", "to the bit", "stands for", "by heart", "at hand", "hang on"]
MOST_WORDS = 400

MOST_ANY = 0.08  # of all parameters

LONGEST = 500  # lines
MOST_LONG_FILES = 2

FOLDERS = ("csrc", "kernels", "unsup_fast", "tests", "benchmarks", "docs", "examples")
CODE = {".py", ".pyi", ".pyx", ".hpp", ".h", ".cpp"}
TYPED = ("kernels", "unsup_fast")


def files(root: Path, suffixes: set[str], folders: tuple[str, ...] = FOLDERS) -> Iterator[Path]:
    """Yield the files of some folders that have one of the suffixes."""
    for folder in folders:
        yield from (path for path in sorted(root.glob(f"{folder}/**/*")) if path.suffix in suffixes)


def words(root: Path) -> Counter[str]:
    """Return how often each of the words stands in code and in documentation."""
    listed = sorted([*WORDS, *PHRASES], key=len, reverse=True)
    pattern = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(listed)})(?![A-Za-z])")
    paths = [*files(root, {*CODE, ".md"}), *root.glob("*.md")]
    return Counter(hit for path in paths for hit in pattern.findall(read(path)))


def parameters(root: Path) -> Counter[bool]:
    """Return how many parameters are annotated `Any` (True), and how many otherwise (False)."""
    count: Counter[bool] = Counter()
    for path in files(root, {".py"}, TYPED):
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                of = node.args
                every = [*of.posonlyargs, *of.args, *of.kwonlyargs, of.vararg, of.kwarg]
                named = [each for each in every if each and each.arg not in ("self", "cls")]
                count.update(is_any(each.annotation) for each in named)
    return count


def is_any(annotation: ast.expr | None) -> bool:
    """Return whether an annotation is `Any`, alone or with None."""
    return annotation is not None and ast.unparse(annotation) in ("Any", "Any | None")


def long_files(root: Path) -> list[tuple[int, str]]:
    """Return the files of code with too many lines, longest first."""
    lengths = ((read(path).count("\n"), path) for path in files(root, CODE))
    return sorted(((n, str(p.relative_to(root))) for n, p in lengths if n > LONGEST), reverse=True)


def read(path: Path) -> str:
    """Return the text of a file."""
    return path.read_text(encoding="utf-8", errors="replace")


def main(root: Path) -> int:
    """Print the figures, and return 1 if one exceeds its budget."""
    hits, typed, long = words(root), parameters(root), long_files(root)
    share = typed[True] / max(1, typed.total())
    common = ", ".join(f"{word} {n}" for word, n in hits.most_common(8))
    print(f"words to avoid: {hits.total()} of {MOST_WORDS} ({common})")
    print(f"parameters annotated Any: {share:.1%} of {typed.total()}, at most {MOST_ANY:.1%}")
    print(f"files of more than {LONGEST} lines: {len(long)} of {MOST_LONG_FILES}")
    for n, name in long:
        print(f"  {name}: {n} lines")
    exceeded = hits.total() > MOST_WORDS or share > MOST_ANY or len(long) > MOST_LONG_FILES
    if exceeded:
        print("a budget is exceeded; reword, annotate or split what the change adds")
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2]))
