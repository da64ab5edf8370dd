/* stub BODY_FILE
 *
 * A local model server that answers every chat at once with the same stream, but "N tokens" with N tokens: the first after
 * a pause, all others as fast as they are taken, each with the time of its sending as its text, in nanoseconds of the
 * monotonic clock. Prints its port on 127.0.0.1 and serves until it is killed. Keeps the body of the last chat in
 * BODY_FILE, so that another client can send the same.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"stub\",\"choices\":[{\"index\":0,"

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
#define END "data: " CHUNK "\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"

static const char STREAM[] =
    HEAD
    "data: " CHUNK "\"delta\":{\"role\":\"assistant\",\"content\":\"Hello\"},\"finish_reason\":null}]}\n\n"
    "data: " CHUNK "\"delta\":{\"content\":\".\"},\"finish_reason\":null}]}\n\n"
    END;
static const char OTHER[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 15\r\n\r\n"
    "{\"status\":\"ok\"}";

static const char *body_file;

static void keep(const char *body, size_t length)
{
    FILE *file = fopen(body_file, "w");
    if (file == NULL)
        return;
    fwrite(body, 1, length, file);
    fclose(file);
}

static void say(int client, const char *text)
{
    if (write(client, text, strlen(text)) < 0)
        perror("stub: write");
}

static void say_tokens(int client, long count)
{
    static const struct timespec pause = {.tv_nsec = 5000000};
    say(client, HEAD);
    nanosleep(&pause, NULL);
    for (long i = 0; i < count; i++) {
        char event[300];
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        snprintf(event, sizeof event, "data: " CHUNK "\"delta\":{\"content\":\"%ld \"},\"finish_reason\":null}]}\n\n",
                 now.tv_sec * 1000000000L + now.tv_nsec);
        say(client, event);
    }
    say(client, END);
}

/* The N of a question "N tokens", which stands last in a conversation; 0 if there is none. */
static long tokens_wanted(const char *body)
{
    const char *end = strstr(body, " tokens\"}");
    const char *begin = end;
    while (begin != NULL && begin > body && begin[-1] >= '0' && begin[-1] <= '9')
        begin--;
    return begin == NULL ? 0 : strtol(begin, NULL, 10);
}

static void *answer(void *argument)
{
    int client = (int)(long)argument;
    size_t capacity = 1 << 20, length = 0, wanted = 0;
    char *request = malloc(capacity);
    char *body = NULL;
    while (length < capacity - 1 && (body == NULL || length < wanted)) {
        ssize_t got = read(client, request + length, capacity - 1 - length);
        if (got <= 0)
            break;
        length += got;
        request[length] = 0;
        if (body == NULL && (body = strstr(request, "\r\n\r\n")) != NULL) {
            body += 4;
            wanted = body - request;
            for (char *line = request; line < body; line = strstr(line, "\r\n") + 2)
                if (strncasecmp(line, "content-length:", 15) == 0)
                    wanted += strtoul(line + 15, NULL, 10);
        }
    }
    if (body != NULL) {
        int is_chat = strncmp(request, "POST ", 5) == 0;
        long tokens = is_chat ? tokens_wanted(body) : 0;
        if (is_chat)
            keep(body, length - (body - request));
        if (tokens > 0)
            say_tokens(client, tokens);
        else
            say(client, is_chat ? STREAM : OTHER);
    }
    close(client);
    free(request);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM, 0);
    if (argc != 2 || bind(server, (struct sockaddr *)&address, size) < 0 || listen(server, 128) < 0
        || getsockname(server, (struct sockaddr *)&address, &size) < 0) {
        fprintf(stderr, "stub: cannot listen, or no BODY_FILE given\n");
        return 1;
    }
    body_file = argv[1];
    signal(SIGPIPE, SIG_IGN);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        pthread_t thread;
        int client = accept(server, NULL, NULL);
        if (client >= 0 && pthread_create(&thread, NULL, answer, (void *)(long)client) == 0)
            pthread_detach(thread);
    }
}
