#include "assay/mocks/sim/unsignalled_thread.h"

#include <csignal>
#include <system_error>
#include <utility>

namespace assay::internal {

std::thread start_unsignalled_thread(std::function<void()> body) {
  // A thread begins with the mask of the one that makes it, so there is no moment in which a signal could reach it.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread;
  try {
    thread = std::thread(std::move(body));
  } catch (const std::system_error&) {
    // RLIMIT_NPROC, say: the caller is told by the thread that is none.
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace assay::internal
