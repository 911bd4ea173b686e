"""`gollamas help [VERB]`, and `--help` of every verb."""

from collections.abc import Mapping, Sequence
from typing import Final

from gollamas.cli.say import USAGE, complain, complain_of_each, say
from gollamas.cli.tables import TABLES
from gollamas.config.address import shown
from gollamas.config.faults import Faults, Findings, nearest
from gollamas.config.flags import HELP_FLAGS, VERB_ALIASES, VERB_SYNONYMS, VERBS, VERSION_FLAGS, read_flags
from gollamas.config.table import flags_help, overview

# What the flags can not say. What is said of these stands below.
_SHORT: Final = {
    "serve": """Usage: gollamas [serve] [FLAGS] [URL...]

Starts the proxy. Each URL is a server; --connection names one. A flag beats a variable, a variable
the file, the file the default; servers, models and aliases of all of them add up. Exits 0 when it
was told to stop, 1 where an address can't be had, 2 where the configuration is faulty.
""",
    "check": """Usage: gollamas check [--live] [FLAGS OF SERVE] [URL...]

Prints the configuration that `serve` would run with and where each part comes from, or everything
that is wrong with it. Takes all flags of serve: see `gollamas serve --help`. Exits 2 where the
configuration is faulty, else 0; with --live it exits 1 where a server does not answer, lacks a
model that it is to run, or an address can't be had.
""",
    "demo": """Usage: gollamas demo [--busy] [FLAGS]

Starts three simulated Ollama servers and the proxy in front of them, and prints commands to paste
and the address of the page that shows them, until Ctrl-C. With --busy there is something to see on
it at once. No model runs: the words are made up. Exits 0 when it was told to stop, 1 where an
address can't be had, 2 for a faulty command line.
""",
    "simulate": """Usage: gollamas simulate [FLAGS]

Runs one simulated Ollama server, until Ctrl-C. No model runs in it: the words are made up, times,
loads, slots and errors are those of a real one. Exits 0 when it was told to stop, 1 where the
address can't be had, 2 for a faulty command line.
""",
    "health": """Usage: gollamas health [--admin ADDRESS] [--config FILE]

Asks http://ADMIN/healthz of a running proxy, exits 0 when it is well and 1 when it is not, 2 when
the address is faulty. The address is found as `serve` finds it. Where administration is off, the
address for clients is asked instead. The other flags of serve are taken, and change nothing.
""",
    "status": """Usage: gollamas status [--json] [--admin ADDRESS] [--config FILE]

Shows what a running proxy says at http://ADMIN/state: its servers with their health and models,
what is loaded where, pulls, pushes, copies and deletes that go on or are owed to a server that is
down, and the requests that are being answered. Tables on a terminal, plain text elsewhere. ADMIN is
found as for `health`. Exits 1 where no gollamas answers, or where administration is off, 2 when the
address is faulty. The other flags of serve are taken, and change nothing.
""",
    "variants": """Usage: gollamas variants [--prune] [--json] [--admin ADDRESS] [--config FILE]

Lists the variants on the servers of a running proxy, with model, server, num_ctx, size, whether
they are made of the model's current contents and whether a policy needs them. A variant is a model
under gollamas/ that the proxy made for a num_ctx of requests to /v1; it keeps its model's weights
on disk. Hidden copies, which a pull makes and removes again, are listed too, without a num_ctx.
--prune removes what no policy and no pull of this proxy needs; another proxy in front of the same
servers may use it. Where an admin token is set, --prune sends the one of GOLLAMAS_ADMIN_TOKEN, or
admin_token of the file. ADMIN is found as for `health`. Exits 1 where no gollamas answers, the
token is wrong, administration is off or a variant could not be removed, 2 when the address is
faulty. The other flags of serve are taken, and change nothing.
""",
    "models": """Usage: gollamas models [--json] [--admin ADDRESS] [--config FILE] [MODEL[@SERVER]...]

Shows each model on each server of a running proxy: size, digest, when it was changed there, whether
it is loaded and with which context. If servers have different contents under one name, the newest
are marked; `gollamas pull MODEL` makes them alike, and brings a configured model to a server that
lacks it. Asks http://ADMIN/state, found as for `health`. If nobody answers there, it asks HOST,
found as for `pull`, and shows what clients see, which does not tell servers apart. Exits 1 if a
model that was named is on no server, or if no gollamas answers, 2 for a faulty command line. The
other flags of serve are taken, and change nothing.
""",
    "ps": """Usage: gollamas ps [--json] [--admin ADDRESS] [--config FILE]

Shows what is loaded on which server of a running proxy, and what is being loaded. ADMIN, HOST and
the exit status are as for `models`.
""",
    "show": """Usage: gollamas show [--json] [--host HOST] [--config FILE] MODEL[@SERVER]

Shows what a model is: architecture, size, context, capabilities, parameters, system prompt and
license, as a server of the model says, or the one that is named. --json has all of it, the template
too. HOST and the exit status are as for `pull`.
""",
    "pull": """Usage: gollamas pull [--json] [--insecure] [--host HOST] [--config FILE] MODEL[@SERVER]...

Has a running proxy pull models, one after another: each on all of its servers, or on one. On a
terminal it draws a bar for each server, from http://ADMIN/state; elsewhere, and where nobody
answers there, it prints lines. What a server that is down will make up for is said on standard
error. Ctrl-C ends the pull, unless another client waits for it; servers keep what they have
fetched. HOST is what --host or GOLLAMAS_HOST says, written as in OLLAMA_HOST, else the address that
`serve` would listen on. Exits 1 if a pull failed on any server, nobody answers or clients may
not pull this, 2 for a faulty command line. The other flags of serve are taken, and change nothing.
""",
    "cp": """Usage: gollamas cp [--host HOST] [--config FILE] SOURCE[@SERVER] DESTINATION

Has a running proxy copy a model under another name, on all servers that have it, or on one. HOST
and the exit status are as for `pull`.
""",
    "rm": """Usage: gollamas rm [--host HOST] [--config FILE] MODEL[@SERVER]...

Has a running proxy delete models from all of their servers, or from one. A server that is down and
has the model deletes it when it is back, which is said on standard error. HOST and the exit status
are as for `pull`.
""",
    "load": """Usage: gollamas load [--json] [--admin ADDRESS] [--config FILE] MODEL[@SERVER]...

Asks a running proxy to load models into memory, by their names or aliases: on one server, or on
all of the model's that are up. They are loaded as for a request without options, with num_ctx and
keep_alive of the proxy's policies; a load that is under way is shared. Waits until it has ended,
for as long as load_timeout says here, and prints a line for each server; interrupting it does not
cancel the load. Where an admin token is set, it sends the one of GOLLAMAS_ADMIN_TOKEN, or
admin_token of the file. ADMIN is found as for `health`. Exits 1 where a load failed, a model or
server is unknown, no gollamas answers, the token is wrong or administration is off, 2 for a faulty
command line. The other flags of serve are taken, and change nothing.
""",
    "unload": """Usage: gollamas unload [--json] [--admin ADDRESS] [--config FILE] MODEL[@SERVER]...

Asks a running proxy to unload models, by their names or aliases: on one server, or on all of the
model's that are up. What is being answered is answered to its end. A model unloaded this
way stays unloaded, even one that is kept in memory, until a client asks for it or `gollamas load`
loads it.
Prints a line for each server. The admin token, ADMIN and the exit status are as for `load`.
""",
    "version": """Usage: gollamas version [--full]

Prints the version; with --full also those of Python, the system and the packages below it.
""",
    "help": """Usage: gollamas help [VERB]

Prints what gollamas is and the flags that most people need, or the help of one verb.
""",
}
# Where it is not all that the verb has for itself, which flags its help is about.
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "serve": tuple(option.key for option in TABLES["serve"].options),
    "health": ("listen", "config", "admin"),
    "status": ("json", "config", "admin"),
    "variants": ("prune", "json", "config", "admin", "admin_token"),
    "models": ("json", "host", "listen", "config", "admin"),
    "ps": ("json", "host", "listen", "config", "admin"),
    "show": ("json", "host", "listen", "config"),
    "pull": ("json", "insecure", "host", "listen", "config", "admin"),
    "cp": ("host", "listen", "config"),
    "rm": ("host", "listen", "config"),
    "load": ("json", "config", "admin", "admin_token", "load_timeout"),
    "unload": ("json", "config", "admin", "admin_token", "load_timeout"),
}


