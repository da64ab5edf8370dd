/* Stands in for the real Claude Code and does what a test has written down for it, a line each. In C, because it must do
   nothing else: not with signals, not with its streams.

   Everything lies in the folder that the program is in. Its Nth run does what `play.N` says, or else `play`, and keeps
   its pid, its parent's and its arguments in `run.N`. What the lines mean:

     say TEXT        TEXT and a newline on stdout        half TEXT       the same without the newline
     fill COUNT      COUNT times `x` on stdout           err TEXT        TEXT and a newline on stderr
     read            stdin to its end, to `stdin.N`      line            a line of stdin, to `stdin.N`
     wait NAME       until the file NAME is there        make NAME       makes that file
     sleep MS        that long                           close           closes stdout
     trap NAME CODE  notes the signal in `signals`, and exits with CODE unless that is `-`
     ignore NAME     does nothing on that signal         die NAME        ends by that signal
     hold NAME       a child of it keeps stdout open until the file NAME is there
     env NAME        the variable's value, to `env.N`    sh COMMAND      a shell, with `$0` for the folder
     exit CODE       ends */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[PATH_MAX];
static int number;
static int codes[NSIG];

static const char *path(const char *name) {
    static char whole[PATH_MAX * 2];
    snprintf(whole, sizeof whole, "%s/%s", folder, name);
    return whole;
}

static const char *numbered(const char *name) {
    static char whole[64];
    snprintf(whole, sizeof whole, "%s.%d", name, number);
    return path(whole);
}

static void put(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return;
        bytes += written, length -= written;
    }
}

static const struct { const char *name; int number; } signals[] = {
    {"HUP", SIGHUP}, {"INT", SIGINT}, {"QUIT", SIGQUIT}, {"ABRT", SIGABRT}, {"KILL", SIGKILL}, {"USR1", SIGUSR1},
    {"SEGV", SIGSEGV}, {"USR2", SIGUSR2}, {"PIPE", SIGPIPE}, {"ALRM", SIGALRM}, {"TERM", SIGTERM}};
enum { SIGNALS = sizeof signals / sizeof signals[0] };

static int signal_of(const char *name) {
    for (int i = 0; i < SIGNALS; i++)
        if (strcmp(signals[i].name, name) == 0) return signals[i].number;
    fprintf(stderr, "no signal %s\n", name);
    exit(98);
}

static void note(int caught) {
    int saved = errno, fd = open(path("signals"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    for (int i = 0; i < SIGNALS; i++)
        if (signals[i].number == caught) {
            char line[16];
            int length = snprintf(line, sizeof line, "%s\n", signals[i].name);
            put(fd, line, length);
        }
    close(fd);
    if (codes[caught] >= 0) _exit(codes[caught]);
    errno = saved;
}

static void pause_ms(int ms) {
    for (int slept = 0; slept < ms; slept += 5) usleep(5000);
}

static void take_stdin(int whole) {
    static char buffer[65536];
    int fd = open(numbered("stdin"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    for (;;) {
        ssize_t length = read(0, buffer, whole ? sizeof buffer : 1);
        if (length < 0 && errno == EINTR) continue;
        if (length <= 0) break;
        put(fd, buffer, length);
        if (!whole && buffer[0] == '\n') break;
    }
    close(fd);
}

static void fill(long left) {
    static char some[65536];
    memset(some, 'x', sizeof some);
    for (; left > 0; left -= sizeof some) put(1, some, left < (long)sizeof some ? left : (long)sizeof some);
}

static void act(char *line) {
    char *rest = strchr(line, ' ');
    if (rest) *rest++ = 0;
    else rest = line + strlen(line);
    if (!strcmp(line, "say")) rest[strlen(rest)] = '\n', put(1, rest, strcspn(rest, "\n") + 1);
    else if (!strcmp(line, "half")) put(1, rest, strlen(rest));
    else if (!strcmp(line, "err")) fprintf(stderr, "%s\n", rest);
    else if (!strcmp(line, "fill")) fill(atol(rest));
    else if (!strcmp(line, "read")) take_stdin(1);
    else if (!strcmp(line, "line")) take_stdin(0);
    else if (!strcmp(line, "wait")) while (access(path(rest), F_OK) != 0) pause_ms(5);
    else if (!strcmp(line, "make")) close(open(path(rest), O_WRONLY | O_CREAT, 0600));
    else if (!strcmp(line, "sleep")) pause_ms(atoi(rest));
    else if (!strcmp(line, "close")) close(1);
    else if (!strcmp(line, "ignore")) signal(signal_of(rest), SIG_IGN);
    else if (!strcmp(line, "exit")) exit(atoi(rest));
    else if (!strcmp(line, "trap")) {
        char *code = strchr(rest, ' ');
        *code++ = 0;
        codes[signal_of(rest)] = *code == '-' ? -1 : atoi(code);
        signal(signal_of(rest), note);
    } else if (!strcmp(line, "die")) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(signal_of(rest), SIG_DFL);
        kill(getpid(), signal_of(rest));
        pause();
    } else if (!strcmp(line, "hold")) {
        if (fork() == 0) {
            close(0), close(2);
            while (access(path(rest), F_OK) != 0) pause_ms(5);
            _exit(0);
        }
    } else if (!strcmp(line, "env")) {
        FILE *file = fopen(numbered("env"), "a");
        fprintf(file, "%s=%s\n", rest, getenv(rest) ? getenv(rest) : "");
        fclose(file);
    } else if (!strcmp(line, "sh")) {
        pid_t pid = fork();
        if (pid == 0) execl("/bin/sh", "sh", "-c", rest, folder, (char *)NULL), _exit(97);
        waitpid(pid, NULL, 0);
    } else {
        fprintf(stderr, "no such act: %s\n", line);
        exit(98);
    }
}

int main(int argc, char **argv) {
    snprintf(folder, sizeof folder, "%s", argv[0]);
    char *slash = strrchr(folder, '/');
    if (slash) *slash = 0;
    if (argc == 2 && !strcmp(argv[1], "--version")) return puts("2.1.330 (Claude Code)"), 0;
    int run;
    do number++, run = open(numbered("run"), O_WRONLY | O_CREAT | O_EXCL, 0600);
    while (run < 0 && errno == EEXIST);
    FILE *record = fdopen(run, "w");
    fprintf(record, "%d %d", (int)getpid(), (int)getppid());
    for (int i = 1; i < argc; i++) fprintf(record, "%c%s", 0, argv[i]);
    fprintf(record, "%c\n", 0);
    fclose(record);
    if (argc < 4 || strcmp(argv[1], "--output-format") || strcmp(argv[2], "stream-json") || strcmp(argv[3], "--verbose"))
        return fprintf(stderr, "not asked for its stream\n"), 99;
    FILE *play = fopen(numbered("play"), "r");
    if (!play && !(play = fopen(path("play"), "r"))) return fprintf(stderr, "nothing to play\n"), 98;
    fcntl(fileno(play), F_SETFD, FD_CLOEXEC);
    char *line = NULL;
    size_t room = 0;
    for (ssize_t length; (length = getline(&line, &room, play)) > 0;) {
        if (line[length - 1] == '\n') line[length - 1] = 0;
        if (*line) act(line);
    }
    return 0;
}
