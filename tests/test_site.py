"""The documentation site is built without a warning: every page is in its menu, every link leads somewhere."""

import ast
import logging
import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

from fairseq_prune.methods.table import METHODS

ROOT = Path(__file__).parents[1]


def build_site(out, **changes):
    config = load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(out), **changes)
    build(config)
    return {path.relative_to(out).as_posix(): path.read_text() for path in out.rglob("*.html")}


def test_the_whole_site(tmp_path):
    pages = build_site(tmp_path / "site")
    sources = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert pages.keys() - {"404.html"} == sources | {"index.html", "tour.html"}
    home = pages["index.html"]
    assert "Prune the fairseq models you already have" in home and 'href="choose.html"' in home
    reference = pages["api.html"]
    assert 'id="fairseq_prune.api.prune"' in reference and 'id="fairseq_prune.methods.approach.Approach"' in reference
    assert ":func:" not in reference and ":class:" not in reference
    assert "Prune in training" in pages["tour.html"] and 'href="tour.html"' in home
    assert (tmp_path / "site/search/search_index.json").stat().st_size > 100_000


FAULTS = {
    "[a page](none.md)": "'none.md', but the target is not found",
    "[an anchor](other.md#none)": "does not contain an anchor '#none'",
    "[of this page](#none)": "there is no such anchor on this page",
    "[elsewhere](/other.md)": "absolute link '/other.md'",
}


def test_what_is_wrong_is_seen(tmp_path, caplog):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text(f"# A page\n\n{' '.join(FAULTS)} [good](other.md#another)\n")
    (tmp_path / "docs/other.md").write_text("# Another\n")
    (tmp_path / "docs/left-out.md").write_text("# In no menu\n")
    changes = {"docs_dir": str(tmp_path / "docs"), "nav": ["index.md", "other.md"], "plugins": [], "hooks": []}
    with caplog.at_level(logging.WARNING, "mkdocs"), pytest.raises(Abort, match=f"{len(FAULTS) + 1} warnings"):
        build_site(tmp_path / "site", **changes)
    assert [message for message in [*FAULTS.values(), "left-out.md"] if message not in caplog.text] == []


def said_by(source):
    """All that a file can say, with dots for what is only known when it runs."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_the_messages_that_are_explained_exist():
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    explained = [" ".join(text.split()) for text in re.findall(r"```text\n(.*?)```", page, re.DOTALL)]
    said = "\n".join(text for path in ROOT.glob("fairseq_prune/**/*.py") for text in said_by(path.read_text()))
    assert [text for text in explained if text not in said] == [] and len(explained) >= 10
    assert "has no effect hear" not in said


def test_every_paper_of_a_method_can_be_cited():
    page = (ROOT / "docs" / "citing.md").read_text()
    named = {number for method in METHODS.values() for number in re.findall(r"arXiv:([\d.]+)", method.source)}
    assert {number for number in named if number not in page} == set() and len(named) > 20
    entries = re.findall(r"^@\w+\{(\w+),$", page, re.MULTILINE)
    assert len(set(entries)) == len(entries) == page.count("\n@") > 30
    assert page.count("{") == page.count("}")