def run(argv: Sequence[str]) -> int:
    """Print the help of a verb, or of all; 2 for a verb that is none."""
    findings = Findings()
    words = read_flags(argv, findings, TABLES["help"]).words
    for word in words[1:]:
        findings.fault(f"argument `{shown(word)}`", "there is a verb already", "Write `gollamas help VERB`")
    if findings.faults:
        complain_of_each("help", Faults(findings.faults))
        return USAGE
    verb = VERB_ALIASES.get(words[0], words[0]) if words else ""
    if verb and verb not in VERBS:
        near = VERB_SYNONYMS.get(verb) or nearest(verb, VERBS)
        hint = f"write `gollamas help {near}`" if near else "see `gollamas help`"
        complain(f"gollamas: there is no verb `{verb}`: {hint}")
        return USAGE
    say((_help_of(verb) if verb else overview()).rstrip("\n"))
    return 0


def _help_of(verb: str) -> str:
    table = TABLES[verb]
    options = (
        [option for option in table.options if option.key in _KEYS[verb]] if verb in _KEYS else table.own
    )
    ours = [HELP_FLAGS, VERSION_FLAGS] if verb == "serve" else [HELP_FLAGS]
    lines = "".join(f"  {', '.join(flags)}\n" for flags in ours)
    return f"{_SHORT[verb]}\nFlags:\n\n{flags_help(options)}{lines}"
