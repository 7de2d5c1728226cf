#pragma once

/* Which kernel a program that links assay::liburing instead of liburing runs on. Nothing of this is needed: the
 * environment decides where the program does not. It can be used from C and C++. */

#include <stdint.h>

#include "assay/backend/kernel_c.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How the kernel of this process is made. A member that is null (for the seed: has_seed is 0) is what the environment
 * says, and the default where that says nothing. */
struct assay_liburing_options {
  const char* kernel; /* ASSAY_KERNEL: a kernel's spelling; "linux", the running one, by default */
  const char* plan;   /* ASSAY_PLAN: a fault plan; "" is none, the default */
  const char* trace;  /* ASSAY_TRACE: the file that calls, SQEs and CQEs are written to; "-" is standard error */
  uint64_t seed;      /* ASSAY_SEED: seed of the simulated kernel and of the plan, where their texts give none */
  int has_seed;
};

/* Chooses the kernel that every ring of this process is set up on from now on. Returns 0; -EINVAL, with
 * assay_liburing_error() saying what was wrong and what would be right; or -EBUSY while rings of the kernel in use are
 * open. Null options, or `kernel` and `plan` that are null, mean the environment's. A kernel that was in use goes away,
 * and with it what assay_liburing_get_report() told. May be called from any thread, but not while others make rings.
 *
 * Where it is never called, the first ring does it. Bad words in the environment then end the process: one line on
 * standard error, exit status 2. */
int assay_liburing_use(const char* kernel, const char* plan);
int assay_liburing_use_options(const struct assay_liburing_options* options);

/* The same with a kernel of the caller's, which must outlive every ring of the process. -EBUSY as above. */
int assay_liburing_use_table(const struct assay_kernel* kernel);

/* Why the last assay_liburing_use*() of this thread failed, in one line; "" if it did not. Valid until the next one. */
const char* assay_liburing_error(void);

/* The kernel in use, to be asked for its clock, say: a simulated one has virtual time. It is chosen now if it was not
 * yet. Valid until another is chosen. */
const struct assay_kernel* assay_liburing_kernel(void);

/* What happened so far on the kernel in use. */
struct assay_liburing_report {
  uint64_t rings; /* set up */
  uint64_t fired; /* faults, of the plan's rules and of libfiu */
  /* What repeats this run in the environment: "ASSAY_KERNEL=sim:linux-6.12.0 ASSAY_PLAN=enter/eintr:nth=1,seed=7".
   * Valid until another kernel is chosen. */
  const char* replay;
};
struct assay_liburing_report assay_liburing_get_report(void);

#ifdef __cplusplus
}  // extern "C"

namespace assay::liburing {

/// assay_liburing_use_table for C++.
int use_kernel(Kernel& kernel);

}  // namespace assay::liburing
#endif
