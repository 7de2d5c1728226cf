#pragma once

#include <sys/types.h>

#include <thread>

namespace assay::internal {

class SimWorld;

/// The thread that makes a live SimKernel go on between the calls of its users. It does what interrupts, workers and
/// poll threads do in Linux, and runs the task work of threads that Linux would interrupt for it.
///
/// No signal reaches it. fork(2) leaves it behind: the child has one of its own from the first ring that it sets up.
class ServiceThread {
 public:
  explicit ServiceThread(SimWorld& world);
  ~ServiceThread();
  ServiceThread(const ServiceThread&) = delete;
  ServiceThread& operator=(const ServiceThread&) = delete;

  /// Starts the thread, unless this process has it. 0 or -EAGAIN. Under the world's lock.
  int ensure_running();

 private:
  SimWorld& world_;
  std::thread thread_;
  pid_t process_ = 0;
};

}  // namespace assay::internal
