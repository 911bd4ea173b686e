"""An answer that is an error of Ollama's.

Owns status and text; the shape is the dialect's.
"""

from gollamas import names
from gollamas.simulate.goformat import quote


class Refusal(Exception):
    """Ollama's answer to a request that it does not serve.

    `is_early` says that the request was turned away before the handler of the native API saw it,
    which shows in the form of the `/v1` answers. `by_runner` says that the model's runner refused, which is
    after a stream was begun within the server; `in_stream` that there was one. `code` is OpenAI's.
    """

    def __init__(
        self,
        status: int,
        text: str,
        *,
        is_early: bool = False,
        by_runner: bool = False,
        code: str | None = None,
    ) -> None:
        super().__init__(text)
        self.code = code
        self.status = status
        self.text = text
        self.is_early = is_early
        self.by_runner = by_runner
        self.in_stream = False


def busy() -> Refusal:
    """Refuse because the queue behind a load is full."""
    return Refusal(503, "server busy, please try again.  maximum pending requests exceeded")


def check_source(name: str) -> None:
    """Refuse (400) a name that says twice where to look; pull, delete and all that runs a model do."""
    if names.names_both_sources(name):
        raise Refusal(400, f"use either :local or :cloud, not both: {quote(name)}")
