#include "assay/backend/buffer_pool.h"

#include <algorithm>
#include <bit>
#include <cerrno>

#include "assay/backend/backend.h"
#include "assay/backend/repeated_receive.h"

namespace assay {
namespace internal {
namespace {

constexpr unsigned kLeastCount = 2;
constexpr unsigned kMostCount = 32768;
constexpr std::size_t kLeastBytes = 32;
constexpr std::size_t kMostBytes = std::size_t{1} << 30;

}  // namespace

Result<std::shared_ptr<PooledBuffers>> PooledBuffers::create(Backend& backend, const BufferPoolSize& size) {
  if (size.count == 0 || size.count > kMostCount)
    return Error::from_errno(EINVAL, "a pool of " + std::to_string(size.count) + " buffers: it has 1 to 32768");
  if (size.bytes == 0 || size.bytes > kMostBytes)
    return Error::from_errno(EINVAL, "a buffer of " + std::to_string(size.bytes) + " bytes: it has 1 to 1 GiB");
  Result<BufferMemory*> memory = BufferMemory::create(std::bit_ceil(std::max(size.count, kLeastCount)),
                                                      std::bit_ceil(std::max(size.bytes, kLeastBytes)));
  if (!memory) return memory.error();
  std::shared_ptr<PooledBuffers> group(new PooledBuffers(backend, **memory));
  (*memory)->set_owner(&backend, group);
  group->register_with(backend.ring());
  return group;
}

PooledBuffers::PooledBuffers(Backend& backend, BufferMemory& memory) : Attachment(backend), memory_(&memory) {
  std::vector<PooledBuffers*>& groups = backend.buffer_groups_;
  while (std::any_of(groups.begin(), groups.end(), [this](const PooledBuffers* other) { return other->id_ == id_; }))
    ++id_;
  groups.push_back(this);
}

PooledBuffers::~PooledBuffers() {
  if (Backend* owner = backend()) {
    if (in_ring()) {
      io_uring_buf_reg request{};
      request.bgid = id_;
      owner->ring().register_op(IORING_UNREGISTER_PBUF_RING, &request, 1);
    }
    std::erase(owner->buffer_groups_, this);
  }
  memory_->close();
}

void PooledBuffers::backend_gone() {
  memory_->set_owner(nullptr, {});
  std::erase(backend()->buffer_groups_, this);
}

void PooledBuffers::register_with(Ring& ring) {
  io_uring_buf_reg request{};
  request.bgid = id_;
  // What it has taken out of an earlier ring and lost.
  if (in_ring()) ring.register_op(IORING_UNREGISTER_PBUF_RING, &request, 1);
  memory_->serve_from_ring(true);
  request.ring_addr = reinterpret_cast<std::uintptr_t>(memory_->ring());
  request.ring_entries = count();
  // Buffer rings came one release before the multishot receives, which alone make them worth their while.
  const int answer = backend()->requests_.support().picks_buffers
                         ? ring.register_op(IORING_REGISTER_PBUF_RING, &request, 1)
                         : -ENOTSUP;
  reason_.clear();
  if (answer >= 0) return;
  reason_ = "provided buffer rings (since 6.0): " + Error::from_errno(answer).message();
  memory_->serve_from_ring(false);
}

void PooledBuffers::wait_for_buffer(RepeatedReceive& operation) {
  waiting_.push_back(&operation);
  memory_->tell_when_free();
}

void PooledBuffers::stop_waiting(const RepeatedReceive& operation) { std::erase(waiting_, &operation); }

void PooledBuffers::resume_waiting() {
  // Whoever finds none left waits again, behind the others.
  std::vector<RepeatedReceive*> waiting;
  waiting.swap(waiting_);
  for (RepeatedReceive* operation : waiting) operation->go_on();
}

}  // namespace internal

Result<BufferPool> BufferPool::create(Backend& backend, const BufferPoolSize& size) {
  auto group = internal::PooledBuffers::create(backend, size);
  if (!group) return group.error();
  return BufferPool(std::move(*group));
}

}  // namespace assay
