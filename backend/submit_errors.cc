#include "assay/backend/submit_errors.h"

#include <cerrno>

namespace assay::internal {

SubmitAnswer judge_submit_error(int error) {
  switch (-error) {
    case EINTR:
      // A signal came before anything was submitted. Its handler may have left work, so the loop looks before it waits
      // again; nothing was counted as submitted.
      return SubmitAnswer::kTryAgain;
    case ETIME:
      // IORING_FEAT_EXT_ARG: the timeout ran out, and nothing was submitted by that call.
      return SubmitAnswer::kTimedOut;
    case EBUSY:
      // The kernel holds completions for which the CQ has no room, and takes nothing until they are flushed.
      return SubmitAnswer::kReap;
    case EAGAIN:
      // A request could not be allocated. Finished requests free memory; with none in flight only time helps.
      return SubmitAnswer::kBackOff;
    case EBADR:
      // The CQ was full and an overflow entry could not be allocated: completions are gone and nobody knows whose.
      return SubmitAnswer::kDropped;
    case EEXIST:
      // IORING_SETUP_SINGLE_ISSUER: another thread owns this ring. Trying again from here can never work.
      return SubmitAnswer::kReport;
    case EOWNERDEAD:
      // The poll thread died. Its ring accepts nothing any more.
      return SubmitAnswer::kReport;
    case EBADFD:
      // The ring is not enabled. The loop enables it first, so somebody else meddled.
      return SubmitAnswer::kReport;
    case EBADF:
    case EOPNOTSUPP:
      // The ring's fd was closed or is another file now: somebody closed a descriptor that was not theirs.
      return SubmitAnswer::kReport;
    case ENXIO:
      // The ring is being torn down.
      return SubmitAnswer::kReport;
    case EFAULT:
      // The kernel could not read the arguments: memory corruption.
      return SubmitAnswer::kReport;
    case EINVAL:
      // A flag that this kernel does not know; Ring asks for none that it was not offered.
      return SubmitAnswer::kReport;
    case EDEADLK:
      // A simulated kernel: this wait could never end.
      return SubmitAnswer::kReport;
    default:
      // Not known to come from io_uring_enter. Guessing would hide it.
      return SubmitAnswer::kReport;
  }
}

std::string_view explain_submit_error(int error) {
  switch (-error) {
    case EBADR:
      return "io_uring_enter: completions were dropped for lack of memory, operations in flight ended with EBADR";
    case EEXIST:
      return "io_uring_enter: the ring belongs to another thread (defer_taskrun)";
    case EOWNERDEAD:
      return "io_uring_enter: the poll thread is gone";
    case EBADFD:
      return "io_uring_enter: the ring is not enabled";
    case EBADF:
    case EOPNOTSUPP:
      return "io_uring_enter: the ring's descriptor was closed by somebody else";
    case ENXIO:
      return "io_uring_enter: the ring is being torn down";
    case EFAULT:
      return "io_uring_enter: arguments could not be read";
    case EDEADLK:
      return "io_uring_enter: the simulated kernel finds that this wait can never end";
    default:
      return "io_uring_enter";
  }
}

}  // namespace assay::internal
