/*
 * Load generator of the fan-out benchmarks: many WebSocket clients and one publisher in one epoll loop.
 *
 * It knows no peer's protocol. What to send and what to wait for comes from the command line (see usage below); the messages carry a
 * 16-digit time (placeholder of @T and 14 more @) and a 10-digit number (@N and 8 more @), so that their length never changes.
 * It waits for all clients to have joined, measures for the given time, and prints one line of JSON.
 */
#define _GNU_SOURCE
#include "load.h"

static struct options o = {.host = "127.0.0.1", .clients = 1, .seconds = 5, .warmup = 1, .rooms = 1, .raw = 0};
static struct conn *conns, publisher;
static int epfd, joined;
static uint64_t t0, deliveries, errors, published, completed, nextNumber, pings;
static uint32_t *arrived; /* by message number, as a ring: how many clients have it */
static uint32_t histogram[HISTOGRAM];
static char *templateAt[16];
static int templateKind[16], templateCount, measuring;
static unsigned char big[1 << 20];

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

static void sendText(struct conn *c, const char *text) {
    unsigned char buffer[8192];
    if (o.raw) writeAll(c->fd, text, strlen(text));
    else writeAll(c->fd, buffer, frame(buffer, o.binary ? 2 : 1, text, strlen(text)));
}

/* A text of the command line, %d in it being the number of the client's room. */
static const char *fill(const struct conn *c, const char *text) {
    static char filled[4096];
    const char *mark = strstr(text, "%d");
    if (!mark) return text;
    snprintf(filled, sizeof filled, "%.*s%d%s", (int)(mark - text), text, o.roomBase + (c == &publisher ? 0 : c->index % o.rooms), mark + 2);
    return filled;
}

static void greet(struct conn *c) {
    const char **hello = c == &publisher ? o.publisherHello : o.hello;
    for (int i = 0; i < MAX_HELLO && hello[i]; i++) sendText(c, fill(c, hello[i]));
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
    const char *wait = c == &publisher ? o.publisherJoined : o.joined;
    greet(c);
    if (!wait) markJoined(c);
}

static void startConnect(struct conn *c, int index) {
    *c = (struct conn){.index = index, .state = CONNECTING, .stalled = c != &publisher && index >= o.clients - o.stalled};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) die("socket");
    int one = 1, small = 4096;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->stalled) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(o.port)};
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
    char request[2048];
    const char *path = fill(c, c == &publisher ? o.publisherPath : o.path);
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                     path, o.host, o.port);
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
    const char *wait = c == &publisher ? o.publisherJoined : o.joined;
    if (wait && memmem(payload, length, wait, strlen(wait))) markJoined(c);
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
    if (c == &publisher) return;
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

static void prepareTemplate(void) {
    for (char *at = o.message; (at = strchr(at, '@')); at += 10) {
        if (at[1] != 'T' && at[1] != 'N') die("message: unknown placeholder");
        templateKind[templateCount] = at[1];
        templateAt[templateCount++] = at;
        if (at[1] == 'T') at += 6;
    }
}

static void digits(char *to, int count, uint64_t value) {
    while (count--) { to[count] = '0' + value % 10; value /= 10; }
}

/* Sends `count` new messages in one write, so that they are in flight together. */
static void publish(int count) {
    static unsigned char buffer[1 << 20];
    size_t at = 0, length = strlen(o.message);
    for (int i = 0; i < count; i++) {
        uint64_t number = NUMBER_BASE + nextNumber++;
        for (int k = 0; k < templateCount; k++)
            if (templateKind[k] == 'T') digits(templateAt[k], 16, TIME_BASE + now() - t0);
            else digits(templateAt[k], 10, number);
        if (o.raw) { memcpy(buffer + at, o.message, length); at += length; }
        else at += frame(buffer + at, o.binary ? 2 : 1, o.message, length);
    }
    published += count;
    writeAll(publisher.fd, buffer, at);
}

static void joinAll(void) {
    int started = 0;
    uint64_t deadline = now() + 120000000000ull;
    startConnect(&publisher, -1);
    while (joined < o.clients + 1) {
        while (started < o.clients && started - joined < 100) { startConnect(&conns[started], started); started++; }
        turn(100);
        if (now() > deadline) { fprintf(stderr, "load: only %d of %d clients joined\n", joined, o.clients + 1); exit(1); }
    }
    for (uint64_t until = now() + (uint64_t)o.settleMs * 1000000u; now() < until;) turn(20);
}

/* Publishes for the given time, by rate or by window; nothing at all with neither. */
static void run(double seconds) {
    uint64_t start = now(), end = start + (uint64_t)(seconds * 1e9), sent = 0;
    while (now() < end) {
        if (o.window) {
            int room = o.window - (int)(published - completed);
            if (room > 0) publish(room);
            turn(10);
        } else if (o.rate > 0) {
            uint64_t due = start + (uint64_t)(sent * 1e9 / o.rate), at = now();
            if (at >= due) { publish(1); sent++; }
            else turn(due - at > 1000000 ? (due - at) / 1000000 : 0);
        } else turn(100);
    }
}

int main(int argc, char **argv) {
    readOptions(&o, argc, argv);
    struct rlimit files = {.rlim_cur = o.clients + 100, .rlim_max = o.clients + 100};
    struct rlimit have;
    getrlimit(RLIMIT_NOFILE, &have);
    if (have.rlim_cur < files.rlim_cur) {
        if (have.rlim_max > files.rlim_max) files.rlim_max = have.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) < 0) die("setrlimit");
    }
    epfd = epoll_create1(0);
    conns = calloc(o.clients, sizeof *conns);
    arrived = calloc(RING, sizeof *arrived);
    t0 = now();
    if (o.message) prepareTemplate();
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
           joined - 1, seconds, count, completed - done, cpu, own, errors, quantile(histogram, 0.5), quantile(histogram, 0.99),
           quantile(histogram, 1), rssBefore, rssJoined, serverRss(&o), serverPeak(&o));
    return 0;
}
