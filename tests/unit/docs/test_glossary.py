"""The glossary names what the code has, once each, and nothing is called by a word that was given up for one of its terms."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import ROOT

PAGE = (ROOT / "docs/glossary.md").read_text()
PACKAGES = [
    ROOT / "operator/transcription_operator",
    ROOT / "worker/transcription_worker",
    ROOT / "api/transcription_api",
]
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.M)
TERMS = {term: (meaning, where) for term, meaning, where in ROWS if not set(term) <= set("-") and term != "Term"}
PATHS = sorted({path for _, where in TERMS.values() for path in re.findall(r"`([^`]+)`", where)})

# Given up for Request, DecodeBatch, SchedulerPool, CrossAttention, SelfAttention, Backend, KernelTrial, SOURCE_DIGEST, to_float32.
RETIRED_NAMES = {
    "ask",
    "asks",
    "lane",
    "lanes",
    "crew",
    "hearing",
    "remembering",
    "ways",
    "contest",
    "edition",
    "widened",
}
# The given-up words that no sentence needs in their ordinary sense.
RETIRED_WORDS = re.compile(r"\b(lanes?|crews?|hearings?|remembering)\b", re.IGNORECASE)

SOURCES = sorted(
    path
    for folder in ("api", "operator", "worker", "benchmarks", "hack", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if path != Path(__file__) and ".venv" not in path.parts  # that of make test-torch lies beside its lock
)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def defined_names(module: Path) -> set[str]:
    """Return the classes, functions and variables at the top level of a module."""
    names = set[str]()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else []
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def exists(path: str) -> bool:
    """Return whether a dotted path is a module, or a module's class, function or variable, in one of the packages."""
    folder, _, name = path.rpartition(".")
    for package in PACKAGES:
        if (package / f"{path.replace('.', '/')}.py").is_file():
            return True
        module = package / f"{folder.replace('.', '/')}.py"
        if folder and module.is_file() and name in defined_names(module):
            return True
    return False


def words_of_identifiers(source: Path) -> Iterator[tuple[str, str]]:
    """Return every identifier in lower-case words: CudaGraphRunner is cuda, graph, runner."""
    with source.open("rb") as file:
        code = io.StringIO(file.read().decode())
    for token in tokenize.generate_tokens(code.readline):
        # The names of tests are sentences.
        if token.type == tokenize.NAME and not token.string.startswith("test_"):
            for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", token.string):
                yield word.lower(), token.string


def test_the_page_has_terms_with_a_meaning_and_a_place() -> None:
    assert len(TERMS) > 50
    assert [term for term, (meaning, where) in TERMS.items() if not meaning.endswith(".") or "`" not in where] == []


def test_every_term_is_explained_once() -> None:
    terms = [term.lower() for term, _, _ in ROWS if term != "Term" and not set(term) <= set("-")]
    assert len(terms) == len(set(terms))


@pytest.mark.parametrize("path", PATHS)
def test_what_the_page_names_is_in_the_code(path: str) -> None:
    assert exists(path)


def test_a_name_that_the_code_lacks_would_be_found() -> None:
    assert not exists("engines.batched.scheduling.decode_batch.Lane")
    assert not exists("engines.batched.crew")


def test_no_identifier_has_a_retired_word() -> None:
    found = {
        f"{source.relative_to(ROOT)}: {name}"
        for source in SOURCES
        for word, name in words_of_identifiers(source)
        if word in RETIRED_NAMES
    }
    assert found == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_uses_a_retired_word(page: Path) -> None:
    assert RETIRED_WORDS.findall(page.read_text()) == []


def test_no_docstring_or_comment_uses_a_retired_word() -> None:
    found = {str(source.relative_to(ROOT)): RETIRED_WORDS.findall(source.read_text()) for source in SOURCES}
    assert {source: words for source, words in found.items() if words} == {}
