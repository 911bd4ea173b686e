"""Variants as the admin port tells of them: one that a policy needs, one that none does, a hidden copy."""

import msgspec

from gollamas.observe.variants import VariantState

NEEDED = VariantState(
    server="gpu-1",
    model="llama3.2:latest",
    num_ctx=4096,
    is_needed=True,
    is_current=True,
    size=2_000_000_000,
    name="gollamas/llama3.2-1a:ctx4096",
)
LEFT_OVER = msgspec.structs.replace(
    NEEDED, num_ctx=512, is_needed=False, is_current=False, name="gollamas/llama3.2-1b:ctx512"
)
COPY = msgspec.structs.replace(
    NEEDED, num_ctx=None, is_needed=False, name="gollamas/llama3.2-1c:old"
)  # that a pull left
