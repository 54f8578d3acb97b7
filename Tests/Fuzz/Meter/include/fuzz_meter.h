// SPDX-License-Identifier: Apache-2.0

// Counts what malloc hands out, by standing in front of glibc's own functions: for the whole process, every thread, and
// the C libraries too. Not with an address sanitizer, which stands there itself: all numbers are 0 then.

#ifndef REPRISE_FUZZ_METER_H
#define REPRISE_FUZZ_METER_H

#include <stdint.h>

/// Whether there is anything to count.
int fuzz_meter_works(void);

/// Begins a measurement: the peak is what is in use now.
void fuzz_meter_begin(void);

/// The most bytes in use at a time since the beginning, above what was in use then.
int64_t fuzz_meter_peak(void);

/// How often memory was asked for since the beginning.
int64_t fuzz_meter_calls(void);

/// Above this many bytes in use (0: no limit) the process ends: a bomb must not take the machine along.
void fuzz_meter_limit(int64_t bytes);

/// Processor time that this process has used, in nanoseconds.
int64_t fuzz_cpu_nanoseconds(void);

/// Eight bytes that a parent can read in a file after this process has died. Null when the file can't be mapped.
volatile int64_t *fuzz_shared_number(const char *path);

/// Writes each line of standard output at once: what was said before the process died must not be lost.
void fuzz_line_buffer(void);

/// No core files; and a signal that ends the process: SIGPROF after so many seconds of the processor, SIGALRM after so
/// many by the clock. 0 takes that back. While the first is set, processor time is only counted tick by tick.
void fuzz_watch(unsigned processor, unsigned clock);

#endif
