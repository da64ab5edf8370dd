/* token_server
 *
 * A local model server that answers as llama-server does, in HTTP/1.1 with chunks and kept connections. A question
 * "N tokens every G us" gets N tokens with a pause of G microseconds between them, 0 for none. Each token is the time of
 * its sending: a "t", nanoseconds of the monotonic clock, a space. Prints its port on 127.0.0.1 and serves until it is
 * killed.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LONGEST_REQUEST (1 << 20)
#define CHUNK "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"stub\",\"choices\":[{\"index\":0,"
#define USAGE "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":%ld,\"total_tokens\":%ld}"

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* In one write: a token is one packet, as it is from llama-server. False when the client is gone. */
static int send_all(int client, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t sent = write(client, text, length);
        if (sent < 0)
            return 0;
        text += sent;
        length -= sent;
    }
    return 1;
}

static int send_event(int client, const char *format, ...)
{
    char data[512], chunk[600];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(data, sizeof data, format, arguments);
    va_end(arguments);
    return send_all(client, chunk, snprintf(chunk, sizeof chunk, "%x\r\ndata: %s\n\n\r\n", length + 8, data));
}

static int send_json(int client, const char *status, const char *body)
{
    char answer[1024];
    return send_all(client, answer,
                    snprintf(answer, sizeof answer, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                             status, strlen(body), body));
}

static int stream(int client, long tokens, long gap)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct timespec pause = {.tv_sec = gap / 1000000, .tv_nsec = gap % 1000000 * 1000};
    if (!send_all(client, head, sizeof head - 1)
        || !send_event(client, CHUNK "\"delta\":{\"role\":\"assistant\",\"content\":null},\"finish_reason\":null}]}"))
        return 0;
    for (long i = 0; i < tokens; i++) {
        if (i > 0 && gap > 0)
            nanosleep(&pause, NULL);
        if (!send_event(client, CHUNK "\"delta\":{\"content\":\"t%ld \"},\"finish_reason\":null}]}", now()))
            return 0;
    }
    return send_event(client, CHUNK "\"delta\":{},\"finish_reason\":\"stop\"}]}")
        && send_event(client,
                      "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"stub\",\"choices\":[]," USAGE "}",
                      tokens, tokens + 10)
        && send_all(client, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n", 24);
}

/* The last question in the conversation counts, wherever a gateway has put it. */
static void read_question(const char *body, long *tokens, long *gap)
{
    static const char words[] = " tokens every ";
    *tokens = 1;
    *gap = 0;
    for (const char *at = body; (at = strstr(at, words)) != NULL; at += sizeof words - 1) {
        const char *digits = at;
        while (digits > body && digits[-1] >= '0' && digits[-1] <= '9')
            digits--;
        *tokens = strtol(digits, NULL, 10);
        *gap = strtol(at + sizeof words - 1, NULL, 10);
    }
}

static int answer(int client, const char *request, const char *body)
{
    long tokens, gap;
    if (strncmp(request, "GET /health", 11) == 0)
        return send_json(client, "200 OK", "{\"status\":\"ok\"}");
    if (strncmp(request, "GET /v1/models", 14) == 0)
        return send_json(client, "200 OK",
                         "{\"object\":\"list\",\"data\":[{\"id\":\"stub\",\"object\":\"model\",\"created\":1,"
                         "\"owned_by\":\"llamacpp\",\"meta\":{\"n_ctx\":65536,\"n_ctx_train\":65536}}]}");
    if (strncmp(request, "POST /v1/chat/completions", 25) != 0)
        return send_json(client, "404 Not Found",
                         "{\"error\":{\"code\":404,\"message\":\"File Not Found\",\"type\":\"not_found_error\"}}");
    read_question(body, &tokens, &gap);
    if (strstr(body, "\"stream\":true") != NULL || strstr(body, "\"stream\": true") != NULL)
        return stream(client, tokens, gap);
    return send_json(client, "200 OK",
                     "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"stub\",\"choices\":[{\"index\":0,"
                     "\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"finish_reason\":\"length\"}],"
                     "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":1,\"total_tokens\":11}}");
}

/* Reads one request into `request`; the offset of its body, or 0 when there is none to come. */
static size_t read_request(int client, char *request)
{
    size_t length = 0, begin = 0, wanted = 0;
    while (begin == 0 || length < wanted) {
        ssize_t got = length < LONGEST_REQUEST ? read(client, request + length, LONGEST_REQUEST - length) : 0;
        if (got <= 0)
            return 0;
        length += got;
        request[length] = 0;
        char *end = begin == 0 ? strstr(request, "\r\n\r\n") : NULL;
        if (end == NULL)
            continue;
        begin = wanted = end + 4 - request;
        for (char *line = strstr(request, "\r\n"); line < end; line = strstr(line + 2, "\r\n"))
            if (strncasecmp(line + 2, "content-length:", 15) == 0)
                wanted += strtoul(line + 17, NULL, 10);
    }
    return begin;
}

static void *serve(void *argument)
{
    int client = (int)(long)argument, yes = 1;
    char *request = malloc(LONGEST_REQUEST + 1);
    size_t body;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    while (request != NULL && (body = read_request(client, request)) > 0 && answer(client, request, request + body))
        ;
    close(client);
    free(request);
    return NULL;
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server, (struct sockaddr *)&address, size) < 0 || listen(server, 128) < 0
        || getsockname(server, (struct sockaddr *)&address, &size) < 0) {
        fprintf(stderr, "token_server: cannot listen\n");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        pthread_t thread;
        int client = accept(server, NULL, NULL);
        if (client >= 0 && pthread_create(&thread, NULL, serve, (void *)(long)client) == 0)
            pthread_detach(thread);
    }
}
