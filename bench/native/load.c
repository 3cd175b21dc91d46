/*
 * Load generator of the fan-out benchmarks: many WebSocket clients and their publishers in one epoll loop.
 *
 * It knows no peer's protocol. What to send and what to wait for comes from the command line (see load.h); the messages carry a 16-digit
 * time (placeholder of @T and 14 more @), a 10-digit number that each publisher counts for itself (@N and 8 more @) and the 4-digit
 * number of the publisher's room (@R@@), so that their length never changes. Elsewhere %d stands for the room's number.
 * It waits for all clients to have joined, measures for the given time, and prints one line of JSON.
 */
#define _GNU_SOURCE
#include "measure.h"
#include "messages.h"

static struct options o = {.host = "127.0.0.1", .clients = 1, .seconds = 5, .warmup = 1, .rooms = 1, .publishers = 1, .watchParts = 1, .watchJoins = 1};
static struct conn *conns, *publishers;
static int epfd, joined;
static uint64_t t0, deliveries, published, completed, pings;
static uint32_t *arrived; /* by message number, as a ring: how many clients have it */
static uint32_t histogram[HISTOGRAM];
static int measuring;
static unsigned char big[1 << 20];

static void sendText(struct conn *c, const char *text) {
    unsigned char buffer[8192];
    if (o.raw) writeAll(c->fd, text, strlen(text));
    else writeAll(c->fd, buffer, frame(buffer, o.binary ? 2 : 1, text, strlen(text)));
}

/* A text of the command line with the number of a room for each %d. */
static const char *fill(int room, const char *text) {
    static char filled[4096];
    size_t at = 0;
    for (const char *mark; (mark = strstr(text, "%d")) && at < sizeof filled - 1; text = mark + 2)
        at += snprintf(filled + at, sizeof filled - at, "%.*s%d", (int)(mark - text), text, o.roomBase + room);
    snprintf(filled + at, sizeof filled - at, "%s", text);
    return filled;
}

static int roomOf(const struct conn *c) { return c->index % o.rooms; }

/* A watcher reads every room, or its part of them where one connection cannot have them all. */
static int firstRoom(const struct conn *c) { return c->index % o.watchParts * (o.rooms / o.watchParts); }

static void askForRooms(struct conn *c) {
    int all = o.watchEach ? o.rooms / o.watchParts : 0, most = o.watchJoins > 1 ? c->marks + ASKED_AT_ONCE : all;
    for (; c->asked < all && c->asked < most; c->asked++) sendText(c, fill(firstRoom(c) + c->asked, o.watchEach));
}

static void greet(struct conn *c) {
    if (c->watches && o.watchHello) {
        sendText(c, fill(firstRoom(c), o.watchHello));
        askForRooms(c);
        if (o.watchEnd) sendText(c, o.watchEnd);
        return;
    }
    const char **hello = c->publishes ? o.publisherHello : o.hello;
    for (int i = 0; i < MAX_HELLO && hello[i]; i++) sendText(c, fill(roomOf(c), hello[i]));
}

static void markJoined(struct conn *c) {
    if (c->state == JOINED) return;
    c->state = JOINED;
    c->streamBytes = 0;
    joined++;
    if (c->stalled) epoll_ctl(epfd, EPOLL_CTL_DEL, c->fd, NULL);
}

static void opened(struct conn *c) {
    c->state = GREETED;
    greet(c);
    if (!(c->publishes ? o.publisherJoined : o.joined)) markJoined(c);
}

/* Which of the two servers: a room is published at one and read at the other. */
static int portOf(const struct conn *c) {
    return o.otherPort && (roomOf(c) + !c->publishes) % 2 ? o.otherPort : o.port;
}

static void startConnect(struct conn *c, int index, int publishes) {
    *c = (struct conn){.index = index, .state = CONNECTING, .publishes = publishes};
    c->stalled = !publishes && index >= o.clients - o.stalled;
    c->watches = !publishes && index >= o.clients - o.watchers;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) die("socket");
    int one = 1, small = 4096;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->stalled) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(portOf(c))};
    from.sin_addr.s_addr = htonl(0x7f000001u + index / 20000); /* one source address has about 28,000 ports */
    setsockopt(c->fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof one);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0) die("bind");
    inet_pton(AF_INET, o.host, &to.sin_addr);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) die("connect");
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &e) < 0) die("epoll_ctl");
}

