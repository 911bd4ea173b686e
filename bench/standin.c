/* Answers as Ollama does, at next to no cost: what is measured is whoever stands in front of it.
 *
 *     standin PORT PIECES GAP_US COUNTS
 *
 * Whole answers are one write; streamed ones have PIECES pieces and a last one, each a chunk and a write of its
 * own, GAP_US microseconds apart; without PIECES a chat is whole. COUNTS is a file of five 64-bit numbers, kept up
 * to date in shared memory: requests for words or vectors, pieces that were sent, streams that are open, requests
 * to a model that was made here, bytes of blobs that came: they are let go, and no blob is ever there. One such model is kept, the last one; it is listed, and its name stands in its
 * answers. One thread; Linux.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "answers.h"

enum { REQUEST_BYTES = 8192, TURN = 512, STAMP_DIGITS = 19, MOST_SKIPPED = 1 << 22 };

struct client {
    int fd;
    size_t have;                 /* bytes of `in` */
    const struct stream *stream; /* what is being streamed */
    int pieces;                  /* that are still to be sent, the last one counted */
    int ends;                    /* the end of the body is still to be sent */
    int closes;                  /* after this answer */
    int waits;                   /* stands in the queue of those that send later */
    int is_gone;
    int64_t due;
    uint64_t blob;               /* bytes of one that are still to come */
    const char *out;             /* being sent */
    size_t left;
    struct client *next;
    char in[REQUEST_BYTES];
    char stamped[512];           /* a piece that carries the time of its sending */
};

static struct { uint64_t requests, pieces, streams, made, blobs; } *counts;
static int pieces_per_answer;
static int64_t gap_ns;
static struct client *queue, **queue_end = &queue; /* in order of `due`: every gap is equally long */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void drop(struct client *client)
{
    if (client->fd >= 0) {
        close(client->fd);
        client->fd = -1;
        if (client->stream)
            counts->streams--;
        client->is_gone = 1;
    }
    if (!client->waits) /* else whoever takes it out of the queue does this */
        free(client);
}

/* A piece that says when it was sent, by the clock that all processes of a machine share. */
static struct text stamped(struct client *client, struct text piece)
{
    memcpy(client->stamped, piece.at, piece.size);
    char *digits = memmem(client->stamped, piece.size, "\"response\":\"", 12);
    char stamp[STAMP_DIGITS + 1];
    snprintf(stamp, sizeof stamp, "%0*lld", STAMP_DIGITS, (long long)now_ns());
    memcpy(digits + 12, stamp, STAMP_DIGITS);
    return (struct text){client->stamped, piece.size};
}

static void give(struct client *client, struct text what)
{
    client->out = what.at;
    client->left = what.size;
}

/* Choose what is sent next; 0 where that is nothing yet. */
static int next_output(struct client *client)
{
    if (client->pieces) {
        int is_first = client->pieces == pieces_per_answer + 1;
        if (gap_ns && !is_first) {
            if (!client->due) {
                client->due = now_ns() + gap_ns;
                client->waits = 1;
                client->next = NULL;
                *queue_end = client;
                queue_end = &client->next;
            }
            if (client->waits)
                return 0;
            client->due = 0;
        }
        client->pieces--;
        counts->pieces++;
        struct text piece = is_first ? client->stream->first : client->stream->piece;
        if (!client->pieces)
            piece = client->stream->last;
        else if (client->stream == &generate)
            piece = stamped(client, piece);
        give(client, piece);
        return 1;
    }
    if (client->ends) {
        client->ends = 0;
        client->stream = NULL;
        counts->streams--;
        give(client, end_of_body);
        return 1;
    }
    return 0;
}

static void begin(struct client *client, const struct stream *stream)
{
    client->stream = stream;
    client->pieces = pieces_per_answer + 1;
    client->ends = 1;
    counts->streams++;
}

static int asks(const struct client *client, const char *line)
{
    return !strncmp(client->in, line, strlen(line));
}

/* Answer a request for words or vectors; 0 where it is none. */
static int speak(struct client *client, const char *body)
{
    if (asks(client, "POST /api/embed "))
        give(client, embedding);
    else if (asks(client, "POST /api/chat "))
        pieces_per_answer ? begin(client, &chat) : give(client, chat_whole);
    else if (asks(client, "POST /api/generate ") && strstr(body, "\"prompt\""))
        begin(client, &generate);
    else if (asks(client, "POST /v1/chat/completions ") && *made && strstr(body, made)) {
        counts->made++;
        begin(client, &made_completion);
    } else if (asks(client, "POST /v1/chat/completions "))
        begin(client, &completion);
    else
        return 0;
    counts->requests++;
    return 1;
}

static void answer(struct client *client, const char *body)
{
    static const struct { const char *line; struct text *answer; } others[] = {
        {"GET / ", &running}, {"GET /api/version ", &version}, {"GET /api/tags ", &tags}, {"GET /api/ps ", &ps},
        {"POST /api/show ", &show}, {"POST /api/generate ", &loaded}, {"POST /api/create ", &success},
        {"DELETE /api/delete ", &success}, {"POST /api/blobs/", &created}, {"HEAD /api/blobs/", &no_blob},
        {"", &not_found},
    };
    if (speak(client, body))
        return;
    if (asks(client, "POST /api/create ") || asks(client, "DELETE /api/delete "))
        make(asks(client, "POST") ? body : "");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (asks(client, others[i].line))
            return give(client, *others[i].answer);
}

