"""What the documentation site has beside docs/*.md, as hooks of mkdocs: the README is its first page."""

import re

from mkdocs.structure.files import File

HOME = "index.md"


def on_files(files, config):
    """Add the README, whose links are those of the repository."""
    with open(f"{config.config_file_path.rpartition('/')[0]}/README.md") as readme:
        files.append(File.generated(config, HOME, content=readme.read().replace("](docs/", "](")))
    return files


def on_page_markdown(markdown, **_):
    """Pages link to the README as it lies in the repository."""
    return markdown.replace("](../README.md", f"]({HOME}")


def on_page_content(html, **_):
    """Docstrings name classes and functions with Sphinx's roles, which Markdown does not know."""
    return re.sub(r":\w+:<code>(?:~?\.*(?:\w+\.)*)?(\w+)</code>", r"<code>\1</code>", html)
