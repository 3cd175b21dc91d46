/* Types, options and measuring of the load generator. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RING (1 << 16)
#define HISTOGRAM (1 << 22) /* in microseconds */
#define TIME_BASE 1000000000000000ull
#define NUMBER_BASE 1000000000ull
#define MAX_HELLO 8
#define MAX_PIDS 16

enum state { CONNECTING, UPGRADING, GREETED, JOINED };

struct conn {
    int fd, index;
    enum state state;
    char stalled, closed;
    uint64_t received, streamBytes;
    unsigned char *kept; /* the beginning of a frame that has not come whole */
    size_t keptLength, keptSize;
};

struct options {
    const char *host, *path, *publisherPath, *joined, *publisherJoined, *ping, *pong, *timeMark;
    const char *hello[MAX_HELLO], *publisherHello[MAX_HELLO];
    char *message; /* what the publisher sends, with placeholders */
    int port, clients, window, stalled, rooms, roomBase, raw, binary, sampleMask, settleMs, pids[MAX_PIDS], pidCount;
    size_t minLength, unitBytes;
    double rate, seconds, warmup;
};

static void readOptions(struct options *o, int argc, char **argv) {
    static const struct option names[] = {
        {"port", 1, 0, 'p'}, {"clients", 1, 0, 'c'}, {"path", 1, 0, 'a'}, {"publisher-path", 1, 0, 'A'}, {"hello", 1, 0, 'h'},
        {"publisher-hello", 1, 0, 'H'}, {"joined", 1, 0, 'j'}, {"publisher-joined", 1, 0, 'J'}, {"ping", 1, 0, 'i'}, {"pong", 1, 0, 'o'},
        {"message", 1, 0, 'm'}, {"time-mark", 1, 0, 't'}, {"min-length", 1, 0, 'l'}, {"unit-bytes", 1, 0, 'u'}, {"rate", 1, 0, 'r'},
        {"window", 1, 0, 'w'}, {"seconds", 1, 0, 's'}, {"warmup", 1, 0, 'W'}, {"stalled", 1, 0, 'S'}, {"rooms", 1, 0, 'R'},
        {"raw", 0, 0, 'x'}, {"binary", 0, 0, 'b'}, {"pid", 1, 0, 'P'}, {"settle-ms", 1, 0, 'e'}, {"sample-mask", 1, 0, 'k'}, {"room-base", 1, 0, 'B'}, {0, 0, 0, 0}};
    int hello = 0, publisherHello = 0;
    o->timeMark = "\"t\":";
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) >= 0;) {
        switch (c) {
        case 'p': o->port = atoi(optarg); break;
        case 'c': o->clients = atoi(optarg); break;
        case 'a': o->path = o->publisherPath = optarg; break;
        case 'A': o->publisherPath = optarg; break;
        case 'h': if (hello < MAX_HELLO) o->hello[hello++] = optarg; break;
        case 'H': if (publisherHello < MAX_HELLO) o->publisherHello[publisherHello++] = optarg; break;
        case 'j': o->joined = optarg; break;
        case 'J': o->publisherJoined = optarg; break;
        case 'i': o->ping = optarg; break;
        case 'o': o->pong = optarg; break;
        case 'm': o->message = optarg; break;
        case 't': o->timeMark = optarg; break;
        case 'l': o->minLength = atoi(optarg); break;
        case 'u': o->unitBytes = atoi(optarg); break;
        case 'r': o->rate = atof(optarg); break;
        case 'w': o->window = atoi(optarg); break;
        case 's': o->seconds = atof(optarg); break;
        case 'W': o->warmup = atof(optarg); break;
        case 'S': o->stalled = atoi(optarg); break;
        case 'R': o->rooms = atoi(optarg); break;
        case 'x': o->raw = 1; break;
        case 'b': o->binary = 1; break;
        case 'P': if (o->pidCount < MAX_PIDS) o->pids[o->pidCount++] = atoi(optarg); break;
        case 'e': o->settleMs = atoi(optarg); break;
        case 'B': o->roomBase = atoi(optarg); break;
        case 'k': o->sampleMask = atoi(optarg); break;
        default: fprintf(stderr, "load: see readOptions in bench/native/load.h\n"); exit(2);
        }
    }
}

/* User and system time of all server processes, from /proc/<pid>/stat. */
static uint64_t serverCpuUs(const struct options *o) {
    uint64_t ticks = 0;
    for (int i = 0; i < o->pidCount; i++) {
        char path[64], line[2048];
        snprintf(path, sizeof path, "/proc/%d/stat", o->pids[i]);
        FILE *f = fopen(path, "r");
        if (!f) continue;
        size_t n = fread(line, 1, sizeof line - 1, f);
        fclose(f);
        line[n] = 0;
        unsigned long user = 0, system = 0;
        char *after = strrchr(line, ')');
        if (after && sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2) ticks += user + system;
    }
    return ticks * 1000000u / sysconf(_SC_CLK_TCK);
}

static long statusKiB(const struct options *o, const char *name) {
    long sum = 0;
    for (int i = 0; i < o->pidCount; i++) {
        char path[64], line[256];
        snprintf(path, sizeof path, "/proc/%d/status", o->pids[i]);
        FILE *f = fopen(path, "r");
        if (!f) continue;
        while (fgets(line, sizeof line, f))
            if (!strncmp(line, name, strlen(name))) sum += atol(line + strlen(name));
        fclose(f);
    }
    return sum;
}

static long serverRss(const struct options *o) { return statusKiB(o, "VmRSS:"); }
static long serverPeak(const struct options *o) { return statusKiB(o, "VmHWM:"); }

static uint64_t ownCpuUs(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000u + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

/* In microseconds; -1 without any sample. */
static long quantile(const uint32_t *histogram, double q) {
    uint64_t total = 0, sum = 0;
    long last = -1;
    for (long i = 0; i < HISTOGRAM; i++) total += histogram[i];
    for (long i = 0; i < HISTOGRAM; i++) {
        if (!histogram[i]) continue;
        last = i;
        sum += histogram[i];
        if (sum >= q * total) return i;
    }
    return last;
}
