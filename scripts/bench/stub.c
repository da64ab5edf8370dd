/* stub BODY_FILE
 *
 * A local model server that answers every chat at once with the same stream. Prints its port on 127.0.0.1 and serves until
 * it is killed. Keeps the body of the first chat in BODY_FILE, so that another client can send the same.
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
#include <unistd.h>

#define CHUNK "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"stub\",\"choices\":[{\"index\":0,"

static const char STREAM[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    "data: " CHUNK "\"delta\":{\"role\":\"assistant\",\"content\":\"Hello\"},\"finish_reason\":null}]}\n\n"
    "data: " CHUNK "\"delta\":{\"content\":\".\"},\"finish_reason\":null}]}\n\n"
    "data: " CHUNK "\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
    "data: [DONE]\n\n";
static const char OTHER[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 15\r\n\r\n"
    "{\"status\":\"ok\"}";

static const char *body_file;

static void keep(const char *body, size_t length)
{
    FILE *file = fopen(body_file, "wx");
    if (file == NULL)
        return;
    fwrite(body, 1, length, file);
    fclose(file);
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
        int chat = strncmp(request, "POST ", 5) == 0;
        const char *reply = chat ? STREAM : OTHER;
        if (chat)
            keep(body, length - (body - request));
        if (write(client, reply, strlen(reply)) < 0)
            perror("stub: write");
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
