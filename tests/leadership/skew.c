/* Loaded before the C library: the wall clock is off by SKEW_SECONDS, the other clocks are not. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    const char *skew = getenv("SKEW_SECONDS");
    if (failed == 0 && clock == CLOCK_REALTIME && skew != NULL) {
        now->tv_sec += atol(skew);
    }
    return failed;
}
