// PROVIDE_BUFFERS and REMOVE_BUFFERS. Follows io_uring/kbuf.c, and fs/io_uring.c up to 5.17.

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/operation.h"

namespace assay::internal {

namespace {

/// Buffers are numbered by 16 bits of a CQE's flags.
constexpr std::uint64_t kMostNumbers = 1u << 16;
/// MAX_RW_COUNT: no transfer is longer.
constexpr std::uint32_t kMostBytes = 0x7ffff000;
/// The end of what a user can address (access_ok).
constexpr std::uint64_t kAddressSpace = std::uint64_t{1} << 63;

/// One more than before 6.3, which took 65,535 at most.
std::uint64_t most_buffers(const SimWorld& world) { return world.is_since(6, 8) ? kMostNumbers : kMostNumbers - 1; }

std::uint64_t count_of(const io_uring_sqe& sqe) {
  // The fd; a negative one is a very large number.
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(sqe.fd));
}

int prepare_provide_buffers(SimRing& ring, Request& request) {
  const SimWorld& world = ring.world();
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.rw_flags != 0 || (sqe.splice_fd_in != 0 && world.is_since(5, 15))) return -EINVAL;
  const std::uint64_t count = count_of(sqe);
  if (count == 0 || count > most_buffers(world)) return -E2BIG;
  if (sqe.len == 0 && world.is_since(6, 15)) return -EINVAL;
  std::uint64_t end;
  if (__builtin_add_overflow(sqe.addr, std::uint64_t{sqe.len} * count, &end)) return -EOVERFLOW;
  if (end > kAddressSpace) return -EFAULT;
  if (sqe.off >= kMostNumbers) return -E2BIG;
  if (world.is_since(6, 8) && sqe.off + count > kMostNumbers) return -EINVAL;
  return 0;
}

Outcome issue_provide_buffers(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  ProvidedBuffers& groups = ring.provided_buffers();
  const bool is_new = groups.find(sqe.buf_group) == nullptr;
  BufferGroup& group = groups.get(sqe.buf_group);
  if (group.is_ring()) return finish(ring, request, -EINVAL);
  const std::uint64_t count = count_of(sqe);
  for (std::uint64_t i = 0; i < count; ++i) {
    group.list().push_back(
        {sqe.addr + i * sqe.len, std::min(sqe.len, kMostBytes), static_cast<std::uint16_t>(sqe.off + i)});
  }
  // Up to 5.17 a group that was there already answered with the number of buffers.
  return finish(ring, request, is_new || ring.world().is_since(5, 18) ? 0 : static_cast<std::int64_t>(count));
}

int prepare_remove_buffers(SimRing& ring, Request& request) {
  const SimWorld& world = ring.world();
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.rw_flags != 0 || sqe.addr != 0 || sqe.len != 0 || sqe.off != 0) return -EINVAL;
  if (sqe.splice_fd_in != 0 && world.is_since(5, 15)) return -EINVAL;
  const std::uint64_t count = count_of(sqe);
  return count == 0 || count > most_buffers(world) ? -EINVAL : 0;
}

Outcome issue_remove_buffers(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  BufferGroup* group = ring.provided_buffers().find(sqe.buf_group);
  if (group == nullptr) return finish(ring, request, -ENOENT);
  if (group->is_ring()) return finish(ring, request, -EINVAL);
  auto& list = group->list();
  const auto removed = std::min<std::size_t>(count_of(sqe), list.size());
  list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(removed));
  // Up to 5.17 a group without buffers was no group.
  if (list.empty() && !ring.world().is_since(5, 18)) ring.provided_buffers().erase(sqe.buf_group);
  return finish(ring, request, static_cast<std::int64_t>(removed));
}

}  // namespace

extern const Operation kProvideBuffers = {.prepare = prepare_provide_buffers, .issue = issue_provide_buffers};
extern const Operation kRemoveBuffers = {.prepare = prepare_remove_buffers, .issue = issue_remove_buffers};

}  // namespace assay::internal
