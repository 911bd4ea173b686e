"""Defects of ours that no task ends by: they meet a callback, where nobody waits for a result."""

import asyncio


def tell(where: str, defect: Exception) -> None:
    """Have the loop's handler log a defect, met while doing what `where` says."""
    asyncio.get_running_loop().call_exception_handler({"message": where, "exception": defect})
