/* What the stand-in server says, written once: its answers are sent as they lie here. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 512 };

struct text { char *at; size_t size; };

/* One dialect's stream: its head goes out with the first piece, as Go's server sends it. */
struct stream { struct text first, piece, last; };

static struct text running, version, tags, ps, show, embedding, chat_whole, loaded, success, created, no_blob,
    not_found;
static struct stream chat, generate, completion, made_completion;
static char made[NAME_BYTES]; /* the name of the model that was made */
static const struct text end_of_body = {"0\r\n\r\n", 5};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static struct text text(const char *format, ...)
{
    struct text made;
    va_list values;
    va_start(values, format);
    int size = vasprintf(&made.at, format, values);
    va_end(values);
    if (size < 0)
        fail("memory");
    made.size = size;
    return made;
}

static struct text whole(const char *status, const char *type, const char *body)
{
    return text("HTTP/1.1 %s\r\nContent-Type: %s\r\nDate: Mon, 05 Jan 2026 08:00:00 GMT\r\n"
                "Content-Length: %zu\r\n\r\n%s", status, type, strlen(body), body);
}

static struct text chunk(const char *body)
{
    return text("%zx\r\n%s\r\n", strlen(body), body);
}

static struct stream streamed(const char *type, const char *piece, const char *last)
{
    struct text one = chunk(piece);
    struct text first = text("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nDate: Mon, 05 Jan 2026 08:00:00 GMT\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n%s", type, one.at);
    return (struct stream){first, one, chunk(last)};
}

#define JSON "application/json; charset=utf-8"
#define MODEL "{\"name\":\"llama3.2:latest\",\"model\":\"llama3.2:latest\",\"size\":2019393189,\"digest\":" \
    "\"5f1e3c0d9b7a8246135790acebdf02468ace13579bdf0f1e2d3c4b5a69788796\",\"details\":{\"format\":\"gguf\"," \
    "\"family\":\"llama\",\"families\":[\"llama\"],\"parameter_size\":\"3.2B\",\"quantization_level\":\"Q4_K_M\"}"
#define BEGIN "{\"model\":\"llama3.2\",\"created_at\":\"2026-01-05T08:00:00.123456789Z\","
#define DONE "\"done\":true,\"done_reason\":\"stop\",\"total_duration\":4301234567,\"load_duration\":1234567," \
    "\"prompt_eval_count\":26,\"prompt_eval_duration\":301234567,\"eval_count\":200,\"eval_duration\":4001234567}\n"
#define SAID "data: {\"id\":\"chatcmpl-7\",\"object\":\"chat.completion.chunk\",\"created\":1767600000,\"model\":" \
    "\"%s\",\"system_fingerprint\":\"fp_ollama\",\"choices\":[{\"index\":0,\"delta\":{"
#define MADE ",{\"name\":\"%s\",\"model\":\"%s\",\"size\":2019393204,\"digest\":\"7e9d1b3f5a8c6042" \
    "13579bdf02468ace5f1e3c0d9b7a8246f1e2d3c4b5a69788\",\"details\":{\"parent_model\":\"llama3.2:latest\"," \
    "\"format\":\"gguf\",\"family\":\"llama\"},\"modified_at\":\"2026-01-05T08:00:01Z\"}"

static struct stream completion_by(const char *name)
{
    struct text piece = text(SAID "\"content\":\" word\"},\"finish_reason\":null}]}\n\n", name);
    struct text last = text(SAID "},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n", name);
    return streamed("text/event-stream", piece.at, last.at);
}

static void list_models(void)
{
    struct text other = *made ? text(MADE, made, made) : text("");
    struct text body = text("{\"models\":[" MODEL ",\"modified_at\":\"2026-01-05T08:00:00Z\"}%s]}", other.at);
    tags = whole("200 OK", JSON, body.at);
}

static void write_answers(void)
{
    char numbers[128 * 12 + 1] = "";
    for (int i = 0; i < 128; i++)
        sprintf(numbers + strlen(numbers), "%s0.%08d", i ? "," : "", 1000003 * (i + 7) % 99999989);
    struct text body = text("{\"model\":\"llama3.2\",\"embeddings\":[[%s]],\"total_duration\":14001234,"
                            "\"load_duration\":1001234,\"prompt_eval_count\":17}", numbers);
    embedding = whole("200 OK", JSON, body.at);
    running = whole("200 OK", "text/plain; charset=utf-8", "Ollama is running");
    version = whole("200 OK", JSON, "{\"version\":\"0.32.15\"}");
    list_models();
    show = whole("200 OK", JSON, "{\"modelfile\":\"FROM /models/blobs/sha256-dde5aa3fc5ffc17176b5e8bdc82f587b24b2678c"
                 "6c66101bf7da77af9f7ccdff\\n\",\"model_info\":{\"llama.context_length\":131072},"
                 "\"capabilities\":[\"completion\"]}");
    ps = whole("200 OK", JSON, "{\"models\":[" MODEL ",\"expires_at\":\"2318-04-17T08:00:00Z\","
               "\"size_vram\":2019393189,\"context_length\":4096}]}");
    success = whole("200 OK", JSON, "{\"status\":\"success\"}");
    loaded = whole("200 OK", JSON, BEGIN "\"response\":\"\",\"done\":true,\"done_reason\":\"load\"}");
    chat_whole = whole("200 OK", JSON, BEGIN "\"message\":{\"role\":\"assistant\",\"content\":\"Five km.\"}," DONE);
    created = whole("201 Created", "text/plain", "");
    no_blob = whole("404 Not Found", "text/plain", ""); /* to HEAD */
    not_found = whole("404 Not Found", "text/plain", "404 page not found");
    chat = streamed("application/x-ndjson", BEGIN "\"message\":{\"role\":\"assistant\",\"content\":\" word\"},\"done\":false}\n",
                    BEGIN "\"message\":{\"role\":\"assistant\",\"content\":\"\"}," DONE);
    generate = streamed("application/x-ndjson", BEGIN "\"response\":\"0000000000000000000\",\"done\":false}\n",
                        BEGIN "\"response\":\"\"," DONE);
    completion = completion_by("llama3.2");
}

/* Note the model that a request names as the one that was made; none where it names none. */
static void make(const char *body)
{
    const char *name = strstr(body, "\"model\"");
    if (!name || sscanf(name + 7, " : \"%511[^\"]", made) != 1)
        *made = 0;
    made_completion = completion_by(made);
    list_models();
}
