#include "assay/backend/ring.h"

#include <sys/mman.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace assay {
namespace {

unsigned* word_at(void* base, unsigned offset) {
  return reinterpret_cast<unsigned*>(static_cast<char*>(base) + offset);
}

std::size_t cqe_bytes(unsigned setup_flags) {
  return (setup_flags & IORING_SETUP_CQE32) != 0 ? 2 * sizeof(io_uring_cqe) : sizeof(io_uring_cqe);
}

std::size_t sqe_bytes(unsigned setup_flags) {
  return (setup_flags & IORING_SETUP_SQE128) != 0 ? 2 * sizeof(io_uring_sqe) : sizeof(io_uring_sqe);
}

// The last eight bytes of both offset structures carry the address of memory that the caller brings (NO_MMAP, 6.5). The
// member's name changed with liburing's header; its place did not.
template <typename Offsets>
void set_user_address(Offsets& offsets, void* address) {
  const auto value = reinterpret_cast<std::uint64_t>(address);
  std::memcpy(reinterpret_cast<char*>(&offsets) + sizeof(offsets) - sizeof(value), &value, sizeof(value));
}

// Memory for a ring that the kernel does not allocate. Before 6.10 more than a page had to be contiguous, which only a
// huge page is; later kernels take any memory, so plain pages are the second choice.
void* allocate_ring_memory(std::size_t* bytes) {
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  *bytes = (*bytes + page - 1) / page * page;
  if (*bytes > page) {
    const std::size_t huge = (*bytes + kHugePage - 1) / kHugePage * kHugePage;
    void* memory =
        ::mmap(nullptr, huge, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
    if (memory != MAP_FAILED) {
      *bytes = huge;
      return memory;
    }
  }
  void* memory = ::mmap(nullptr, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

unsigned round_up_to_power_of_two(unsigned value) {
  unsigned power = 1;
  while (power < value && power != 0) power <<= 1;
  return power;
}

std::string setup_call(const RingOptions& options) {
  return "io_uring_setup(entries=" + std::to_string(options.sq_entries) + ")";
}

}  // namespace

Result<Ring> Ring::create(Kernel& kernel, const RingOptions& options) {
  io_uring_params params{};
  params.flags = options.setup_flags;
  if (options.cq_entries != 0) {
    params.flags |= IORING_SETUP_CQSIZE;
    params.cq_entries = options.cq_entries;
  }
  params.sq_thread_cpu = options.sq_thread_cpu;
  params.sq_thread_idle = static_cast<unsigned>(options.sq_thread_idle.count());
  if (options.attach_wq_fd >= 0) {
    params.flags |= IORING_SETUP_ATTACH_WQ;
    params.wq_fd = static_cast<unsigned>(options.attach_wq_fd);
  }

  Ring ring;
  ring.kernel_ = &kernel;
  ring.ring_.ring_fd = -1;
  if ((params.flags & uapi::kSetupNoMmap) != 0) {
    if (auto allocated = ring.allocate_rings(options.sq_entries, params); !allocated) return allocated.error();
  }
  const int fd = kernel.setup(options.sq_entries, &params);
  if (fd < 0) return Error::from_errno(fd, setup_call(options));
  ring.ring_.flags = params.flags;
  ring.ring_.features = params.features;
  if ((params.flags & uapi::kSetupRegisteredFdOnly) != 0) {
    // There is no fd: setup registered the ring and answered with its index.
    ring.ring_.enter_ring_fd = fd;
    ring.ring_.int_flags |= kIntFlagRegisteredRing;
    ring.ring_fd_registered_ = true;
    ring.enter_flags_ = IORING_ENTER_REGISTERED_RING;
  } else {
    ring.ring_.ring_fd = ring.ring_.enter_ring_fd = fd;
  }
  if (!ring.owns_memory_) {
    if (auto mapped = ring.map_rings(params); !mapped) return mapped.error();
  }
  ring.fill(params);
  if ((params.features & IORING_FEAT_EXT_ARG) == 0) ring.wait_timeout_ = std::make_unique<__kernel_timespec>();
  // A kernel that cannot register the ring's fd only costs a file reference a call; `ring_fd_registered` tells.
  if (options.register_ring_fd) ring.register_ring_fd();
  return ring;
}

Ring::Ring(Ring&& other) noexcept { *this = std::move(other); }

Ring& Ring::operator=(Ring&& other) noexcept {
  if (this == &other) return *this;
  release();
  kernel_ = std::exchange(other.kernel_, nullptr);
  ring_ = std::exchange(other.ring_, {});
  sq_limit_ = other.sq_limit_;
  enter_flags_ = other.enter_flags_;
  sqe_shift_ = other.sqe_shift_;
  cqe_shift_ = other.cqe_shift_;
  plain_ = other.plain_;
  iopoll_ = other.iopoll_;
  mixed_ = other.mixed_;
  filters_ = other.filters_;
  ring_fd_registered_ = std::exchange(other.ring_fd_registered_, false);
  owns_memory_ = std::exchange(other.owns_memory_, false);
  sqes_bytes_ = std::exchange(other.sqes_bytes_, 0);
  wait_timeout_ = std::move(other.wait_timeout_);
  wait_timeout_end_ = other.wait_timeout_end_;
  wait_timeout_queued_ = other.wait_timeout_queued_;
  return *this;
}

Ring::~Ring() { release(); }

void Ring::release() noexcept {
  if (kernel_ == nullptr) return;
  const auto give_back = [this](void* address, std::size_t bytes) {
    if (address == nullptr) return;
    if (owns_memory_) {
      ::munmap(address, bytes);
    } else {
      kernel_->unmap(address, bytes);
    }
  };
  if (ring_fd_registered_) unregister_ring_fd();
  // Linux pins memory of ours; a simulated kernel that lives might still look at it.
  if (owns_memory_ && ring_.ring_fd >= 0) kernel_->close(std::exchange(ring_.ring_fd, -1));
  give_back(ring_.sq.sqes, sqes_bytes_);
  if (ring_.cq.ring_ptr != ring_.sq.ring_ptr) give_back(ring_.cq.ring_ptr, ring_.cq.ring_sz);
  give_back(ring_.sq.ring_ptr, ring_.sq.ring_sz);
  if (ring_.ring_fd >= 0) kernel_->close(ring_.ring_fd);
  kernel_ = nullptr;
}

Result<void> Ring::map_rings(const io_uring_params& params) {
  io_uring_sq& sq = ring_.sq;
  io_uring_cq& cq = ring_.cq;
  // Each size is stored with its address, so that whatever was mapped before a failure is given back by `release`.
  const auto map = [&](std::uint64_t offset, std::size_t bytes, void** address, const char* what) -> Result<void> {
    void* mapped = nullptr;
    const int result = kernel_->map(ring_.ring_fd, offset, bytes, &mapped);
    if (result < 0) return Error::from_errno(result, std::string("mmap of the ") + what);
    *address = mapped;
    return {};
  };
  std::size_t sq_bytes = params.sq_off.array + params.sq_entries * sizeof(unsigned);
  std::size_t cq_bytes = params.cq_off.cqes + params.cq_entries * cqe_bytes(params.flags);
  const bool single_mmap = (params.features & IORING_FEAT_SINGLE_MMAP) != 0;
  if (single_mmap) sq_bytes = cq_bytes = std::max(sq_bytes, cq_bytes);

  sq.ring_sz = sq_bytes;
  if (auto mapped = map(IORING_OFF_SQ_RING, sq_bytes, &sq.ring_ptr, "SQ ring"); !mapped) return mapped;
  cq.ring_sz = cq_bytes;
  if (single_mmap) {
    cq.ring_ptr = sq.ring_ptr;
  } else if (auto mapped = map(IORING_OFF_CQ_RING, cq_bytes, &cq.ring_ptr, "CQ ring"); !mapped) {
    return mapped;
  }
  sqes_bytes_ = params.sq_entries * sqe_bytes(params.flags);
  void* sqes = nullptr;
  if (auto mapped = map(IORING_OFF_SQES, sqes_bytes_, &sqes, "SQEs"); !mapped) return mapped;
  sq.sqes = static_cast<io_uring_sqe*>(sqes);
  return {};
}

Result<void> Ring::allocate_rings(unsigned sq_entries, io_uring_params& params) {
  owns_memory_ = true;
  const unsigned sq_count = round_up_to_power_of_two(sq_entries);
  const unsigned cq_count = params.cq_entries != 0 ? round_up_to_power_of_two(params.cq_entries) : 2 * sq_count;
  // The kernel's header before the CQEs is below 256 bytes, the index array follows them.
  ring_.sq.ring_sz = 512 + cq_count * cqe_bytes(params.flags) + sq_count * sizeof(unsigned);
  ring_.sq.ring_ptr = allocate_ring_memory(&ring_.sq.ring_sz);
  if (ring_.sq.ring_ptr == nullptr) return Error::from_errno(ENOMEM, "memory for the rings");
  ring_.cq.ring_sz = ring_.sq.ring_sz;
  ring_.cq.ring_ptr = ring_.sq.ring_ptr;
  sqes_bytes_ = sq_count * sqe_bytes(params.flags);
  ring_.sq.sqes = static_cast<io_uring_sqe*>(allocate_ring_memory(&sqes_bytes_));
  if (ring_.sq.sqes == nullptr) return Error::from_errno(ENOMEM, "memory for the SQEs");
  set_user_address(params.cq_off, ring_.cq.ring_ptr);
  set_user_address(params.sq_off, ring_.sq.sqes);
  return {};
}

void Ring::fill(const io_uring_params& params) {
  io_uring_sq& sq = ring_.sq;
  sq.khead = word_at(sq.ring_ptr, params.sq_off.head);
  sq.ktail = word_at(sq.ring_ptr, params.sq_off.tail);
  sq.kring_mask = word_at(sq.ring_ptr, params.sq_off.ring_mask);
  sq.kring_entries = word_at(sq.ring_ptr, params.sq_off.ring_entries);
  sq.kflags = word_at(sq.ring_ptr, params.sq_off.flags);
  sq.kdropped = word_at(sq.ring_ptr, params.sq_off.dropped);
  sq.ring_mask = *sq.kring_mask;
  sq.ring_entries = *sq.kring_entries;
  // Zero on Linux; a kernel that begins elsewhere lets a test reach the wrap of the 32-bit counters.
  sq.sqe_head = sq.sqe_tail = *sq.ktail;

  io_uring_cq& cq = ring_.cq;
  cq.khead = word_at(cq.ring_ptr, params.cq_off.head);
  cq.ktail = word_at(cq.ring_ptr, params.cq_off.tail);
  cq.kring_mask = word_at(cq.ring_ptr, params.cq_off.ring_mask);
  cq.kring_entries = word_at(cq.ring_ptr, params.cq_off.ring_entries);
  cq.koverflow = word_at(cq.ring_ptr, params.cq_off.overflow);
  cq.cqes = reinterpret_cast<io_uring_cqe*>(static_cast<char*>(cq.ring_ptr) + params.cq_off.cqes);
  // Before 5.8 there is no flags word, and its offset is zero.
  if (params.cq_off.flags != 0) cq.kflags = word_at(cq.ring_ptr, params.cq_off.flags);
  cq.ring_mask = *cq.kring_mask;
  cq.ring_entries = *cq.kring_entries;

  sqe_shift_ = (params.flags & IORING_SETUP_SQE128) != 0 ? 7 : 6;
  cqe_shift_ = (params.flags & IORING_SETUP_CQE32) != 0 ? 1 : 0;
  plain_ = (params.flags & (IORING_SETUP_SQPOLL | IORING_SETUP_IOPOLL | uapi::kSetupSqRewind)) == 0;
  iopoll_ = (params.flags & IORING_SETUP_IOPOLL) != 0;
  mixed_ = (params.flags & uapi::kSetupCqeMixed) != 0;
  filters_ = mixed_ || (params.features & IORING_FEAT_EXT_ARG) == 0;
  sq_limit_ = *sq.khead + sq.ring_entries;

  // SQEs are used in ring order, so the index array is the identity once and for all.
  if ((params.flags & uapi::kSetupNoSqarray) == 0) {
    sq.array = word_at(sq.ring_ptr, params.sq_off.array);
    for (unsigned index = 0; index < sq.ring_entries; ++index) sq.array[index] = index;
  }
}

unsigned Ring::flush_sq() noexcept {
  io_uring_sq& sq = ring_.sq;
  const unsigned tail = sq.sqe_tail;
  const unsigned published = tail - sq.sqe_head;
  if (published != 0) {
    sq.sqe_head = tail;
    // The poll thread may read the tail at any time, and must then see the SQEs too.
    io_uring_smp_store_release(sq.ktail, tail);
  }
  // Without a poll thread the head moves only inside enter; what an earlier call left behind counts again.
  return (ring_.flags & IORING_SETUP_SQPOLL) != 0 ? published : tail - IO_URING_READ_ONCE(*sq.khead);
}

bool Ring::sq_needs_enter(unsigned submitted, unsigned* flags) noexcept {
  if ((ring_.flags & IORING_SETUP_SQPOLL) == 0) return submitted != 0;
  // The poll thread sets NEED_WAKEUP, then looks at the tail once more and sleeps. We store the tail, then look at
  // NEED_WAKEUP. Unless a full barrier stands between our store and our load, both can miss each other.
  io_uring_smp_mb();
  if ((IO_URING_READ_ONCE(*ring_.sq.kflags) & IORING_SQ_NEED_WAKEUP) == 0) return false;
  *flags |= IORING_ENTER_SQ_WAKEUP;
  return true;
}

bool Ring::sq_has_room() noexcept {
  sq_limit_ = io_uring_smp_load_acquire(ring_.sq.khead) + ring_.sq.ring_entries;
  return static_cast<int>(sq_limit_ - ring_.sq.sqe_tail) > 0;
}

int Ring::enter(unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
                std::size_t arg_bytes) noexcept {
  const int result = kernel_->enter(ring_.enter_ring_fd, to_submit, min_complete, flags | enter_flags_, arg, arg_bytes);
  if ((ring_.flags & uapi::kSetupSqRewind) != 0 && result > 0) {
    // The kernel reads such a ring from index 0 at every call and moves no head: what it left is moved to the front.
    io_uring_sq& sq = ring_.sq;
    const unsigned left = sq.sqe_tail - static_cast<unsigned>(result);
    const std::size_t bytes = sqe_bytes(ring_.flags);
    auto* base = reinterpret_cast<char*>(sq.sqes);
    std::memmove(base, base + static_cast<unsigned>(result) * bytes, left * bytes);
    sq.sqe_tail = left;
    sq.sqe_head = 0;
  }
  return result;
}

int Ring::submit_and_wait_unusual(unsigned wait_nr) noexcept {
  if ((ring_.flags & IORING_SETUP_SQPOLL) != 0) return hand_over_and_wait(wait_nr);
  const unsigned to_submit = flush_sq();
  unsigned flags = 0;
  if (wait_nr != 0 || cq_needs_enter()) flags |= IORING_ENTER_GETEVENTS;
  if (to_submit == 0 && flags == 0) return 0;
  return enter(to_submit, wait_nr, flags, nullptr, kKernelSigsetBytes);
}

// In one piece, since what is done beside a poll thread is little but this. Such a ring is never rewound.
int Ring::hand_over_and_wait(unsigned wait_nr) noexcept {
  io_uring_sq& sq = ring_.sq;
  const unsigned tail = sq.sqe_tail;
  const unsigned handed_over = tail - sq.sqe_head;
  sq.sqe_head = tail;
  io_uring_smp_store_release(sq.ktail, tail);
  // See sq_needs_enter.
  io_uring_smp_mb();
  const unsigned sq_flags = IO_URING_READ_ONCE(*sq.kflags);
  unsigned flags = enter_flags_;
  if (wait_nr != 0 || (sq_flags & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) != 0 || iopoll_) {
    flags |= IORING_ENTER_GETEVENTS;
  }
  if ((sq_flags & IORING_SQ_NEED_WAKEUP) != 0) {
    flags |= IORING_ENTER_SQ_WAKEUP;
  } else if ((flags & IORING_ENTER_GETEVENTS) == 0) {
    return static_cast<int>(handed_over);
  }
  return kernel_->enter(ring_.enter_ring_fd, handed_over, wait_nr, flags, nullptr, kKernelSigsetBytes);
}

int Ring::get_events() noexcept { return enter(0, 0, IORING_ENTER_GETEVENTS, nullptr, kKernelSigsetBytes); }

int Ring::wait_for_sq_space() noexcept {
  if ((ring_.flags & IORING_SETUP_SQPOLL) == 0 || sq_space_left() != 0) return 0;
  unsigned flags = IORING_ENTER_SQ_WAIT;
  sq_needs_enter(0, &flags);
  return enter(0, 0, flags, nullptr, kKernelSigsetBytes);
}

}  // namespace assay
