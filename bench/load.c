/* Asks a server as fast as it answers, each connection one request at a time.
 *
 *     load PORT CONNECTIONS SECONDS REQUESTS ZEROS
 *
 * REQUESTS is a file of whole requests, each followed by a NUL, that are sent in turn; behind each go so many
 * ZEROS, which are the rest of its body. Says as JSON: answers that ended, those whose status was not 200 or 201, connections that broke, microseconds from a request to its answer's end,
 * and from the sending of a piece that is stamped (standin.c) to its arrival. One thread; Linux.
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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_BYTES = 4096, MOST_REQUESTS = 1024, TURN = 512, MOST_SPANS = 1 << 21, MOST_ZEROS = 1 << 18 };

struct connection {
    int fd;
    int64_t asked;          /* when */
    enum { HEAD, SIZE, SKIP } state;
    int is_last;            /* the answer ends with what is skipped */
    int64_t left;           /* to skip; in SIZE, what the digits say so far */
    int64_t zeros;          /* still to be sent */
    size_t have;
    char head[HEAD_BYTES + 1];
};

/* Spans of time in microseconds; those beyond the room for them are only counted. */
struct spans { long count; int32_t *us; };

static struct { const char *at; size_t size; } requests[MOST_REQUESTS];
static int request_count, turn, poll_fd, port;
static int64_t zeros_behind;
static long bad, broken;
static struct spans answers, delays;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void add(struct spans *spans, int64_t ns)
{
    if (spans->count < MOST_SPANS)
        spans->us[spans->count] = ns / 1000;
    spans->count++;
}

static int by_size(const void *one, const void *other)
{
    return *(const int32_t *)one - *(const int32_t *)other;
}

static int quantile(const struct spans *spans, double part)
{
    long count = spans->count < MOST_SPANS ? spans->count : MOST_SPANS;
    return count ? spans->us[(long)(part * (count - 1))] : 0;
}

static void sort(struct spans *spans)
{
    qsort(spans->us, spans->count < MOST_SPANS ? spans->count : MOST_SPANS, sizeof *spans->us, by_size);
}

static void read_requests(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *request = NULL;
    size_t room = 0;
    ssize_t size;
    while (file && request_count < MOST_REQUESTS && (size = getdelim(&request, &room, 0, file)) > 0) {
        requests[request_count].at = request;
        requests[request_count++].size = size - 1;
        request = NULL;
    }
    if (!request_count)
        exit(2);
    fclose(file);
}

/* Send zeros as long as they are taken; whether the connection is still there. */
static int send_zeros(struct connection *connection)
{
    static const char zeros[MOST_ZEROS];
    while (connection->zeros) {
        size_t size = connection->zeros < MOST_ZEROS ? connection->zeros : MOST_ZEROS;
        ssize_t sent = send(connection->fd, zeros, size, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN;
        connection->zeros -= sent;
    }
    return 1;
}

static int ask(struct connection *connection)
{
    turn = (turn + 1) % request_count;
    connection->state = HEAD;
    connection->have = 0;
    connection->asked = now_ns();
    ssize_t sent = send(connection->fd, requests[turn].at, requests[turn].size, MSG_NOSIGNAL);
    connection->zeros = zeros_behind;
    /* One that is not taken at once is not small. */
    return sent == (ssize_t)requests[turn].size && send_zeros(connection);
}

static int open_one(struct connection *connection)
{
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connection->fd < 0 || connect(connection->fd, (struct sockaddr *)&there, sizeof there))
        return 0;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {zeros_behind ? EPOLLIN | EPOLLOUT | EPOLLET : EPOLLIN, {.ptr = connection}};
    return !epoll_ctl(poll_fd, EPOLL_CTL_ADD, connection->fd, &event) && ask(connection);
}

static void open_again(struct connection *connection)
{
    broken++;
    close(connection->fd);
    if (!open_one(connection)) {
        close(connection->fd);
        connection->fd = -1; /* a server that takes no connections any more: this one stays away */
    }
}

static void look_for_stamps(const char *data, size_t size)
{
    static const char mark[] = "\"response\":\"0"; /* a stamp has leading zeros */
    int64_t now = now_ns();
    const char *end = data + size, *at;
    while ((at = memmem(data, end - data, mark, sizeof mark - 1)) && at + 40 < end) {
        data = at + sizeof mark - 1;
        int64_t sent = strtoll(data, NULL, 10);
        if (sent)
            add(&delays, now - sent);
    }
}

