/* Makes the terminal on stdin the controlling one and becomes the program: what no safe Rust can do in a child. */
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 2 || setsid() < 0 || ioctl(0, TIOCSCTTY, 0) < 0) return perror("terminal"), 125;
    execv(argv[1], argv + 1);
    return perror(argv[1]), 125;
}
