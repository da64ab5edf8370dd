/* streams start PORT PATH KEY LOG PROGRAM [ARG...]
 *     Starts a server in a process group of its own, its output in LOG, and prints its pid and the nanoseconds from its
 *     start to the first "200" for PATH. It goes on running.
 * streams SECONDS WIDTH TOKENS GAP KEY TARGET...
 *     Asks the targets in turn, WIDTH streams at once over kept connections, for TOKENS tokens every GAP microseconds of
 *     the model server behind them, until each has had SECONDS. A TARGET is openai:PORT or anthropic:PORT. One line each:
 *     nanoseconds from the request to the first token (median, p99), from a token's sending, which is its text, to its
 *     receipt here (median, p99), tokens, nanoseconds that they took, streams, streams that were wrong, and what was
 *     wrong with the first of these.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_TARGETS 8
#define MOST_STREAMS 256
#define LONGEST_LINE 16384
#define PATIENCE_MS 60000
#define START_SECONDS 120

extern char **environ;

struct samples {
    long *values;
    size_t count, capacity;
};

struct target {
    int port, anthropic;
    struct samples first, token;
    long spent, streams, wrong;
    char why[160];
};

/* One connection: where its answer stands, byte by byte and event by event. */
struct stream {
    int socket;
    enum { HEAD, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, LAST_LINE, UNTIL_CLOSE, DONE } state;
    int chunked, closes, status;
    long left, asked_at, tokens;
    char line[LONGEST_LINE];
    size_t length;
    const char *event;
    char why[160];
};

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "streams: %s\n", what);
    exit(1);
}

static void add(struct samples *samples, long value)
{
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity * 2 + 1024;
        samples->values = realloc(samples->values, samples->capacity * sizeof(long));
        if (samples->values == NULL)
            fail("no memory");
    }
    samples->values[samples->count++] = value;
}

