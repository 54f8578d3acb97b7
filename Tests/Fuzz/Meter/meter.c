// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "fuzz_meter.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t in_use, highest, calls, limit;
static int64_t base, base_calls;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifndef SANITIZED
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static void *took(void *block) {
    if (block == NULL) { return NULL; }
    int64_t size = (int64_t)malloc_usable_size(block);
    int64_t now = atomic_fetch_add_explicit(&in_use, size, memory_order_relaxed) + size;
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    int64_t seen = atomic_load_explicit(&highest, memory_order_relaxed);
    while (now > seen && !atomic_compare_exchange_weak_explicit(&highest, &seen, now, memory_order_relaxed,
                                                                memory_order_relaxed)) {}
    int64_t most = atomic_load_explicit(&limit, memory_order_relaxed);
    if (most > 0 && now > most) {
        static const char text[] = "fuzz: the memory limit is reached\n";
        ssize_t ignored = write(2, text, sizeof text - 1);
        (void)ignored;
        abort();
    }
    return block;
}

static void gave(void *block) {
    if (block != NULL) {
        atomic_fetch_sub_explicit(&in_use, (int64_t)malloc_usable_size(block), memory_order_relaxed);
    }
}

void *malloc(size_t size) { return took(__libc_malloc(size)); }
void *calloc(size_t count, size_t size) { return took(__libc_calloc(count, size)); }
void *memalign(size_t alignment, size_t size) { return took(__libc_memalign(alignment, size)); }
void *aligned_alloc(size_t alignment, size_t size) { return took(__libc_memalign(alignment, size)); }
void free(void *block) {
    gave(block);
    __libc_free(block);
}

void *realloc(void *block, size_t size) {
    int64_t before = block == NULL ? 0 : (int64_t)malloc_usable_size(block);
    void *moved = __libc_realloc(block, size);
    if (moved != NULL || size == 0) {
        atomic_fetch_sub_explicit(&in_use, before, memory_order_relaxed);
        took(moved);
    }
    return moved;
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    void *block = __libc_memalign(alignment, size);
    if (block == NULL) { return ENOMEM; }
    *result = took(block);
    return 0;
}

int fuzz_meter_works(void) { return 1; }
#else
int fuzz_meter_works(void) { return 0; }
#endif

void fuzz_meter_begin(void) {
    base = atomic_load(&in_use);
    base_calls = atomic_load(&calls);
    atomic_store(&highest, base);
}

int64_t fuzz_meter_peak(void) { return atomic_load(&highest) - base; }
int64_t fuzz_meter_calls(void) { return atomic_load(&calls) - base_calls; }
void fuzz_meter_limit(int64_t bytes) { atomic_store(&limit, bytes); }

int64_t fuzz_cpu_nanoseconds(void) {
    struct timespec time;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) != 0) { return 0; }
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

volatile int64_t *fuzz_shared_number(const char *path) {
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) { return NULL; }
    void *map = MAP_FAILED;
    if (ftruncate(file, sizeof(int64_t)) == 0) {
        map = mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    close(file);
    return map == MAP_FAILED ? NULL : (volatile int64_t *)map;
}

void fuzz_watch(unsigned processor, unsigned clock) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    struct itimerval time = {{0, 0}, {processor, 0}};
    setitimer(ITIMER_PROF, &time, NULL);
    alarm(clock);
}

void fuzz_line_buffer(void) { setvbuf(stdout, NULL, _IOLBF, 0); }
