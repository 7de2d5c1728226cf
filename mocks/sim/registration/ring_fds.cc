// The fds of rings, registered with a thread so that its calls need no reference to a file (IORING_REGISTER_RING_FDS,
// 5.18). Follows io_uring/tctx.c.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/user_memory.h"
#include "assay/mocks/sim/world.h"

namespace assay::internal {

/// A ring without an fd (IORING_SETUP_REGISTERED_FD_ONLY, 6.5): the thread's table holds the only reference to it.
int SimWorld::setup_registered_only(std::unique_ptr<SimRing> ring) {
  RegisteredRings& table = registered_rings_.try_emplace(::gettid(), RegisteredRings{}).first->second;
  const auto slot = std::find(table.begin(), table.end(), nullptr);
  if (slot == table.end()) return -EBUSY;
  ring->close_fd();
  *slot = ring.get();
  rings_.push_back(std::move(ring));
  return static_cast<int>(slot - table.begin());
}

int SimWorld::register_ring_fds(void* arg, unsigned nr_args) {
  RegisteredRings& table = registered_rings_.try_emplace(::gettid(), RegisteredRings{}).first->second;
  if (nr_args == 0 || nr_args > table.size()) return -EINVAL;
  const UserArray<io_uring_rsrc_update> updates(arg);
  int done = 0;
  for (unsigned index = 0; index < nr_args; ++index, ++done) {
    io_uring_rsrc_update update;
    if (!updates.read(index, &update)) return done > 0 ? done : -EFAULT;
    int error = update.resv != 0 ? -EINVAL : 0;
    std::size_t slot = update.offset;
    if (error == 0 && update.offset == ~0u) {
      slot = static_cast<std::size_t>(std::find(table.begin(), table.end(), nullptr) - table.begin());
      if (slot == table.size()) error = -EBUSY;
    } else if (error == 0 && update.offset >= table.size()) {
      error = -EINVAL;
    } else if (error == 0 && table[slot] != nullptr) {
      error = -EBUSY;
    }
    SimRing* ring = nullptr;
    if (error == 0) error = locate(static_cast<int>(update.data), false, &ring);
    update.offset = static_cast<std::uint32_t>(slot);
    if (error == 0 && !updates.write(index, update)) error = -EFAULT;
    if (error != 0) return done > 0 ? done : error;
    ring->add_reference();
    table[slot] = ring;
  }
  return done;
}

int SimWorld::unregister_ring_fds(void* arg, unsigned nr_args) {
  const auto found = registered_rings_.find(::gettid());
  if (nr_args == 0 || nr_args > RegisteredRings{}.size()) return -EINVAL;
  if (found == registered_rings_.end()) return 0;
  const UserArray<io_uring_rsrc_update> updates(arg);
  int done = 0;
  for (unsigned index = 0; index < nr_args; ++index, ++done) {
    io_uring_rsrc_update update;
    if (!updates.read(index, &update)) return done > 0 ? done : -EFAULT;
    if (update.resv != 0 || update.data != 0 || update.offset >= found->second.size()) return done > 0 ? done : -EINVAL;
    SimRing*& slot = found->second[update.offset];
    if (slot != nullptr) release(std::exchange(slot, nullptr));
  }
  return done;
}

}  // namespace assay::internal
