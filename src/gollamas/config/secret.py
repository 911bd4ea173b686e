"""The kind of an option that is a secret: nothing that is said of it quotes it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gollamas.config.faults import Unusable

HIDDEN: Final = "***"  # what stands for a secret where a configuration is shown
_VALUE: Final = re.compile(r"[\x20-\x7e]+")  # RFC 9110, section 5.5, without what may be of any encoding


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that can stand in a header field."""

    placeholder: str = "TOKEN"
    accepts: str = "visible ASCII"

    def parse(self, text: str) -> str:
        """Give the secret; raises Unusable where it is empty or can't be sent."""
        text = text.strip()
        if not text:
            raise Unusable("the secret is empty", "Write one, or leave the option out")
        if not _VALUE.fullmatch(text):
            raise Unusable(
                "the secret has characters that can't stand in a header field",
                "Write letters, digits and marks of ASCII, on one line",
            )
        return text

    def show(self, value: str | None) -> str:
        """Say whether there is one."""
        return "null" if value is None else HIDDEN

    def schema(self) -> Mapping[str, object]:
        """Describe a text."""
        return {"type": ["string", "number"]}
