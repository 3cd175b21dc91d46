/*
 * The kernel floor: what any server pays at least for handing one message to many sockets. It reads messages of a fixed size from
 * one publisher and sends each as a ready WebSocket frame to every subscriber: one send() per message and client, or, with
 * "coalesce", one send() per client for all messages that one read brought. No upgrade, no parsing, no rooms.
 * usage: floor <port> <message bytes> [coalesce]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 65536

static int subscribers[MOST], count, isPublisher[MOST];
static unsigned char input[1 << 20], output[1 << 21];

static void sendAll(const unsigned char *data, size_t length) {
    for (int i = 0; i < count; i++)
        if (send(subscribers[i], data, length, MSG_NOSIGNAL) != (ssize_t)length) {
            fprintf(stderr, "floor: a client cannot take %zu bytes at once: %s\n", length, strerror(errno));
            exit(1);
        }
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    size_t size = atoi(argv[2]), kept = 0;
    int coalesce = argc > 3, one = 1;
    struct rlimit files = {MOST, MOST};
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 4096) < 0) { perror("floor"); return 1; }
    int epfd = epoll_create1(0);
    epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(epfd, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (fd < 0 || fd >= MOST) continue;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
                continue;
            }
            ssize_t got = isPublisher[fd] ? recv(fd, input + kept, sizeof input - kept, 0) : recv(fd, output, 1, 0);
            if (got <= 0) {
                if (got < 0 && errno == EAGAIN) continue;
                if (isPublisher[fd]) return 0; /* the run is over */
                epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
                close(fd);
                for (int k = 0; k < count; k++) if (subscribers[k] == fd) subscribers[k--] = subscribers[--count];
                continue;
            }
            if (!isPublisher[fd]) {
                if (output[0] == 'S') subscribers[count++] = fd;
                else isPublisher[fd] = 1;
                send(fd, "\x81\x02ok", 4, MSG_NOSIGNAL);
                continue;
            }
            size_t length = kept + got, used = 0, filled = 0;
            for (; length - used >= size; used += size) {
                output[filled++] = 0x81;
                output[filled++] = 126;
                output[filled++] = size >> 8;
                output[filled++] = size & 255;
                memcpy(output + filled, input + used, size);
                filled += size;
                if (!coalesce) { sendAll(output, filled); filled = 0; }
            }
            if (filled) sendAll(output, filled);
            kept = length - used;
            memmove(input, input + used, kept);
        }
    }
}