/* A blob has no room here: count what came of it, and have the rest let go as it comes. */
static size_t begin_blob(struct client *client, size_t head, size_t length)
{
    size_t here = client->have - head < length ? client->have - head : length;
    counts->blobs += here;
    client->blob = length - here;
    return head + here;
}

/* Let go what has come of a blob: 1 where more may be read, 0 where nothing is there, -1 at the end of it all. */
static int skip_blob(struct client *client)
{
    while (client->blob) {
        size_t size = client->blob < MOST_SKIPPED ? client->blob : MOST_SKIPPED;
        ssize_t got = recv(client->fd, NULL, size, MSG_TRUNC); /* the kernel copies nothing */
        if (got <= 0)
            return got < 0 && errno == EAGAIN ? 0 : -1;
        counts->blobs += got;
        client->blob -= got;
    }
    return 1;
}

/* Take the next request out of what was read; 0 where none is whole, -1 where none ever will be. */
static int next_request(struct client *client)
{
    client->in[client->have] = 0;
    char *body = strstr(client->in, "\r\n\r\n");
    if (!body)
        return client->have == REQUEST_BYTES - 1 ? -1 : 0;
    body += 4;
    char byte = *body;
    *body = 0;
    const char *length = strcasestr(client->in, "\r\ncontent-length:");
    client->closes = strcasestr(client->in, "\r\nconnection: close") != NULL;
    *body = byte;
    size_t head = body - client->in, size = length ? strtoul(length + 17, NULL, 10) : 0;
    size = asks(client, "POST /api/blobs/") ? begin_blob(client, head, size) : head + size;
    if (size >= REQUEST_BYTES)
        return -1;
    if (client->have < size)
        return 0;
    byte = client->in[size];
    client->in[size] = 0;
    answer(client, body);
    client->in[size] = byte;
    memmove(client->in, client->in + size, client->have -= size);
    return 1;
}

/* Send and answer until there is nothing left to do; whether the client is still there. */
static int go_on(struct client *client)
{
    for (;;) {
        if (client->blob) {
            int found = skip_blob(client);
            if (found <= 0)
                return found == 0;
        }
        while (client->left) {
            ssize_t sent = send(client->fd, client->out, client->left, MSG_NOSIGNAL);
            if (sent < 0)
                return errno == EAGAIN;
            client->out += sent;
            client->left -= sent;
        }
        if (next_output(client))
            continue;
        if (client->stream)
            return 1;
        if (client->closes)
            return 0;
        int found = next_request(client);
        if (found <= 0)
            return found == 0;
    }
}

static int take_in(struct client *client)
{
    while (!client->blob && client->have < REQUEST_BYTES - 1) {
        ssize_t got = recv(client->fd, client->in + client->have, REQUEST_BYTES - 1 - client->have, 0);
        if (got == 0)
            return 0;
        if (got < 0)
            return errno == EAGAIN;
        client->have += got;
    }
    return 1;
}

static void send_what_is_due(void)
{
    while (queue && (queue->is_gone || queue->due <= now_ns())) {
        struct client *client = queue;
        queue = client->next;
        if (!queue)
            queue_end = &queue;
        client->waits = 0;
        if (client->is_gone || !go_on(client))
            drop(client);
    }
}

static int listening(int port)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&here, sizeof here) || listen(fd, 4096))
        fail("listen");
    return fd;
}

static void accept_all(int listener, int poll)
{
    int yes = 1, fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct client *client = calloc(1, sizeof *client);
        client->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLET, {.ptr = client}};
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return fputs("standin PORT PIECES GAP_US COUNTS\n", stderr), 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pieces_per_answer = atoi(argv[2]);
    gap_ns = atoll(argv[3]) * 1000;
    int file = open(argv[4], O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, sizeof *counts))
        fail(argv[4]);
    counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (counts == MAP_FAILED)
        fail(argv[4]);
    write_answers();
    int poll = epoll_create1(0), listener = listening(atoi(argv[1])), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event event = {EPOLLIN, {.ptr = &listener}};
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    event = (struct epoll_event){EPOLLIN, {.ptr = &timer}};
    epoll_ctl(poll, EPOLL_CTL_ADD, timer, &event);
    for (;;) {
        struct itimerspec at = {.it_value = {queue ? queue->due / 1000000000 : 0, queue ? queue->due % 1000000000 : 0}};
        if (gap_ns)
            timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
        struct epoll_event events[TURN];
        int found = epoll_wait(poll, events, TURN, -1);
        for (int i = 0; i < found; i++) {
            struct client *client = events[i].data.ptr;
            if (events[i].data.ptr == &listener)
                accept_all(listener, poll);
            else if (events[i].data.ptr != &timer && !(take_in(client) && go_on(client)))
                drop(client);
        }
        send_what_is_due();
    }
}