static int ascending(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

static long percentile(const struct samples *sorted, int percent)
{
    return sorted->count == 0 ? 0 : sorted->values[(sorted->count - 1) * percent / 100];
}

static int dial(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

static void wrong(struct stream *stream, const char *what, const char *detail)
{
    if (stream->why[0] == 0)
        snprintf(stream->why, sizeof stream->why, "%s%.120s", what, detail);
}

/* The order that the Messages API promises; a `ping` may come anywhere. */
static void check_order(struct stream *stream, const char *event)
{
    static const char *const allowed[][2] = {
        {"", "message_start"},
        {"message_start", "content_block_start"},
        {"content_block_start", "content_block_delta"},
        {"content_block_start", "content_block_stop"},
        {"content_block_delta", "content_block_delta"},
        {"content_block_delta", "content_block_stop"},
        {"content_block_stop", "content_block_start"},
        {"content_block_stop", "message_delta"},
        {"message_delta", "message_stop"},
    };
    if (strcmp(event, "ping") == 0)
        return;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (strcmp(stream->event, allowed[i][0]) == 0 && strcmp(event, allowed[i][1]) == 0) {
            stream->event = allowed[i][1];
            return;
        }
    char detail[100];
    snprintf(detail, sizeof detail, "%.40s after %s", event, stream->event[0] == 0 ? "nothing" : stream->event);
    wrong(stream, "", detail);
}

static void take_line(struct stream *stream, struct target *target, long received_at)
{
    const char *line = stream->line;
    if (target->anthropic && strncmp(line, "event: ", 7) == 0)
        check_order(stream, line + 7);
    if (strncmp(line, "data: ", 6) != 0)
        return;
    if (!target->anthropic && strcmp(line, "data: [DONE]") == 0)
        stream->event = "message_stop";
    for (const char *at = line; (at = strchr(at, 't')) != NULL; at++) {
        char *end;
        long stamp = at[1] >= '1' && at[1] <= '9' ? strtol(at + 1, &end, 10) : 0;
        if (stamp < stream->asked_at || stamp > received_at || *end != ' ')
            continue;
        if (stream->tokens++ == 0)
            add(&target->first, received_at - stream->asked_at);
        add(&target->token, received_at - stamp);
    }
}

static void take_head_line(struct stream *stream)
{
    const char *line = stream->line;
    if (strncasecmp(line, "HTTP/1.1 ", 9) == 0)
        stream->status = atoi(line + 9);
    else if (strncasecmp(line, "transfer-encoding: chunked", 26) == 0)
        stream->chunked = 1;
    else if (strncasecmp(line, "connection: close", 17) == 0)
        stream->closes = 1;
    else if (strncasecmp(line, "content-length:", 15) == 0)
        stream->left = atol(line + 15);
    if (line[0] != 0)
        return;
    if (stream->status != 200) {
        char detail[8];
        snprintf(detail, sizeof detail, "%d", stream->status);
        wrong(stream, "status ", detail);
    }
    stream->state = stream->chunked ? CHUNK_SIZE : stream->left == 0 ? DONE : UNTIL_CLOSE;
}

/* Lines of the head, of the chunks' sizes and of the events are all gathered in `line`; a line of the events may go on
 * in the next chunk, so the chunks' own lines are read without it. */
static void take_byte(struct stream *stream, struct target *target, char byte, long received_at)
{
    switch (stream->state) {
        case CHUNK_SIZE:
            if (byte == '\n')
                stream->state = stream->left == 0 ? LAST_LINE : CHUNK_DATA;
            else if (byte != '\r')
                stream->left = stream->left * 16 + (byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10);
            return;
        case CHUNK_END:
            if (byte == '\n')
                stream->state = CHUNK_SIZE;
            return;
        case LAST_LINE:
            if (byte == '\n')
                stream->state = DONE;
            return;
        case DONE:
            wrong(stream, "bytes after the end", "");
            return;
        default:
            break;
    }
    if (byte == '\n') {
        stream->line[stream->length] = 0;
        stream->length = 0;
        if (stream->state == HEAD) {
            take_head_line(stream);
            if (stream->state == CHUNK_SIZE)
                stream->left = 0;
            return;
        }
        take_line(stream, target, received_at);
    } else if (byte != '\r' && stream->length < LONGEST_LINE - 1) {
        stream->line[stream->length++] = byte;
    }
    if (stream->state != HEAD && stream->left > 0 && --stream->left == 0)
        stream->state = stream->chunked ? CHUNK_END : DONE;
}

static void ask(struct stream *stream, const struct target *target, long tokens, long gap, const char *key)
{
    char body[512], request[2048];
    int fd = stream->socket;
    int length = snprintf(body, sizeof body,
                          "{\"model\":\"stub\",\"max_tokens\":4096,\"stream\":true,%s\"messages\":[{\"role\":\"user\",\"content\":"
                          "\"%ld tokens every %ld us\"}]}",
                          target->anthropic ? "" : "\"stream_options\":{\"include_usage\":true},", tokens, gap);
    int size = snprintf(request, sizeof request,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                        "anthropic-version: 2023-06-01\r\nx-api-key: %s\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
                        target->anthropic ? "/v1/messages" : "/v1/chat/completions", target->port, key, key, length, body);
    memset(stream, 0, sizeof *stream);
    stream->event = "";
    stream->left = -1;
    stream->socket = fd < 0 ? dial(target->port) : fd;
    stream->asked_at = now();
    if (stream->socket < 0 || write(stream->socket, request, size) != size) {
        wrong(stream, "cannot connect", "");
        stream->state = DONE;
    }
}

static void end(struct stream *stream, struct target *target, long tokens)
{
    if (strcmp(stream->event, "message_stop") != 0)
        wrong(stream, "ended after ", stream->event[0] == 0 ? "nothing" : stream->event);
    if (stream->tokens != tokens) {
        char detail[64];
        snprintf(detail, sizeof detail, "%ld tokens of %ld", stream->tokens, tokens);
        wrong(stream, "", detail);
    }
    target->streams++;
    if (stream->why[0] != 0 && target->wrong++ == 0)
        memcpy(target->why, stream->why, sizeof target->why);
}

/* One round: `width` streams at once. */
static void run(struct target *target, int width, long tokens, long gap, const char *key)
{
    static struct stream streams[MOST_STREAMS];
    static char bytes[1 << 16];
    struct pollfd polled[MOST_STREAMS];
    int open = 0;
    for (int i = 0; i < width; i++) {
        streams[i].socket = dial(target->port);
        polled[i] = (struct pollfd){.fd = streams[i].socket, .events = POLLIN};
    }
    /* The second time over a connection that is known to work is the one that counts. */
    for (int round = 0; round < 2; round++) {
        long begun = now();
        size_t firsts = target->first.count, stamps = target->token.count;
        for (int i = 0; i < width; i++) {
            ask(&streams[i], target, round == 0 ? 1 : tokens, gap, key);
            polled[i].fd = streams[i].state == DONE ? -1 : streams[i].socket;
            open += streams[i].state != DONE;
        }
        while (open > 0) {
            if (poll(polled, width, PATIENCE_MS) <= 0)
                fail("a minute without a byte");
            for (int i = 0; i < width; i++) {
                if (polled[i].fd < 0 || polled[i].revents == 0)
                    continue;
                ssize_t got = read(streams[i].socket, bytes, sizeof bytes);
                long received_at = now();
                for (ssize_t k = 0; k < got; k++)
                    take_byte(&streams[i], target, bytes[k], received_at);
                if (got <= 0 || (streams[i].state == DONE && streams[i].closes)) {
                    close(streams[i].socket);
                    streams[i].socket = -1;
                }
                if (got <= 0 || streams[i].state == DONE) {
                    polled[i].fd = -1;
                    open--;
                }
            }
        }
        for (int i = 0; round == 1 && i < width; i++)
            end(&streams[i], target, tokens);
        if (round == 0) {
            target->first.count = firsts;
            target->token.count = stamps;
        } else {
            target->spent += now() - begun;
        }
    }
    for (int i = 0; i < width; i++)
        if (streams[i].socket >= 0)
            close(streams[i].socket);
}

static void measure(int argc, char **argv)
{
    static struct target targets[MOST_TARGETS];
    long seconds = atol(argv[1]), width = atol(argv[2]), tokens = atol(argv[3]), gap = atol(argv[4]);
    int count = 0, busy = 1;
    for (int i = 6; i < argc && count < MOST_TARGETS; i++, count++) {
        targets[count].anthropic = strncmp(argv[i], "anthropic:", 10) == 0;
        targets[count].port = strchr(argv[i], ':') == NULL ? 0 : atoi(strchr(argv[i], ':') + 1);
    }
    if (width < 1 || width > MOST_STREAMS || tokens < 1)
        fail("no such number of streams or tokens");
    while (busy) {
        busy = 0;
        for (int i = 0; i < count; i++)
            if (targets[i].spent < seconds * 1000000000L && targets[i].wrong <= 100) {
                run(&targets[i], width, tokens, gap, argv[5]);
                busy = 1;
            }
    }
    for (int i = 0; i < count; i++) {
        struct target *t = &targets[i];
        qsort(t->first.values, t->first.count, sizeof(long), ascending);
        qsort(t->token.values, t->token.count, sizeof(long), ascending);
        printf("%ld %ld %ld %ld %zu %ld %ld %ld %s\n", percentile(&t->first, 50), percentile(&t->first, 99),
               percentile(&t->token, 50), percentile(&t->token, 99), t->token.count, t->spent, t->streams, t->wrong, t->why);
    }
}

static int answers_200(int port, const char *path, const char *key)
{
    static const struct timeval patience = {.tv_sec = 10};
    char text[1024];
    int fd = dial(port);
    if (fd < 0)
        return 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    int size = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nx-api-key: %s\r\nConnection: close\r\n\r\n", path,
                        port, key);
    ssize_t got = write(fd, text, size) == size ? read(fd, text, sizeof text - 1) : -1;
    close(fd);
    return got > 12 && strncmp(text + 8, " 200", 4) == 0;
}

static void start(char **argv)
{
    static const struct timespec moment = {.tv_nsec = 200000};
    int port = atoi(argv[2]);
    pid_t pid;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, argv[5], O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    long begun = now();
    if (posix_spawnp(&pid, argv[6], &actions, &attributes, argv + 6, environ) != 0)
        fail("cannot run the server");
    while (!answers_200(port, argv[3], argv[4])) {
        if (waitpid(pid, NULL, WNOHANG) != 0 || now() - begun > START_SECONDS * 1000000000L) {
            kill(-pid, SIGKILL);
            fail("the server ended, or did not come up; see its log");
        }
        nanosleep(&moment, NULL);
    }
    printf("%d %ld\n", pid, now() - begun);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc > 6 && strcmp(argv[1], "start") == 0)
        start(argv);
    else if (argc > 6)
        measure(argc, argv);
    else
        fail("usage: streams start PORT PATH KEY LOG PROGRAM [ARG...]\n       streams SECONDS WIDTH TOKENS GAP KEY TARGET...");
    return 0;
}