static void connected(struct conn *c) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &e);
    if (o.raw) { opened(c); return; }
    static char request[8192], path[7168];
    size_t at = snprintf(path, sizeof path, "%s", fill(roomOf(c), c->publishes ? o.publisherPath : o.path));
    if (c->watches && o.watchPath) {
        at = snprintf(path, sizeof path, "%s", o.watchPath);
        for (int i = 0; i < o.rooms / o.watchParts; i++) at += snprintf(path + at, sizeof path - at, "%sroom%d", i ? "," : "", o.roomBase + firstRoom(c) + i);
    }
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                     path, o.host, portOf(c));
    c->state = UPGRADING;
    writeAll(c->fd, request, n);
}

/* `count` deliveries reached this client; messages complete once every reading client has them. */
static void delivered(struct conn *c, unsigned count) {
    unsigned readers = o.clients - o.stalled;
    deliveries += count;
    while (count--) {
        uint32_t *slot = &arrived[c->received++ & (RING - 1)];
        if (++*slot == readers) { *slot = 0; completed++; }
    }
}

static void sampleLatency(const unsigned char *payload, size_t length) {
    const unsigned char *at = memmem(payload, length, o.timeMark, strlen(o.timeMark));
    if (!at || at + strlen(o.timeMark) + 16 > payload + length) return;
    uint64_t then = strtoull((const char *)at + strlen(o.timeMark), NULL, 10) - TIME_BASE;
    uint64_t us = (now() - t0 - then) / 1000;
    histogram[us < HISTOGRAM ? us : HISTOGRAM - 1]++;
}

static void joinedBy(struct conn *c, const unsigned char *payload, size_t length) {
    const char *wait = c->publishes ? o.publisherJoined : o.joined;
    const unsigned char *end = payload + length, *at = payload;
    while (wait && (at = memmem(at, end - at, wait, strlen(wait)))) { c->marks++; at++; }
    if (c->watches) askForRooms(c);
    if (c->marks >= (c->watches ? o.watchJoins : 1)) markJoined(c);
}

static void gotFrame(struct conn *c, int opcode, const unsigned char *payload, size_t length) {
    if (opcode == 8) { errors++; c->closed = 1; return; }
    if (opcode == 9) {
        unsigned char buffer[256];
        writeAll(c->fd, buffer, frame(buffer, 10, payload, length < 125 ? length : 125));
        return;
    }
    if (o.ping && length == strlen(o.ping) && !memcmp(payload, o.ping, length)) { pings++; sendText(c, o.pong); return; }
    if (c->state != JOINED) { joinedBy(c, payload, length); return; }
    if (c->publishes) return;
    int sampling = measuring && (c->index & o.sampleMask) == 0;
    if (o.unitBytes) { /* a stream of messages of one size, in frames cut anywhere */
        uint64_t before = c->streamBytes / o.unitBytes;
        c->streamBytes += length;
        delivered(c, c->streamBytes / o.unitBytes - before);
        if (sampling) sampleLatency(payload, length);
        return;
    }
    if (length < o.minLength) return; /* pings, joins and other small talk */
    unsigned count = 1;
    if (length > 2 * o.minLength) /* several messages in one frame, one per line */
        for (const unsigned char *at = payload; (at = memchr(at, '\n', payload + length - at)); at++) count++;
    delivered(c, count);
    if (sampling) sampleLatency(payload, length);
}

/* Takes whole frames off `data`; returns how many bytes were used. */
static size_t parse(struct conn *c, const unsigned char *data, size_t length) {
    size_t at = 0;
    while (length - at >= 2) {
        uint64_t size = data[at + 1] & 127;
        size_t head = 2;
        if (size == 126) { head = 4; if (length - at < 4) break; size = data[at + 2] << 8 | data[at + 3]; }
        else if (size == 127) {
            head = 10;
            if (length - at < 10) break;
            size = 0;
            for (int i = 2; i < 10; i++) size = size << 8 | data[at + i];
        }
        if (length - at < head + size) break;
        gotFrame(c, data[at] & 15, data + at + head, size);
        at += head + size;
    }
    return at;
}

static size_t parseUpgrade(struct conn *c, const unsigned char *data, size_t length) {
    const unsigned char *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end) return 0;
    if (memcmp(data, "HTTP/1.1 101", 12)) { fprintf(stderr, "load: refused: %.*s\n", (int)(length < 200 ? length : 200), data); exit(1); }
    opened(c);
    return end + 4 - data;
}

static void readable(struct conn *c) {
    size_t kept = c->keptLength;
    memcpy(big, c->kept, kept);
    ssize_t n = recv(c->fd, big + kept, sizeof big - kept, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        if (!c->closed) errors++;
        epoll_ctl(epfd, EPOLL_CTL_DEL, c->fd, NULL);
        return;
    }
    size_t length = kept + n, used = 0;
    if (c->state == UPGRADING) used = parseUpgrade(c, big, length);
    if (c->state != UPGRADING) used += parse(c, big + used, length - used);
    c->keptLength = length - used;
    if (c->keptLength > c->keptSize) c->kept = realloc(c->kept, c->keptSize = c->keptLength);
    memcpy(c->kept, big + used, c->keptLength);
}

