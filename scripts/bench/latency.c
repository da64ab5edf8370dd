/* latency ROUNDS PROGRAM [ARG...] [, PROGRAM [ARG...]]...
 *
 * Runs the programs in turn, ROUNDS times each, with /dev/null as input, and prints one line for each: the median of the
 * nanoseconds from the time that stands in its output, as the stub writes it, to the moment when that is read here.
 */
#include <ctype.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_RACERS 8

extern char **environ;

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* A number that is close to `reference`: the first of that kind in the text, or 0. */
static long stamp_in(const char *text, long reference)
{
    for (const char *at = text; *at != 0; at++) {
        if (!isdigit((unsigned char)*at))
            continue;
        char *end;
        long number = strtol(at, &end, 10);
        if (*end == ' ' && number <= reference && number > reference - 10000000000L)
            return number;
        at = end - 1;
    }
    return 0;
}

static long run(char **argv)
{
    int out[2];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (pipe(out) < 0)
        exit(1);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_addclose(&actions, out[0]);
    posix_spawn_file_actions_addclose(&actions, out[1]);
    if (posix_spawn(&pid, argv[0], &actions, NULL, argv, environ) != 0) {
        fprintf(stderr, "latency: cannot run %s\n", argv[0]);
        exit(1);
    }
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    static char text[1 << 20];
    size_t length = 0;
    long delay = -1;
    ssize_t got;
    while ((got = read(out[0], text + length, sizeof text - 1 - length)) > 0) {
        long read_at = now();
        length += got;
        text[length] = 0;
        long stamp = delay < 0 ? stamp_in(text, read_at) : 0;
        if (stamp > 0)
            delay = read_at - stamp;
    }
    close(out[0]);
    int status;
    waitpid(pid, &status, 0);
    if (status != 0 || delay < 0) {
        fprintf(stderr, "latency: %s ended with wait status %d%s\n", argv[0], status, delay < 0 ? " and no time" : "");
        exit(1);
    }
    return delay;
}

static int ascending(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    char **racers[MAX_RACERS];
    long *delays[MAX_RACERS];
    int count = 0;
    int rounds = argc > 2 ? atoi(argv[1]) : 0;
    if (rounds < 1) {
        fprintf(stderr, "usage: latency ROUNDS PROGRAM [ARG...] [, PROGRAM [ARG...]]...\n");
        return 1;
    }
    for (int i = 2; i < argc && count < MAX_RACERS; i++) {
        racers[count] = argv + i;
        delays[count++] = calloc(rounds, sizeof(long));
        while (i < argc && strcmp(argv[i], ",") != 0)
            i++;
        argv[i] = NULL;
    }
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < count; i++)
            delays[i][round] = run(racers[i]);
    for (int i = 0; i < count; i++) {
        qsort(delays[i], rounds, sizeof(long), ascending);
        printf("%ld\n", delays[i][rounds / 2]);
    }
    return 0;
}
