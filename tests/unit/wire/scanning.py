"""The scanners of bytes as compiled code runs them: by hand, also where nothing is compiled."""

from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

from gollamas.wire import scan


def _by_hand() -> ModuleType:
    """Give `wire.scan` where it is compiled, else a module of its own that takes itself for compiled."""
    if scan._IS_COMPILED:
        return scan
    spec = spec_from_file_location("tests.scan_by_hand", scan.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module)["_IS_COMPILED"] = True
    return module


by_hand = _by_hand()