static void turn(int timeoutMs) {
    struct epoll_event events[512];
    int n = epoll_wait(epfd, events, 512, timeoutMs);
    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        if (c->state == CONNECTING) {
            int error = 0;
            socklen_t size = sizeof error;
            getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
            if (error) { errno = error; die("connect"); }
            connected(c);
        } else readable(c);
    }
}

/* Sends `count` new messages of one publisher in one write, so that they are in flight together. */
static void publish(struct conn *c, int count) {
    static unsigned char buffer[1 << 20];
    size_t at = 0, length = strlen(o.message);
    for (int i = 0; i < count; i++) {
        uint64_t number = NUMBER_BASE + c->sent++;
        fillTemplate(TIME_BASE + now() - t0, number, o.roomBase + roomOf(c));
        if (o.raw) { memcpy(buffer + at, o.message, length); at += length; }
        else at += frame(buffer + at, o.binary ? 2 : 1, o.message, length);
    }
    published += count;
    writeAll(c->fd, buffer, at);
}

static void joinAll(void) {
    int started = 0, all = o.publishers + o.clients;
    uint64_t deadline = now() + 120000000000ull;
    while (joined < all) {
        for (int index; (index = started - o.publishers) < o.clients && started - joined < 100; started++)
            startConnect(index < 0 ? &publishers[started] : &conns[index], index < 0 ? started : index, index < 0);
        turn(100);
        if (now() > deadline) { fprintf(stderr, "load: only %d of %d clients joined\n", joined, all); exit(1); }
    }
    for (uint64_t until = now() + (uint64_t)o.settleMs * 1000000u; now() < until;) turn(20);
}

/* Publishes for the given time, by rate or by window; nothing at all with neither. */
static void run(double seconds) {
    uint64_t start = now(), end = start + (uint64_t)(seconds * 1e9), sent = 0;
    while (now() < end) {
        if (o.window) {
            int room = o.window - (int)(published - completed);
            if (room > 0) publish(publishers, room);
            turn(10);
        } else if (o.rate > 0) {
            uint64_t due = start + (uint64_t)(sent * 1e9 / o.rate), at = now();
            if (at >= due) publish(&publishers[sent++ % o.publishers], 1);
            else turn(due - at > 1000000 ? (due - at) / 1000000 : 0);
        } else turn(100);
    }
}

int main(int argc, char **argv) {
    readOptions(&o, argc, argv);
    struct rlimit have, files = {.rlim_cur = o.clients + o.publishers + 100, .rlim_max = o.clients + o.publishers + 100};
    getrlimit(RLIMIT_NOFILE, &have);
    if (have.rlim_cur < files.rlim_cur) {
        if (have.rlim_max > files.rlim_max) files.rlim_max = have.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) < 0) die("setrlimit");
    }
    epfd = epoll_create1(0);
    conns = calloc(o.clients, sizeof *conns);
    publishers = calloc(o.publishers, sizeof *publishers);
    arrived = calloc(RING, sizeof *arrived);
    t0 = now();
    if (o.message) prepareTemplate(o.message);
    long rssBefore = serverRss(&o);
    joinAll();
    long rssJoined = serverRss(&o);
    run(o.warmup);
    uint64_t cpu = serverCpuUs(&o), own = ownCpuUs(), count = deliveries, start = now(), done = completed;
    measuring = 1;
    run(o.seconds);
    double seconds = (now() - start) / 1e9;
    cpu = serverCpuUs(&o) - cpu;
    own = ownCpuUs() - own;
    count = deliveries - count;
    printf("{\"joined\":%d,\"seconds\":%.4f,\"deliveries\":%lu,\"completed\":%lu,\"serverCpuUs\":%lu,\"loadCpuUs\":%lu,\"errors\":%lu,"
           "\"p50Us\":%ld,\"p99Us\":%ld,\"maxUs\":%ld,\"rssBeforeKiB\":%ld,\"rssJoinedKiB\":%ld,\"rssAfterKiB\":%ld,\"rssPeakKiB\":%ld}\n",
           joined - o.publishers, seconds, count, completed - done, cpu, own, errors, quantile(histogram, 0.5), quantile(histogram, 0.99),
           quantile(histogram, 1), rssBefore, rssJoined, serverRss(&o), serverPeak(&o));
    return 0;
}
