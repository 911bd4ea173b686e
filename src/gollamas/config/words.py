"""The options whose value is one word of a few: which words, and what to write for others."""

from typing import Final

from gollamas.config.model import Expose, Manage
from gollamas.config.values import MemberOf, OneOf

LEVELS: Final = ("trace", "debug", "info", "warn", "error")
LOGRUS_LEVELS: Final = {"warning": "warn", "fatal": "error", "panic": "error"}
LEVEL: Final = OneOf(
    LEVELS,
    LOGRUS_LEVELS,
    {
        **dict.fromkeys(("verbose", "all", "on", "true", "1"), "debug"),
        **dict.fromkeys(("notice", "information", "normal", "default"), "info"),
        **dict.fromkeys(("critical", "off", "none", "quiet", "silent", "false", "0"), "error"),
    },
)
LOG_FORMAT: Final = OneOf(
    ("text", "json"),
    meant={**dict.fromkeys(("logfmt", "plain", "console", "pretty"), "text"), "ndjson": "json"},
)
EXPOSE: Final = MemberOf(
    Expose,
    {
        **dict.fromkeys(("all", "any", "every", "everything", "true", "*"), Expose.INSTALLED.value),
        **dict.fromkeys(("loaded", "active"), Expose.RUNNING.value),
        **dict.fromkeys(("none", "off", "false", "only", "default"), Expose.CONFIGURED.value),
    },
)
MANAGE: Final = MemberOf(
    Manage,
    {
        **dict.fromkeys(("false", "no", "none", "nothing", "never", "disabled", "0"), Manage.OFF.value),
        **dict.fromkeys(("true", "on", "yes", "only", "default", "enabled", "1"), Manage.CONFIGURED.value),
        **dict.fromkeys(("any", "every", "everything", "installed", "*"), Manage.ALL.value),
    },
)
_REFUSED: Final = ("err", "refuse", "reject", "fail", "deny", "400")
ON_LIMIT: Final = OneOf(
    ("error", "clamp"),
    meant={
        **dict.fromkeys((*_REFUSED, "default"), "error"),
        **dict.fromkeys(("cap", "lower", "limit", "reduce", "truncate", "cut", "min"), "clamp"),
    },
)
ON_OVERFLOW: Final = OneOf(
    ("pass", "error"),
    meant={
        **dict.fromkeys((*_REFUSED, "true", "on"), "error"),
        **dict.fromkeys(("allow", "cut", "truncate", "ignore", "false", "off", "none", "default"), "pass"),
    },
)
READY: Final = OneOf(
    ("listening", "preloaded"),
    meant={
        **dict.fromkeys(("preload", "loaded", "kept", "warm"), "preloaded"),
        **dict.fromkeys(("listen", "start", "started", "default", "off", "false"), "listening"),
    },
)
