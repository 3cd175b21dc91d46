/* How the load generator makes and sends what goes out: frames, and messages from a template. */
#include "load.h"

static uint64_t errors;
static char *templateAt[16];
static int templateKind[16], templateCount;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Everything sent is short; a socket that cannot take it is a fault of the run. */
static void writeAll(int fd, const void *data, size_t length) {
    size_t done = 0;
    while (done < length) {
        ssize_t n = send(fd, (const char *)data + done, length - done, MSG_NOSIGNAL);
        if (n > 0) done += n;
        else if (n < 0 && errno == EAGAIN) poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 1000);
        else if (n < 0 && errno != EINTR) { errors++; return; }
    }
}

/* A client's frame, masked with a key of zeros: the payload stays as it is. */
static size_t frame(unsigned char *to, int opcode, const void *data, size_t length) {
    size_t at = 0;
    to[at++] = 0x80 | opcode;
    if (length < 126) to[at++] = 0x80 | length;
    else { to[at++] = 0x80 | 126; to[at++] = length >> 8; to[at++] = length & 255; }
    memset(to + at, 0, 4);
    memcpy(to + at + 4, data, length);
    return at + 4 + length;
}

static void prepareTemplate(char *message) {
    for (char *at = message; (at = strchr(at, '@'));) {
        if (!strchr("TNR", at[1])) die("message: unknown placeholder");
        templateKind[templateCount] = at[1];
        templateAt[templateCount++] = at;
        at += at[1] == 'T' ? 16 : at[1] == 'N' ? 10 : 4;
    }
}

static void digits(char *to, int count, uint64_t value) {
    while (count--) { to[count] = '0' + value % 10; value /= 10; }
}

static void fillTemplate(uint64_t time, uint64_t number, int room) {
    for (int k = 0; k < templateCount; k++)
        if (templateKind[k] == 'T') digits(templateAt[k], 16, time);
        else if (templateKind[k] == 'N') digits(templateAt[k], 10, number);
        else digits(templateAt[k], 4, room);
}
