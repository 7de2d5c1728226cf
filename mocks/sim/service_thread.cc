#include "assay/mocks/sim/service_thread.h"

#include <unistd.h>

#include <cerrno>

#include "assay/mocks/sim/unsignalled_thread.h"
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
  thread_ = start_unsignalled_thread([this] { world_.serve(); });
  if (!thread_.joinable()) return -EAGAIN;
  process_ = ::getpid();
  return 0;
}

}  // namespace assay::internal
