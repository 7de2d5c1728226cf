#include "assay/mocks/sim/locked_memory.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "assay/mocks/sim/capabilities.h"

namespace assay::internal {

int LockedMemory::charge(std::size_t pages) {
  static const auto page = static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      pages_ + pages > limit.rlim_cur / page) {
    return -ENOMEM;
  }
  pages_ += pages;
  return 0;
}

LockedPages::LockedPages() : counted_(!has_capability(CAP_IPC_LOCK)) {}

int LockedPages::add(LockedMemory& memory, std::size_t pages) {
  if (pages == 0 || !counted_) return 0;
  if (const int error = memory.charge(pages); error != 0) return error;
  memory_ = &memory;
  pages_ += pages;
  return 0;
}

void LockedPages::remove(std::size_t pages) {
  if (memory_ == nullptr) return;
  pages = std::min(pages, pages_);
  memory_->discharge(pages);
  pages_ -= pages;
}

void LockedPages::release() { remove(pages_); }

}  // namespace assay::internal
