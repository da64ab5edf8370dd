/* Stands in for the real Claude Code and prints all that a process is given, then its stdin. In C, because other
   languages' start-up code changes what is to be seen: signals, closed streams, the order of the environment. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

extern char **environ;

static void bytes(const char *label, const char *text) {
    printf("%s ", label);
    for (; *text; text++) {
        if (*text > ' ' && *text < 127 && *text != '\\') putchar(*text);
        else printf("\\%02x", (unsigned char)*text);
    }
    putchar('\n');
}

int main(int argc, char **argv) {
    char cwd[4096];
    struct winsize size;
    sigset_t mask;
    int tty = open("/dev/tty", O_RDWR);
    printf("tty %d %d %d %s\n", isatty(0), isatty(1), isatty(2), tty < 0 ? "none" : "controlling");
    if (tty >= 0) close(tty);
    if (ioctl(0, TIOCGWINSZ, &size) == 0) printf("size %d %d\n", size.ws_row, size.ws_col);
    for (int fd = 0; fd < 10; fd++)
        if (fcntl(fd, F_GETFD) >= 0) printf("fd %d\n", fd);
    sigprocmask(SIG_BLOCK, NULL, &mask);
    for (int number = 1; number < 32; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) != 0) continue;
        if (action.sa_handler != SIG_DFL) printf("signal %d ignored\n", number);
        if (sigismember(&mask, number)) printf("signal %d blocked\n", number);
    }
    printf("group %s session %s\n", getpgrp() == getpid() ? "own" : "other", getsid(0) == getpid() ? "own" : "other");
    bytes("cwd", getcwd(cwd, sizeof cwd) ? cwd : strerror(errno));
    for (int i = 0; i < argc; i++) bytes("arg", argv[i]);
    for (char **entry = environ; *entry; entry++) bytes("env", *entry);
    fflush(stdout);
    char buffer[65536];
    for (ssize_t length; (length = read(0, buffer, sizeof buffer)) > 0;)
        if (write(1, buffer, length) != length) return 3;
    fprintf(stderr, "pid %d\n", (int)getpid());
    return 0;
}
