#pragma once

#include <cstddef>

namespace assay::internal {

/// What a kernel counts against RLIMIT_MEMLOCK: pages that it holds for those without CAP_IPC_LOCK. Linux counts for a
/// user all that his processes hold; here only what this simulated kernel holds is known.
class LockedMemory {
 public:
  /// Counts `pages` for the calling thread. 0, or -ENOMEM where its limit would be passed.
  int charge(std::size_t pages);
  void discharge(std::size_t pages) { pages_ -= pages; }

 private:
  std::size_t pages_ = 0;
};

/// Pages counted for as long as this lives; never any where it was made by a thread that has CAP_IPC_LOCK.
class LockedPages {
 public:
  LockedPages();
  LockedPages(const LockedPages&) = delete;
  LockedPages& operator=(const LockedPages&) = delete;
  ~LockedPages() { release(); }

  /// Counts `pages` more. 0 or -ENOMEM.
  int add(LockedMemory& memory, std::size_t pages);
  void remove(std::size_t pages);
  void release();

 private:
  bool counted_;
  LockedMemory* memory_ = nullptr;
  std::size_t pages_ = 0;
};

}  // namespace assay::internal