/* Read a head as far as it is there; the bytes that it took, 0 where it can't be one. */
static size_t take_head(struct connection *connection, const char *data, size_t size)
{
    size_t before = connection->have, taken = size < HEAD_BYTES - before ? size : HEAD_BYTES - before;
    memcpy(connection->head + before, data, taken);
    connection->have += taken;
    connection->head[connection->have] = 0;
    char *end = strstr(connection->head, "\r\n\r\n");
    if (!end)
        return taken;
    end[2] = 0;
    bad += strncmp(connection->head, "HTTP/1.1 200", 12) && strncmp(connection->head, "HTTP/1.1 201", 12);
    const char *length = strcasestr(connection->head, "\r\ncontent-length:");
    connection->state = length ? SKIP : SIZE; /* what has no length is chunked: a client keeps its connection */
    connection->is_last = length != NULL;
    connection->left = length ? strtoll(length + 17, NULL, 10) : 0;
    return end + 4 - connection->head - before;
}

/* Read a chunk's size by the character; behind the chunk comes a line end, as it does behind the last size. */
static void take_digit(struct connection *connection, char digit)
{
    if (digit == '\n') {
        connection->is_last = connection->left == 0;
        connection->left += 2;
        connection->state = SKIP;
    } else if (digit != '\r') {
        connection->left = connection->left * 16 + (digit <= '9' ? digit - '0' : (digit | 32) - 'a' + 10);
    }
}

static int take(struct connection *connection, const char *data, size_t size)
{
    const char *end = data + size;
    for (;;) {
        if (connection->state == SKIP) {
            int64_t here = end - data < connection->left ? end - data : connection->left;
            data += here;
            connection->left -= here;
            if (connection->left)
                return 1;
            if (connection->is_last) {
                add(&answers, now_ns() - connection->asked);
                return data == end && ask(connection); /* more than an answer is nothing that was asked for */
            }
            connection->state = SIZE;
        } else if (data == end) {
            return 1;
        } else if (connection->state == SIZE) {
            take_digit(connection, *data++);
        } else {
            size_t taken = take_head(connection, data, end - data);
            if (!taken)
                return 0;
            data += taken;
        }
    }
}

static void arrived(struct connection *connection)
{
    static char data[65536];
    ssize_t got = recv(connection->fd, data, sizeof data, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got > 0)
        look_for_stamps(data, got);
    if (got <= 0 || !take(connection, data, got))
        open_again(connection);
}

static void turned_up(struct connection *connection)
{
    if (connection->zeros && !send_zeros(connection))
        open_again(connection);
    else
        arrived(connection);
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return fputs("load PORT CONNECTIONS SECONDS REQUESTS ZEROS\n", stderr), 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    port = atoi(argv[1]);
    int count = atoi(argv[2]);
    read_requests(argv[4]);
    zeros_behind = atoll(argv[5]);
    answers.us = malloc(MOST_SPANS * sizeof *answers.us);
    delays.us = malloc(MOST_SPANS * sizeof *delays.us);
    poll_fd = epoll_create1(0);
    struct connection *connections = calloc(count, sizeof *connections);
    for (int i = 0; i < count; i++)
        if (!open_one(&connections[i]))
            open_again(&connections[i]);
    int64_t begun = now_ns(), end = begun + (int64_t)(atof(argv[3]) * 1e9), left;
    while ((left = end - now_ns()) > 0) {
        struct epoll_event events[TURN];
        int found = epoll_wait(poll_fd, events, TURN, left / 1000000 + 1);
        for (int i = 0; i < found; i++)
            turned_up(events[i].data.ptr);
    }
    sort(&answers);
    sort(&delays);
    printf("{\"answers\":%ld,\"bad\":%ld,\"broken\":%ld,\"p50_us\":%d,\"p99_us\":%d,\"pieces\":%ld,"
           "\"late_p50_us\":%d,\"late_p99_us\":%d}\n",
           answers.count, bad, broken, quantile(&answers, 0.5), quantile(&answers, 0.99), delays.count,
           quantile(&delays, 0.5), quantile(&delays, 0.99));
    return 0;
}
