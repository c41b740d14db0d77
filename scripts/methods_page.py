#!/usr/bin/env python3
"""Write docs/methods.md from the table of methods: what each is, and which options of its own it has.

python3 scripts/methods_page.py
"""

from pathlib import Path

from fairseq_prune.files.atomic import write_text
from fairseq_prune.report.methods import describe_method, list_methods

PAGE = Path(__file__).resolve().parents[1] / "docs" / "methods.md"
HEAD = """# Methods

This is what `fairseq-prune methods` prints, written by `scripts/methods_page.py`. A method is a set of answers
to the questions in [how it works](how-it-works.md); an option of the same name (`--prune-units`) replaces an answer.
"""
OWN = """
## Options of their own

Options of other methods are refused. The last column lists the defaults.
"""


def table(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def page() -> str:
    """The page's text."""
    described = [describe_method(row["method"]) for row in list_methods()["methods"]]
    answers = [[_answer(report, name) for name in ("units", "importance", "scope", "schedule")] for report in described]
    what = [
        [_names(report), report["summary"], *answer, report["source"]]
        for report, answer in zip(described, answers, strict=True)
    ]
    options: dict[str, list] = {}
    for report in described:
        for option in report["own_options"]:
            options.setdefault(option["option"], [option["help"], []])[1].append(
                f"`{report['method']}` {option['default']}"
            )
    own = [[f"`{name}`", text, ", ".join(values)] for name, (text, values) in options.items()]
    header = ["method", "what it does", "units", "importance", "scope", "schedule", "source"]
    return HEAD + "\n" + table(header, what) + OWN + "\n" + table(["option", "meaning", "default by method"], own)


def _names(report):
    return ", ".join(f"`{name}`" for name in (report["method"], *report["other_names"]))


def _answer(report, name):
    return f"`{report[name]}`" if report.get(name) else ""


if __name__ == "__main__":
    write_text(PAGE, page())
