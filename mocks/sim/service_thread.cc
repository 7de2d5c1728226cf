#include "assay/mocks/sim/service_thread.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <system_error>
#include <vector>

#include "assay/mocks/sim/world.h"

namespace assay::internal {

namespace {

/// The worlds that are live, for fork(2). Never destroyed: a fork may come at any time.
class LiveWorlds {
 public:
  static LiveWorlds& get() {
    static auto* const worlds = new LiveWorlds;
    return *worlds;
  }

  void add(SimWorld& world) {
    const std::lock_guard lock(mutex_);
    worlds_.push_back(&world);
  }
  void remove(SimWorld& world) {
    const std::lock_guard lock(mutex_);
    std::erase(worlds_, &world);
  }

 private:
  LiveWorlds() {
    ::pthread_atfork([] { get().lock_all(); }, [] { get().unlock_all(); }, [] { get().unlock_all(); });
  }
  void lock_all() {
    mutex_.lock();
    for (SimWorld* world : worlds_) world->mutex().lock();
  }
  void unlock_all() {
    for (SimWorld* world : worlds_) world->mutex().unlock();
    mutex_.unlock();
  }

  std::mutex mutex_;
  std::vector<SimWorld*> worlds_;
};

}  // namespace

ServiceThread::ServiceThread(SimWorld& world) : world_(world) { LiveWorlds::get().add(world); }

ServiceThread::~ServiceThread() {
  LiveWorlds::get().remove(world_);
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
