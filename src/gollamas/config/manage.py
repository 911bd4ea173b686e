"""Who may change models, once the whole configuration is there: what holds where nobody said, and warnings.

Owns what `manage` follows from and which servers `manage_servers` means.
"""

from collections.abc import Mapping
from typing import Any, Final

from gollamas.config.faults import Findings
from gollamas.config.given import DEFAULT, Given
from gollamas.config.model import Address, Expose, Manage
from gollamas.config.servers import Servers

Places = dict[tuple[str, str], str]
_MAY_BE_CHANGED: Final = {Manage.OFF: "no model", Manage.CONFIGURED: "configured models only"}


def manage_of(values: Mapping[str, Any], origins: Places) -> Manage:
    """Where all that servers have is exposed any model may be changed, unless somebody said otherwise."""
    manage: Manage = values["manage"]
    if values["expose"] is not Expose.INSTALLED or origins["manage", ""] != DEFAULT:
        return manage
    origins["manage", ""] = f"{DEFAULT} where expose is installed"
    return Manage.ALL


def managed_servers(values: Mapping[str, Any], origins: Places, servers: Servers) -> tuple[str, ...]:
    """Give the ids of the servers that were named; one that is not there is a fault."""
    place = origins["manage_servers", ""]
    found = (servers.known(Given(text, place)) for text in values["manage_servers"])
    return tuple(dict.fromkeys(name for name in found if name is not None))


def look_at_manage(values: Mapping[str, Any], origins: Places, findings: Findings) -> None:
    """Warn of models that everybody can change, and of what has no effect."""
    manage, named = values["manage"], values["manage_servers"]
    listen: Address = values["listen"]
    said = f"`manage` is `{manage}` ({origins['manage', '']})"
    if manage is not Manage.ALL:
        if named:
            findings.warn(
                origins["manage_servers", ""],
                f"this does nothing: it says where models go that are not configured, and {said}, so that"
                f" clients may change {_MAY_BE_CHANGED[manage]}",
            )
    elif not listen.is_loopback:
        findings.warn(
            origins["listen", ""],
            f"whoever reaches {listen} may pull, create, overwrite and delete any model on the servers, since"
            f" {said}; `manage: configured` narrows that to configured models, `manage: off` to none",
        )
