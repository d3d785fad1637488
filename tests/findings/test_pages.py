"""Each finding has one page beside its module, and the stories in it hold.

A story is a fenced block (see tests/findings/story.py). Its info string says what it must give:

    story shows [WORDS]   this page's finding, once told so: a confidence, a severity, «over»
    story not             never this page's finding: it looks like it and is not
    story NAME [WORDS]    never this page's finding, but that one

One sentence stands before each block.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.findings.story import Story
from whyreset import findings
from whyreset.findings.base import Finder
from whyreset.model import Finding

FOLDER = Path(findings.__file__).parent
HEADINGS = ("What happened", "Why it matters", "How whyreset tells", "What to do", "Cases", "References")
FENCE = re.compile(r"(?P<before>[^\n]*\n\s*)^```story (?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
NAMES = {finder.NAME for finder in findings.FINDERS}


@dataclass(frozen=True)
class Example:
    """A story of a page."""

    page: str
    line: int
    name: str
    wanted: str
    words: tuple[str, ...]
    sentence: str
    body: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def page_of(finder: type[Finder]) -> Path:
    """The page beside a finder's module."""
    file = sys.modules[finder.__module__].__file__
    assert file
    return Path(file).with_suffix(".md")


def examples_of(finder: type[Finder]) -> list[Example]:
    """The stories of a finder's page; none where there is no page."""
    page = page_of(finder)
    text = page.read_text() if page.exists() else ""
    found = []
    for block in FENCE.finditer(text):
        wanted, *words = block["info"].split()
        line = text.count("\n", 0, block.start("info")) + 1
        found.append(
            Example(page.name, line, finder.NAME, wanted, tuple(words), block["before"].strip(), block["body"])
        )
    return found


EXAMPLES = [example for finder in findings.FINDERS for example in examples_of(finder)]
BY_FINDER = pytest.mark.parametrize("finder", findings.FINDERS, ids=lambda finder: finder.NAME)


def words_of(finding: Finding) -> set[str]:
    """What a story may ask of a finding."""
    return {finding.confidence, finding.severity, "over" if finding.state == "closed" else finding.state}


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_the_stories_of_a_page_hold(example: Example) -> None:
    """What a page shows as its finding is found, and what only looks like it is not."""
    told = Story(example.body).play()
    own = [each for each in told if each.name == example.name]
    if example.wanted == "shows":
        assert any(set(example.words) <= words_of(each) for each in own), (own, told)
        return
    assert not own
    if example.wanted != "not":
        assert example.wanted in NAMES
        assert any(each.name == example.wanted and set(example.words) <= words_of(each) for each in told), told


@BY_FINDER
def test_a_page_has_its_parts_and_stories_of_both_kinds(finder: type[Finder]) -> None:
    """Every page has the headings, a story that shows its finding, and one that only looks like it."""
    text = page_of(finder).read_text()
    assert text.startswith(f"# {finder.NAME}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == list(HEADINGS)
    kinds = [example.wanted for example in examples_of(finder)]
    assert "shows" in kinds
    assert any(kind != "shows" for kind in kinds)
    assert len(kinds) == text.count("```story")
    assert all(example.sentence.endswith((".", ":")) for example in examples_of(finder))


@BY_FINDER
def test_one_name_everywhere(finder: type[Finder]) -> None:
    """A finder's module and page are called like it."""
    assert page_of(finder).stem == finder.NAME.replace("-", "_")


@BY_FINDER
def test_the_list_of_findings_has_it(finder: type[Finder]) -> None:
    """docs/findings.md leads to each page, with its first sentence."""
    page = page_of(finder)
    first = " ".join(page.read_text().split("\n\n")[1].split())
    listed = (FOLDER.parents[2] / "docs/findings.md").read_text()
    assert f"| [{finder.NAME}](../src/whyreset/findings/{page.name}) | {first} |" in listed
