"""`/api/copy` and `/api/delete` on all servers of a model: what is done, and what is said of the rest."""

import pytest

from gollamas.config.model import Expose, Manage
from gollamas.events import JobCause, JobEnd, VariantRemoved, Warned
from gollamas.simulate.faults import Drops, Fails
from tests.sockets.jobs import (
    AWAY,
    COPY,
    DELETE,
    NEW,
    PUSH,
    QUICK,
    changed,
    copy,
    delete,
    done,
    ends,
    has,
    hidden,
    lines,
    pull,
    push,
    refusal,
    servers,
    tidied,
    told,
    until_ended,
    warnings,
)
from tests.sockets.proxying import runs
from tests.sockets.raw import get
from tests.sockets.simulated import CHAT, CHAT_KEY, EMBEDDER, fleet

TO_B = b"X-Gollamas-Server: b"
READ_ONLY = Fails(500, b'{"error":"read-only file system"}')


# -- copy ----------------------------------------------------------------------------------------------


@runs
async def test_a_copy_is_made_on_every_server_and_answered_as_recorded() -> None:
    async with servers("a", "b") as both:
        assert done(await both.proxy.ask(copy(CHAT, "mine"))) == []
        assert all(has(one, "mine") for one in both.ollamas.values())
        assert told(both) == [("copy", "a", "mine", "done"), ("copy", "b", "mine", "done")]
        assert "mine:latest" in await both.names()
        assert (await both.ask("/api/chat", "mine")).status == 200


@pytest.mark.parametrize("expose", [Expose.CONFIGURED, Expose.INSTALLED])
@runs
async def test_a_source_that_is_not_routed_is_not_there(expose: Expose) -> None:
    """Though a server has it, where only configured models are routed."""
    async with servers("a", "b", expose=expose) as both:
        both.ollamas["a"].publish("private", 0)
        await both.ask_directly(COPY, {"source": CHAT, "destination": "private"})
        got = await both.proxy.ask(copy("private", "mine"))
        if expose is Expose.INSTALLED:
            assert done(got) == ["b does not have the model"]
            assert not has(both.ollamas["b"], "mine")
        else:
            assert refusal(got) == (404, 'model "private" not found')
            assert not has(both.ollamas["a"], "mine")
        assert refusal(await both.proxy.ask(copy("nothing", "mine"))) == (404, 'model "nothing" not found')


@runs
async def test_a_source_that_is_routed_and_that_nobody_has_is_not_there() -> None:
    async with servers("a", "b", models=(CHAT, EMBEDDER, "ghost"), expose=Expose.CONFIGURED) as both:
        for name in "ab":
            await both.ask_directly(DELETE, {"model": "ghost"}, "DELETE", name)
        assert refusal(await both.proxy.ask(copy("ghost", EMBEDDER))) == (404, 'model "ghost" not found')
        assert changed(both) == [DELETE, DELETE]  # these two
        assert set(ends(both).values()) == {JobEnd.MISSING}


@runs
async def test_a_destination_that_is_configured_is_made_on_its_own_servers() -> None:
    async with servers("a", "b", "c", manage_servers=("c",)) as both:
        assert done(await both.proxy.ask(copy(CHAT, EMBEDDER))) == []
        assert [len(one.copies) for one in both.ollamas.values()] == [1, 1, 1]
        assert done(await both.proxy.ask(copy(CHAT, "mine"))) == []
        assert [has(one, "mine") for one in both.ollamas.values()] == [False, False, True]


@runs
async def test_servers_that_lack_the_source_or_are_down_are_named_in_a_warning() -> None:
    async with servers("a", "b", "c", **AWAY) as both:
        await both.ask_directly(DELETE, {"model": CHAT}, "DELETE", "b")
        await both.take_down("c")
        assert done(await both.proxy.ask(copy(CHAT, "mine"))) == [
            "b does not have the model",
            "c is down and has not copied the model",
        ]
        assert ends(both) == {"a": JobEnd.DONE, "b": JobEnd.MISSING, "c": JobEnd.DOWN}
        assert both.proxy.app._duties.jobs.owed() == []
        assert not has(both.ollamas["b"], "mine")


