#include "assay/mocks/sim/fork.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <vector>

namespace assay::internal {

namespace {

struct Forks {
  std::atomic<std::uint64_t> generation{0};
  std::mutex mutex;
  std::vector<std::mutex*> held;
};

// Never destroyed: a program may fork while it exits.
Forks& forks();

void before_fork() {
  Forks& here = forks();
  here.mutex.lock();
  for (std::mutex* mutex : here.held) mutex->lock();
}

void after_fork() {
  Forks& here = forks();
  for (std::mutex* mutex : here.held) mutex->unlock();
  here.mutex.unlock();
}

void after_fork_in_child() {
  ++forks().generation;
  after_fork();
}

Forks& forks() {
  static Forks* const instance = [] {
    auto* const fresh = new Forks;
    ::pthread_atfork(before_fork, after_fork, after_fork_in_child);
    return fresh;
  }();
  return *instance;
}

}  // namespace

std::uint64_t fork_generation() { return forks().generation.load(std::memory_order_relaxed); }

ForkSafeMutex::ForkSafeMutex() {
  const std::lock_guard lock(forks().mutex);
  forks().held.push_back(&mutex_);
}

ForkSafeMutex::~ForkSafeMutex() {
  const std::lock_guard lock(forks().mutex);
  std::erase(forks().held, &mutex_);
}

}  // namespace assay::internal
