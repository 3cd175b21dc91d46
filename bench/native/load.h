/* Types and options of the load generator. */
#pragma once
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
#define ASKED_AT_ONCE 50 /* rooms; as clients do that wait for answers */

enum state { CONNECTING, UPGRADING, GREETED, JOINED };

struct conn {
    int fd, index;
    enum state state;
    char publishes, watches, stalled, closed;
    int marks, asked; /* of `joined`, seen so far; rooms asked for by a watcher */
    uint64_t sent, received, streamBytes;
    unsigned char *kept; /* the beginning of a frame that has not come whole */
    size_t keptLength, keptSize;
};

struct options {
    const char *host, *path, *publisherPath, *watchPath, *joined, *publisherJoined, *ping, *pong, *timeMark;
    const char *watchHello, *watchEach, *watchEnd; /* what a watcher of many rooms says: once, per room, once */
    const char *hello[MAX_HELLO], *publisherHello[MAX_HELLO];
    char *message; /* what the publisher sends, with placeholders */
    int port, otherPort; /* rooms with even numbers are published at the first and read at the other, the rest the other way round */
    int publishers, watchers, watchParts, watchJoins;
    int clients, window, stalled, rooms, roomBase, raw, binary, sampleMask, settleMs, pids[MAX_PIDS], pidCount;
    size_t minLength, unitBytes;
    double rate, seconds, warmup;
};

static void readOptions(struct options *o, int argc, char **argv) {
    static const struct option names[] = {
        {"port", 1, 0, 'p'}, {"clients", 1, 0, 'c'}, {"path", 1, 0, 'a'}, {"publisher-path", 1, 0, 'A'}, {"hello", 1, 0, 'h'},
        {"publisher-hello", 1, 0, 'H'}, {"joined", 1, 0, 'j'}, {"publisher-joined", 1, 0, 'J'}, {"ping", 1, 0, 'i'}, {"pong", 1, 0, 'o'},
        {"message", 1, 0, 'm'}, {"time-mark", 1, 0, 't'}, {"min-length", 1, 0, 'l'}, {"unit-bytes", 1, 0, 'u'}, {"rate", 1, 0, 'r'},
        {"window", 1, 0, 'w'}, {"seconds", 1, 0, 's'}, {"warmup", 1, 0, 'W'}, {"stalled", 1, 0, 'S'}, {"rooms", 1, 0, 'R'},
        {"raw", 0, 0, 'x'}, {"binary", 0, 0, 'b'}, {"pid", 1, 0, 'P'}, {"settle-ms", 1, 0, 'e'}, {"sample-mask", 1, 0, 'k'}, {"room-base", 1, 0, 'B'},
        {"other-port", 1, 0, 'q'}, {"publishers", 1, 0, 'n'}, {"watchers", 1, 0, '1'}, {"watch-parts", 1, 0, '2'}, {"watch-joins", 1, 0, '3'},
        {"watch-path", 1, 0, '4'}, {"watch-hello", 1, 0, '5'}, {"watch-each", 1, 0, '6'}, {"watch-end", 1, 0, '7'}, {0, 0, 0, 0}};
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
        case 'q': o->otherPort = atoi(optarg); break;
        case 'n': o->publishers = atoi(optarg); break;
        case '1': o->watchers = atoi(optarg); break;
        case '2': o->watchParts = atoi(optarg); break;
        case '3': o->watchJoins = atoi(optarg); break;
        case '4': o->watchPath = optarg; break;
        case '5': o->watchHello = optarg; break;
        case '6': o->watchEach = optarg; break;
        case '7': o->watchEnd = optarg; break;
        case 'k': o->sampleMask = atoi(optarg); break;
        default: fprintf(stderr, "load: see readOptions in bench/native/load.h\n"); exit(2);
        }
    }
}
