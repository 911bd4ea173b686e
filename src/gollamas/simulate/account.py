"""What belongs to an account at Ollama's cloud: nobody is signed in here, and the cloud is off.

Owns these few answers only.
"""

from typing import Final

from gollamas.simulate import answers
from gollamas.simulate.engine import Engine
from gollamas.simulate.refusal import Refusal
from gollamas.wire.message import Answer

_SIGN_IN: Final = "https://ollama.com/connect?name=simulated"


def me(_: Engine) -> Answer:
    """`POST /api/me`."""
    return answers.native({"error": "unauthorized", "signin_url": _SIGN_IN}, status=401)


def signed_out(_: Engine) -> Answer:
    """`POST /api/signout` and `DELETE /api/user/keys/:key`."""
    raise Refusal(401, "you are not currently signed in")


def search(_: Engine) -> Answer:
    """`POST /api/experimental/web_search` and `web_fetch`."""
    raise Refusal(403, "ollama cloud is disabled: web search is unavailable")


def recommendations(_: Engine) -> Answer:
    """`GET /api/experimental/model-recommendations`."""
    return answers.native({"recommendations": []})
