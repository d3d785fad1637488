"""Each cause has one page beside its module, and the cases in it hold.

A case is a fenced block of JSON: the facts that differ from their defaults. Its info string says what they must give:

    facts shows [CERTAINTY]       this page's cause
    facts not: NAME [CERTAINTY]   another one, a family, or unknown: it looks like this page's cause and is not

CERTAINTY is certain, likely or unknown; without it any will do. One sentence stands before each block.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from tests.hosts.cases.model import FAMILIES, FAMILY
from whyreset import causes
from whyreset.model import Cause, Facts

FOLDER = Path(causes.__file__).parent
HEADINGS = (
    "What happened",
    "Why it matters",
    "How whyreset tells",
    "What to do",
    "Cases",
    "References",
)
INFO = re.compile(r"facts (?:(?P<shows>shows)|not: (?P<name>[a-z0-9-]+))(?: (?P<certainty>certain|likely|unknown))?")
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
SHARED = ("base.py", "fingerprint.py", "older.py", "packets.py", "stored_hints.py", "__init__.py")
BY_PAGE = pytest.mark.parametrize("module", causes.CAUSES, ids=lambda module: module.NAME)


@dataclass(frozen=True)
class Example:
    """One case of a page: `name` is what its facts must give."""

    page: str
    line: int
    info: str
    body: str
    sentence: str
    name: str
    certainty: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def facts(self) -> Facts:
        """The facts; a key that there is not, or a value of the wrong kind, raises."""
        given: dict[str, Any] = json.loads(self.body)
        if unknown := given.keys() - set(Facts.__struct_fields__):
            raise ValueError(f"{self}: there is no such fact: {sorted(unknown)}")
        return msgspec.convert(given, Facts, strict=True)


def page_of(module: ModuleType) -> Path:
    """The page beside a cause's module."""
    assert module.__file__
    return Path(module.__file__).with_suffix(".md")


def examples_of(module: ModuleType) -> list[Example]:
    """The cases of a cause's page, in order; none where there is no page."""
    page = page_of(module)
    text = page.read_text() if page.exists() else ""
    found = []
    for block in FENCE.finditer(text):
        if not (info := INFO.fullmatch(block["info"])):
            continue
        before = text[: block.start()]
        found.append(
            Example(
                page=page.name,
                line=before.count("\n") + 1,
                info=block["info"],
                body=block["body"],
                sentence=before.rstrip("\n").rsplit("\n\n", 1)[-1],
                name=info["name"] or module.NAME,
                certainty=info["certainty"],
            )
        )
    return found


EXAMPLES = [example for module in causes.CAUSES for example in examples_of(module)]


def test_every_page_has_a_module() -> None:
    """A page that no module stands beside would never be shown."""
    assert sorted(page.stem for page in FOLDER.glob("*.md")) == sorted(page_of(module).stem for module in causes.CAUSES)


def test_every_module_is_asked() -> None:
    """A module that is not in the ordered tuple would never answer."""
    modules = {path.stem for path in FOLDER.glob("*.py") if path.name not in SHARED}
    assert modules == {page_of(module).stem for module in causes.CAUSES}
    assert len(set(causes.CAUSES)) == len(causes.CAUSES)


@BY_PAGE
def test_module_is_named_after_its_cause(module: ModuleType) -> None:
    """One name everywhere: module, page, slug; and the family is the one that the design gives the slug."""
    assert page_of(module).stem == module.NAME.replace("-", "_")
    assert FAMILY[module.NAME] == module.FAMILY


@BY_PAGE
def test_page_has_its_headings(module: ModuleType) -> None:
    """Each page has the slug as its title, one sentence under it, and the same headings in the same order."""
    text = FENCE.sub("(block)", page_of(module).read_text())
    title, summary, *_ = text.split("\n\n")
    assert title == f"# {module.NAME}"
    assert summary.endswith(".")
    assert not summary.startswith("#")
    sections = re.findall(r"^## (.*)\n\n(?!##)\S", text, re.MULTILINE)
    assert tuple(sections) == HEADINGS


@BY_PAGE
def test_page_refers_to_causes_that_exist(module: ModuleType) -> None:
    """What a page says looks alike is a cause or a family, under the name that it has now."""
    quoted = set(re.findall(r"`([a-z0-9-]+)`", FENCE.sub("", page_of(module).read_text())))
    known = {*FAMILY, *FAMILIES}
    assert {word for word in quoted if "-" in word} <= known
    assert quoted & known - {module.NAME}


@BY_PAGE
def test_page_is_read_in_a_minute(module: ModuleType) -> None:
    """A page says enough and no more; an operator has little time."""
    lines = page_of(module).read_text().splitlines()
    assert 30 <= len(lines) <= 92
    assert max(map(len, lines)) <= 120


@BY_PAGE
def test_page_has_a_case_and_its_double(module: ModuleType) -> None:
    """Each page holds facts that show its cause, and facts that look like it and give another."""
    kinds = [example.info.split()[1] for example in examples_of(module)]
    assert "shows" in kinds
    assert "not:" in kinds


@BY_PAGE
def test_page_has_no_block_but_cases(module: ModuleType) -> None:
    """A block whose info string is misspelt would be shown and never tested; commands stand in blocks without one."""
    for block in FENCE.finditer(page_of(module).read_text()):
        assert block["info"] == "" or INFO.fullmatch(block["info"]), block["info"]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_case_holds(example: Example) -> None:
    """The facts of a page's case give the cause, and the certainty, that the page says."""
    cause = causes.explain(example.facts)
    assert cause.name == example.name
    assert example.certainty in (None, cause.certainty)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_case_is_as_short_as_it_can_be(example: Example) -> None:
    """A case says only what differs from the defaults, in one sentence and one line."""
    assert example.sentence.endswith((".", ":"))
    assert not example.sentence.startswith(("#", "```"))
    assert example.body.count("\n") <= 3
    given: dict[str, Any] = json.loads(example.body)
    assert "direction" in given
    plain = msgspec.to_builtins(Facts(direction="sent"))
    assert [key for key, value in given.items() if key != "direction" and value == plain[key]] == []


@pytest.mark.parametrize("example", [each for each in EXAMPLES if " not: " in each.info], ids=str)
def test_double_is_another_cause(example: Example) -> None:
    """What looks like a page's cause names something that exists and is not that cause."""
    own = next(module.NAME for module in causes.CAUSES if page_of(module).name == example.page)
    assert example.name != own
    assert example.name in {*FAMILY, *FAMILIES}


def test_case_of_a_received_reset_with_its_twin() -> None:
    """A case may give the cause that the same reset had where it was sent."""
    twin = {"name": "unread-data", "family": "abort", "certainty": "certain"}
    body = json.dumps({"direction": "received", "state": "ESTABLISHED", "twin_cause": twin})
    facts = Example("x.md", 1, "facts shows", body, "", "unread-data", None).facts
    assert facts.twin_cause == Cause(name="unread-data", family="abort", certainty="certain")
