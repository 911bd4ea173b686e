"""Writes what is made from the declarations: the tables of the options and the JSON Schema.

For whoever changes an option: `python -m gollamas.cli.describe` in the repository's root.
"""

from pathlib import Path
from typing import Final

from gollamas.config.schema import schema_text
from gollamas.config.table import with_table

TABLES: Final = ("README.md", "docs/configuration.md")
SCHEMA: Final = "src/gollamas/config.schema.json"


def described(root: Path) -> dict[Path, str]:
    """Give the text that each file should have."""
    tables = {root / name: with_table((root / name).read_text(encoding="utf-8")) for name in TABLES}
    return {**tables, root / SCHEMA: schema_text()}


if __name__ == "__main__":
    for path, text in described(Path()).items():
        path.write_text(text, encoding="utf-8", newline="\n")