@pytest.mark.parametrize("refusing", ["a", "b"])
@runs
async def test_one_that_refuses_a_copy_is_what_is_told_though_the_others_made_it(refusing: str) -> None:
    async with servers("a", "b", "c") as both:
        both.ollamas[refusing].fail_next(READ_ONLY, path=COPY)
        got = await both.proxy.ask(copy(CHAT, "mine"))
        assert refusal(got) == (500, f"server {refusing}: read-only file system")
        made = {name: has(one, "mine") for name, one in both.ollamas.items()}
        assert made == {**dict.fromkeys("abc", True), refusing: False}
        assert ends(both) == {**dict.fromkeys("abc", JobEnd.DONE), refusing: JobEnd.FAILED}
        assert len(both.ollamas[refusing].asked(COPY)) == 1


@runs
async def test_a_copy_on_one_server_is_refused_in_its_own_words() -> None:
    async with servers("a", "b") as both:
        both.ollamas["b"].fail_next(READ_ONLY, path=COPY)
        assert refusal(await both.proxy.ask(copy(CHAT, "mine", TO_B))) == (500, "read-only file system")
        assert both.ollamas["a"].asked(COPY) == []


@runs
async def test_a_copy_that_clients_can_t_use_is_said_to_be_there_and_not_exposed() -> None:
    async with servers("a", "b", expose=Expose.CONFIGURED) as both:
        note = "'mine' is on a, b, but clients can't use it: it is not configured; "
        note += "add it to `models`, or set `expose: installed`"
        assert done(await both.proxy.ask(copy(CHAT, "mine"))) == [note]
        assert [event.text for event in both.proxy.events.of(Warned)] == [note]
        assert "mine:latest" not in await both.names()
        assert (await both.ask("/api/chat", "mine")).status == 404
        found = lines(await both.proxy.ask(pull()))
        assert {"status": note.replace("mine", NEW)} in found
        assert warnings(await both.proxy.ask(pull(stream=False))) == [note.replace("mine", NEW)]
        assert done(await both.proxy.ask(delete("mine"))) == []  # what is gone needs no word


@pytest.mark.parametrize("source", [CHAT, f"library/{CHAT}:latest"])
@runs
async def test_a_copy_onto_the_same_name_changes_nothing(source: str) -> None:
    async with servers("a", "b") as both:
        before = [one.engine.library.find(CHAT) for one in both.ollamas.values()]
        assert done(await both.proxy.ask(copy(source, CHAT))) == []
        assert [one.engine.library.find(CHAT) for one in both.ollamas.values()] == before
        assert not any(b"keep_alive" in one.body for ollama in both.ollamas.values() for one in ollama.seen)


# -- delete --------------------------------------------------------------------------------------------


@runs
async def test_a_delete_is_done_everywhere_and_answered_as_recorded() -> None:
    async with servers("a", "b") as both:
        assert done(await both.proxy.ask(delete())) == []
        assert not any(has(one, CHAT) for one in both.ollamas.values())
        assert told(both) == [("delete", "a", CHAT, "done"), ("delete", "b", CHAT, "done")]
        assert await both.names() == ["minilm:latest"]
        assert (await both.ask("/api/chat")).status == 404


@runs
async def test_a_delete_of_what_some_have_is_well_and_of_what_nobody_has_a_404() -> None:
    async with servers("a", "b") as both:
        await both.ask_directly(DELETE, {"model": CHAT}, "DELETE", "a")
        assert done(await both.proxy.ask(delete())) == []
        assert refusal(await both.proxy.ask(delete())) == (404, "model 'smol' not found")
        assert refusal(await both.proxy.ask(delete("nothing:7b"))) == (404, "model 'nothing:7b' not found")


@runs
async def test_servers_that_are_down_are_named_and_owed_the_delete_where_the_model_was_seen() -> None:
    async with servers("a", "b", "c", **AWAY) as both:
        await both.ask_directly(DELETE, {"model": CHAT}, "DELETE", "c")
        await both.look()
        await both.take_down("b")
        await both.take_down("c")
        assert done(await both.proxy.ask(delete())) == [
            "b is down: the model will be deleted there when it is back",
            "c is down: whether it has the model is not known",
        ]
        assert [(one.kind, one.server) for one in both.proxy.app._duties.jobs.owed()] == [("delete", "b")]


@pytest.mark.parametrize("refusing", ["a", "b"])
@runs
async def test_one_that_refuses_a_delete_is_what_is_told_though_the_others_did_it(refusing: str) -> None:
    async with servers("a", "b", "c") as both:
        both.ollamas[refusing].fail_next(READ_ONLY, path=DELETE)
        got = await both.proxy.ask(delete())
        assert refusal(got) == (500, f"server {refusing}: read-only file system")
        left = {name: has(one, CHAT) for name, one in both.ollamas.items()}
        assert left == {**dict.fromkeys("abc", False), refusing: True}
        assert len(both.ollamas[refusing].asked(DELETE)) == 1


