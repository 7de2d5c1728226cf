#pragma once

#include <cstdint>
#include <mutex>

/// What fork(2) means to a simulated kernel. Linux shares a ring with the child; a simulator's state is copied instead,
/// so a child that went on with it would complete its parent's requests a second time, in the very rings of the parent.
/// A child therefore forgets all rings that it did not make itself.
namespace assay::internal {

/// Differs from what it was before in every child of a fork. (The pid would cost a system call each time.)
std::uint64_t fork_generation();

/// A mutex that no other thread holds at the moment of a fork, so that the child can take it.
class ForkSafeMutex {
 public:
  ForkSafeMutex();
  ForkSafeMutex(const ForkSafeMutex&) = delete;
  ForkSafeMutex& operator=(const ForkSafeMutex&) = delete;
  ~ForkSafeMutex();

  std::mutex& get() { return mutex_; }

 private:
  std::mutex mutex_;
};

}  // namespace assay::internal
