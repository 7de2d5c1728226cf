#pragma once

/// Tracepoints of user space (USDT), which cost a NOP each until somebody attaches to them:
///
///     bpftrace -p PID -e 'usdt:*:assay:batch_end { @told = hist(arg1); }'
///
/// - `wait_begin(backend, waits, timeout_ns)`: the loop enters the kernel; `waits` is 0 when it only looks,
/// `timeout_ns`
///   is -1 when it waits for ever.
/// - `wait_end(backend, answer, ready)`: it came back, with io_uring_enter's answer and so many CQEs to read.
/// - `batch_begin(backend, ready)`: completions are handed over now.
/// - `batch_end(backend, told)`: so many went to operations of users.
///
/// Where <sys/sdt.h> (systemtap-sdt-dev) is missing they are left out.
#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define ASSAY_TRACEPOINT2(name, first, second) DTRACE_PROBE2(assay, name, first, second)
#define ASSAY_TRACEPOINT3(name, first, second, third) DTRACE_PROBE3(assay, name, first, second, third)
#else
#define ASSAY_TRACEPOINT2(name, first, second) (static_cast<void>(first), static_cast<void>(second))
#define ASSAY_TRACEPOINT3(name, first, second, third) \
  (static_cast<void>(first), static_cast<void>(second), static_cast<void>(third))
#endif