@runs
async def test_all_that_refuse_are_named() -> None:
    async with servers("a", "b") as both:
        for ollama in both.ollamas.values():
            ollama.fail_next(READ_ONLY, path=DELETE)
        got = await both.proxy.ask(delete())
        assert refusal(got) == (500, "server a: read-only file system; server b: read-only file system")


@runs
async def test_the_variants_of_a_model_go_with_it_and_no_others() -> None:
    options = {"force_num_ctx": {(CHAT_KEY, ""): 2048, ("registry.ollama.ai/library/mine:latest", ""): 1024}}
    async with servers("a", **options) as both:
        done(await both.proxy.ask(copy(CHAT, "mine")))
        for name in (CHAT, "mine"):
            assert (await both.ask("/v1/chat/completions", name)).status == 200
        await both.settled()
        assert len(hidden(both.ollama)) == 2
        assert done(await both.proxy.ask(delete())) == []
        (left,) = hidden(both.ollama)
        assert left.endswith(":ctx1024")
        (gone,) = both.proxy.events.of(VariantRemoved)
        assert (gone.num_ctx, gone.why) == (2048, "its model was deleted")
        assert (await both.ask("/v1/chat/completions", "mine")).status == 200


@runs
async def test_a_delete_that_is_refused_leaves_the_variants() -> None:
    async with servers("a", force_num_ctx={(CHAT_KEY, ""): 2048}) as both:
        assert (await both.ask("/v1/chat/completions")).status == 200
        await both.settled()
        both.ollama.fail_next(READ_ONLY, path=DELETE)
        assert refusal(await both.proxy.ask(delete())) == (500, "read-only file system")
        await tidied(both)
        assert len(hidden(both.ollama)) == 1


# -- both ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [copy(CHAT, "mine"), delete(), pull(stream=False), push(stream=False)])
@runs
async def test_what_breaks_without_an_answer_is_never_sent_again(data: bytes) -> None:
    """Nobody knows what the server did."""
    path = data.split(b" ")[1].decode()
    async with servers("a", "b") as both:
        both.ollamas["a"].fail_next(Drops(), path=path)
        status, text = refusal(await both.proxy.ask(data))
        assert (status, text.startswith("server a: ")) == (502, True)
        await tidied(both)
        assert len(both.ollamas["a"].asked(path)) == 1
        assert (len(both.ollamas["b"].asked(path)), ends(both)["a"]) == (path != PUSH, JobEnd.FAILED)


@runs
async def test_metrics_and_log_tell_of_each_part_once() -> None:
    async with servers("a", "b", "c", **AWAY) as both:
        await both.take_down("c")
        both.ollamas["b"].fail_next(READ_ONLY, path=COPY)
        await both.proxy.ask(copy(CHAT, "mine"))
        await both.proxy.ask(delete("mine"))
        lines(await both.proxy.ask(pull("mine2")))
        events = await until_ended(both, 9)
        assert len(events) == 9
        page = b"".join(both.proxy.app._exposition.page("")[1]).decode()
        counted = {line for line in page.splitlines() if line.startswith("gollamas_jobs_total{")}
        assert counted == {
            'gollamas_jobs_total{kind="copy",end="done"} 1',
            'gollamas_jobs_total{kind="copy",end="failed"} 1',
            'gollamas_jobs_total{kind="copy",end="down"} 1',
            'gollamas_jobs_total{kind="delete",end="done"} 1',
            'gollamas_jobs_total{kind="delete",end="missing"} 1',
            'gollamas_jobs_total{kind="delete",end="down"} 1',
            'gollamas_jobs_total{kind="pull",end="failed"} 2',
            'gollamas_jobs_total{kind="pull",end="down"} 1',
        }
        assert [(one.server, one.is_owed) for one in events if one.end is JobEnd.DOWN] == [
            ("c", False), ("c", False), ("c", True),
        ]  # fmt: skip
        assert all(one.took_s >= 0 and one.why is JobCause.CLIENT for one in events)


@runs
async def test_with_the_defaults_a_client_deletes_and_copies_configured_models() -> None:
    async with fleet("a", "b", settings=QUICK, manage=Manage.CONFIGURED) as both:
        assert done(await both.proxy.ask(copy(CHAT, EMBEDDER))) == []
        assert done(await both.proxy.ask(delete())) == []
        listed = await both.proxy.ask(get("/api/tags"))
        assert b"minilm" in listed.body
        assert b"smol:" not in listed.body
