#include "assay/faultinject/ring_view.h"

#include <cstring>

namespace assay {
namespace {

// With NO_MMAP (6.5) the memory's address is in the last word of either offsets structure, which headers older than
// that call resv2.
template <typename Offsets>
void* user_address(const Offsets& offsets) {
  std::uint64_t address = 0;
  std::memcpy(&address, reinterpret_cast<const std::byte*>(&offsets) + sizeof(Offsets) - sizeof(address),
              sizeof(address));
  return reinterpret_cast<void*>(address);
}

std::byte* place(void* ring, std::uint32_t offset) { return static_cast<std::byte*>(ring) + offset; }

}  // namespace

RingView::RingView(int fd, const io_uring_params& params) noexcept : fd_(fd), params_(params) {
  if ((params.flags & uapi::kSetupNoMmap) == 0) return;
  cq_ring_ = sq_ring_ = user_address(params.cq_off);
  sqes_ = user_address(params.sq_off);
}

bool RingView::sq_visible() const noexcept {
  constexpr unsigned kOtherwiseCounted = uapi::kSetupSqeMixed | uapi::kSetupSqRewind;
  return sq_ring_ != nullptr && sqes_ != nullptr && (params_.flags & kOtherwiseCounted) == 0;
}

std::uint32_t RingView::load(void* ring, std::uint32_t offset) const noexcept {
  return io_uring_smp_load_acquire(reinterpret_cast<std::uint32_t*>(place(ring, offset)));
}

std::uint32_t RingView::sq_head() const noexcept { return load(sq_ring_, params_.sq_off.head); }
std::uint32_t RingView::sq_tail() const noexcept { return load(sq_ring_, params_.sq_off.tail); }
std::uint32_t RingView::sq_flags() const noexcept { return load(sq_ring_, params_.sq_off.flags); }
std::uint32_t RingView::cq_head() const noexcept { return load(cq_ring_, params_.cq_off.head); }
std::uint32_t RingView::cq_overflow() const noexcept { return load(cq_ring_, params_.cq_off.overflow); }
std::uint32_t RingView::cq_tail() const noexcept { return load(cq_ring_, params_.cq_off.tail); }

io_uring_sqe* RingView::sqe_at(std::uint32_t position) const noexcept {
  std::uint32_t index = position & (params_.sq_entries - 1);
  if ((params_.flags & uapi::kSetupNoSqarray) == 0) {
    index = *reinterpret_cast<std::uint32_t*>(place(sq_ring_, params_.sq_off.array + index * sizeof(std::uint32_t)));
    if (index >= params_.sq_entries) return nullptr;
  }
  const std::size_t slot_bytes = (params_.flags & IORING_SETUP_SQE128) != 0 ? 128 : 64;
  return reinterpret_cast<io_uring_sqe*>(static_cast<std::byte*>(sqes_) + index * slot_bytes);
}

const io_uring_cqe* RingView::cqe_at(std::uint32_t position) const noexcept {
  const std::size_t slot_bytes = (params_.flags & IORING_SETUP_CQE32) != 0 ? 32 : 16;
  const std::size_t index = position & (params_.cq_entries - 1);
  return reinterpret_cast<io_uring_cqe*>(place(cq_ring_, params_.cq_off.cqes) + index * slot_bytes);
}

void RingView::mapped(std::uint64_t offset, void* address) noexcept {
  switch (offset) {
    case IORING_OFF_SQ_RING:
      sq_ring_ = address;
      // One mapping serves both rings where the kernel says so; a mapping of the CQ ring's own may still follow.
      if ((params_.features & IORING_FEAT_SINGLE_MMAP) != 0 && cq_ring_ == nullptr) cq_ring_ = address;
      break;
    case IORING_OFF_CQ_RING:
      cq_ring_ = address;
      break;
    case IORING_OFF_SQES:
      sqes_ = address;
      break;
    default:
      break;  // a provided buffer ring
  }
}

void RingView::unmapped(const void* address) noexcept {
  if (sq_ring_ == address) sq_ring_ = nullptr;
  if (cq_ring_ == address) cq_ring_ = nullptr;
  if (sqes_ == address) sqes_ = nullptr;
}

void RingView::resized(const io_uring_params& params) noexcept {
  const unsigned flags = params_.flags;
  const unsigned features = params_.features;
  params_ = params;
  params_.flags |= flags;
  params_.features |= features;
  // The old mappings are of the old memory until the program maps anew.
  sq_ring_ = cq_ring_ = sqes_ = nullptr;
}

}  // namespace assay
