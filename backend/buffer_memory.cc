#include "assay/backend/buffer_memory.h"

#include <sys/mman.h>
#include <cerrno>
#include <new>
#include <utility>

#include "assay/backend/backend.h"
#include "assay/backend/buffer_pool.h"

namespace assay::internal {
namespace {

std::size_t pages(std::size_t bytes) {
  constexpr std::size_t kPage = 4096;
  return (bytes + kPage - 1) / kPage * kPage;
}

// The ring's tail lies where the first entry has a member that nobody uses (struct io_uring_buf_ring).
std::uint16_t& tail_of(io_uring_buf* ring) { return ring->resv; }

}  // namespace

Result<BufferMemory*> BufferMemory::create(unsigned count, std::size_t bytes) {
  std::unique_ptr<BufferMemory, void (*)(BufferMemory*)> made(new BufferMemory(count, bytes),
                                                              [](BufferMemory* memory) { delete memory; });
  const std::size_t ring_bytes = pages(count * sizeof(io_uring_buf));
  const std::size_t all = ring_bytes + pages(count * bytes);
  void* mapped = ::mmap(nullptr, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return Error::from_errno(errno, "mmap of " + std::to_string(count) + " buffers");
  made->mapped_bytes_ = all;
  made->ring_ = static_cast<io_uring_buf*>(mapped);
  made->memory_ = static_cast<std::byte*>(mapped) + ring_bytes;
  made->stack_.reserve(count);
  return made.release();
}

BufferMemory::~BufferMemory() {
  if (ring_ != nullptr) ::munmap(ring_, mapped_bytes_);
}

void BufferMemory::serve_from_ring(bool from_ring) {
  const std::lock_guard lock(mutex_);
  in_ring_ = from_ring;
  tail_ = 0;
  stack_.clear();
  unsigned free = 0;
  for (unsigned id = 0; id < count_; ++id) {
    if (held_[id] != 0) continue;
    ++free;
    from_ring ? add_to_ring(static_cast<std::uint16_t>(id)) : stack_.push_back(static_cast<std::uint16_t>(id));
  }
  if (from_ring && free == 0) __atomic_store_n(&tail_of(ring_), tail_, __ATOMIC_RELEASE);
  free_.store(free, std::memory_order_relaxed);
}

std::optional<std::uint16_t> BufferMemory::take() {
  const std::lock_guard lock(mutex_);
  if (stack_.empty()) return std::nullopt;
  const std::uint16_t id = stack_.back();
  stack_.pop_back();
  taken(id);
  return id;
}

std::uint16_t BufferMemory::next(std::uint16_t id) {
  const std::lock_guard lock(mutex_);
  return next_[id];
}

void BufferMemory::give_back(std::uint16_t id) noexcept {
  bool last;
  {
    const std::lock_guard lock(mutex_);
    held_[id] = 0;
    last = free_.fetch_add(1, std::memory_order_relaxed) + 1 == count_ && closed_;
    if (!closed_) {
      in_ring_ ? add_to_ring(id) : stack_.push_back(id);
      if (awaited_) post_locked();
    }
  }
  if (last) delete this;
}

void BufferMemory::add_to_ring(std::uint16_t id) noexcept {
  io_uring_buf& entry = ring_[tail_ & (count_ - 1)];
  entry.addr = reinterpret_cast<std::uintptr_t>(buffer(id));
  entry.len = static_cast<std::uint32_t>(bytes_);
  entry.bid = id;
  next_[last_] = id;
  last_ = id;
  __atomic_store_n(&tail_of(ring_), ++tail_, __ATOMIC_RELEASE);
}

void BufferMemory::tell_when_free() {
  const std::lock_guard lock(mutex_);
  awaited_ = true;
  if (free() != 0) post_locked();
}

void BufferMemory::post_locked() {
  awaited_ = false;
  if (backend_ == nullptr) return;
  backend_->post([group = group_] {
    if (const auto alive = group.lock()) alive->resume_waiting();
  });
}

void BufferMemory::set_owner(Backend* backend, std::weak_ptr<PooledBuffers> group) {
  const std::lock_guard lock(mutex_);
  backend_ = backend;
  group_ = std::move(group);
}

void BufferMemory::close() noexcept {
  bool last;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    backend_ = nullptr;
    last = free() == count_;
  }
  if (last) delete this;
}

}  // namespace assay::internal
