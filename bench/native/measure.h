/* What the load generator reads of the server processes and of itself. */
#include "load.h"

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
