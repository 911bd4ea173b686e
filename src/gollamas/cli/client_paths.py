"""What the verbs ask at the address of clients: paths of Ollama, in a file that imports nothing of the proxy.

Owns no meaning of any; a test finds each in `api/routes`.
"""

from typing import Final

SHOW: Final = "/api/show"
PULL: Final = "/api/pull"
COPY: Final = "/api/copy"
DELETE: Final = "/api/delete"
TAGS: Final = "/api/tags"
PS: Final = "/api/ps"
VERSION: Final = "/api/version"
