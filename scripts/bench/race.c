/* race ROUNDS PROGRAM [ARG...] [, PROGRAM [ARG...]]...
 *
 * Runs the programs in turn, ROUNDS times each, with /dev/null as input and output, and prints one line for each:
 * median nanoseconds from start to end, peak memory in KiB, median nanoseconds of processor time, that of their own children
 * too. In turn, so that a noisy moment hits all of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define MAX_RACERS 8

extern char **environ;

struct racer {
    char **argv;
    long *times;
    long *processor_times;
    long peak;
};

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

static long nanoseconds(struct timeval t)
{
    return t.tv_sec * 1000000000L + t.tv_usec * 1000L;
}

static void run(struct racer *racer, posix_spawn_file_actions_t *actions, int round)
{
    struct rusage usage;
    pid_t pid;
    int status;
    long start = now();
    int error = posix_spawn(&pid, racer->argv[0], actions, NULL, racer->argv, environ);
    if (error != 0) {
        fprintf(stderr, "race: cannot run %s: %s\n", racer->argv[0], strerror(error));
        exit(1);
    }
    while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    long time = now() - start;
    if (status != 0) {
        fprintf(stderr, "race: %s ended with wait status %d\n", racer->argv[0], status);
        exit(1);
    }
#ifdef __APPLE__
    usage.ru_maxrss /= 1024;
#endif
    if (usage.ru_maxrss > racer->peak)
        racer->peak = usage.ru_maxrss;
    racer->times[round] = time;
    racer->processor_times[round] = nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
}

static int ascending(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct racer racers[MAX_RACERS];
    int count = 0;
    int rounds = argc > 2 ? atoi(argv[1]) : 0;
    if (rounds < 1) {
        fprintf(stderr, "usage: race ROUNDS PROGRAM [ARG...] [, PROGRAM [ARG...]]...\n");
        return 1;
    }
    for (int i = 2; i < argc && count < MAX_RACERS; i++) {
        racers[count].argv = argv + i;
        racers[count].times = calloc(rounds, sizeof(long));
        racers[count].processor_times = calloc(rounds, sizeof(long));
        racers[count].peak = 0;
        count++;
        while (i < argc && strcmp(argv[i], ",") != 0)
            i++;
        argv[i] = NULL;
    }

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);

    for (int i = 0; i < count; i++)
        for (int warm_up = 0; warm_up < 5; warm_up++)
            run(&racers[i], &actions, 0);
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < count; i++) {
            /* Each in each place: who goes first after whom must not matter. */
            run(&racers[(i + round) % count], &actions, round);
        }

    for (int i = 0; i < count; i++) {
        qsort(racers[i].times, rounds, sizeof(long), ascending);
        qsort(racers[i].processor_times, rounds, sizeof(long), ascending);
        printf("%ld %ld %ld\n", racers[i].times[rounds / 2], racers[i].peak, racers[i].processor_times[rounds / 2]);
    }
    return 0;
}
