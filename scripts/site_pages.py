"""What the documentation site has beside docs/*.md, as hooks of mkdocs: the README as first page, the notebook."""

import json
import re

from mkdocs.structure.files import File

HOME, TOUR = "index.md", "tour.md"


def on_files(files, config):
    """Add the pages that are made from other files."""
    root = config.config_file_path.rpartition("/")[0]
    with open(f"{root}/README.md") as readme, open(f"{config.docs_dir}/tour.ipynb") as notebook:
        pages = {HOME: readme.read().replace("](docs/", "]("), TOUR: notebook_text(json.load(notebook))}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown, **_):
    """Pages link to the README and to the notebook as they lie in the repository."""
    return re.sub(r"\]\(((?:\.\./)*)\.\./README\.md", rf"](\1{HOME}", markdown).replace("](tour.ipynb)", f"]({TOUR})")


def on_page_content(html, **_):
    """Docstrings name classes and functions with Sphinx's roles, which Markdown does not know."""
    return re.sub(r":\w+:<code>(?:~?\.*(?:\w+\.)*)?(\w+)</code>", r"<code>\1</code>", html)


def notebook_text(notebook):
    """A notebook in Markdown: its text, its code, and what the code printed.

    Args:
        notebook: dict, as its file has it.
    """
    return "\n\n".join(part for cell in notebook["cells"] for part in _parts(cell))


def _parts(cell):
    text = "".join(cell["source"])
    yield text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
    printed = "".join(line for output in cell.get("outputs", ()) for line in output.get("text", ()))
    if printed:
        yield f"```text\n{printed.rstrip()}\n```"
