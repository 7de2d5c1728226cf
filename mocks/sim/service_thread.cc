#include "assay/mocks/sim/service_thread.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>

#include "assay/mocks/sim/world.h"

namespace assay::internal {

ServiceThread::ServiceThread(SimWorld& world) : world_(world) {}

ServiceThread::~ServiceThread() {
  if (!thread_.joinable()) return;
  if (process_ != ::getpid()) {
    thread_.detach();  // it stayed with the parent
  } else {
    world_.stop_serving();
    thread_.join();
  }
}

int ServiceThread::ensure_running() {
  if (process_ == ::getpid()) return 0;
  if (thread_.joinable()) thread_.detach();
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int result = 0;
  try {
    thread_ = std::thread([this] { world_.serve(); });
    process_ = ::getpid();
  } catch (const std::system_error&) {
    result = -EAGAIN;
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return result;
}

}  // namespace assay::internal
