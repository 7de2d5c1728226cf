// Rings that are given other sizes, with all that they hold. They have no index array: where a new one lies is not
// told.

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

constexpr std::uint32_t kFlags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | uapi::kSetupNoSqarray;

/// A ring used by hand, since its memory is another one after each resizing.
class BareRing {
 public:
  BareRing(KernelUnderTest& kernel, unsigned entries) : kernel_(kernel.kernel()) {
    io_uring_params params{};
    params.flags = kFlags;
    fd_ = kernel_.setup(entries, &params);
    EXPECT_GE(fd_, 0);
    if (fd_ < 0) throw BodyEnded();
    map(params);
  }
  BareRing(const BareRing&) = delete;
  BareRing& operator=(const BareRing&) = delete;
  ~BareRing() {
    unmap();
    kernel_.close(fd_);
  }

  int fd() const { return fd_; }
  unsigned sq_entries() const { return sq_entries_; }
  unsigned cq_entries() const { return cq_entries_; }
  unsigned cq_ready() const { return word(offsets_.cq_off.tail) - word(offsets_.cq_off.head); }
  unsigned sq_ready() const { return word(offsets_.sq_off.tail) - word(offsets_.sq_off.head); }

  /// Makes SQEs visible, without a call.
  void queue_nop(std::uint64_t user_data) {
    unsigned& tail = word(offsets_.sq_off.tail);
    io_uring_sqe* sqe = sqes_ + (tail & (sq_entries_ - 1));
    std::memset(static_cast<void*>(sqe), 0, sizeof *sqe);
    sqe->user_data = user_data;
    __atomic_store_n(&tail, tail + 1, __ATOMIC_RELEASE);
  }
  int submit() { return kernel_.enter(fd_, sq_ready(), 0, IORING_ENTER_GETEVENTS, nullptr, 8); }
  /// The user_data of the next CQE, which is given back; 0 when there is none.
  std::uint64_t take_one() {
    if (cq_ready() == 0) return 0;
    unsigned& head = word(offsets_.cq_off.head);
    const auto* cqes = reinterpret_cast<const io_uring_cqe*>(static_cast<char*>(rings_) + offsets_.cq_off.cqes);
    const std::uint64_t user_data = cqes[head & (cq_entries_ - 1)].user_data;
    __atomic_store_n(&head, head + 1, __ATOMIC_RELEASE);
    return user_data;
  }

  int resize(io_uring_params& params) {
    const int result = kernel_.register_op(fd_, uapi::kRegisterResizeRings, &params, 1);
    if (result == 0) {
      unmap();
      map(params);
    }
    return result;
  }
  int resize(unsigned sq_entries, unsigned cq_entries) {
    io_uring_params params{};
    params.sq_entries = sq_entries;
    params.cq_entries = cq_entries;
    params.flags = IORING_SETUP_CQSIZE;
    return resize(params);
  }

 private:
  void map(const io_uring_params& params) {
    offsets_ = params;
    sq_entries_ = params.sq_entries;
    cq_entries_ = params.cq_entries;
    rings_bytes_ = params.cq_off.cqes + cq_entries_ * sizeof(io_uring_cqe);
    sqes_bytes_ = sq_entries_ * sizeof(io_uring_sqe);
    void* sqes = nullptr;
    EXPECT_EQ(kernel_.map(fd_, IORING_OFF_SQ_RING, rings_bytes_, &rings_), 0);
    EXPECT_EQ(kernel_.map(fd_, IORING_OFF_SQES, sqes_bytes_, &sqes), 0);
    if (rings_ == nullptr || sqes == nullptr) throw BodyEnded();
    sqes_ = static_cast<io_uring_sqe*>(sqes);
  }
  void unmap() {
    kernel_.unmap(rings_, rings_bytes_);
    kernel_.unmap(sqes_, sqes_bytes_);
    rings_ = nullptr;
    sqes_ = nullptr;
  }
  unsigned& word(unsigned offset) const { return *reinterpret_cast<unsigned*>(static_cast<char*>(rings_) + offset); }

  Kernel& kernel_;
  int fd_ = -1;
  io_uring_params offsets_{};
  unsigned sq_entries_ = 0;
  unsigned cq_entries_ = 0;
  std::size_t rings_bytes_ = 0;
  std::size_t sqes_bytes_ = 0;
  void* rings_ = nullptr;
  io_uring_sqe* sqes_ = nullptr;
};

void submit_nops(BareRing& ring, std::uint64_t first, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    ring.queue_nop(first + i);
    ASSERT_EQ(ring.submit(), 1);
  }
}

void expect_nops(BareRing& ring, std::uint64_t first, unsigned count) {
  for (unsigned i = 0; i < count; ++i) EXPECT_EQ(ring.take_one(), first + i);
}

}  // namespace

std::vector<Behaviour> ring_resize_behaviours() {
  const std::string suite = "RingResize";
  const Needs needs{.setup_flags = kFlags, .register_ops = {uapi::kRegisterResizeRings}};
  return {
      {suite, "MakesBothRingsLarger", needs,
       [](KernelUnderTest& kernel) {
         BareRing ring(kernel, 4);
         io_uring_params params{};
         params.sq_entries = 17;
         ASSERT_EQ(ring.resize(params), 0);
         EXPECT_EQ(ring.sq_entries(), 32u) << "rounded up";
         EXPECT_EQ(ring.cq_entries(), 64u) << "twice the SQ";
         for (std::uint64_t i = 1; i <= 20; ++i) ring.queue_nop(i);
         EXPECT_EQ(ring.submit(), 20) << "more than there was room for";
         expect_nops(ring, 1, 20);
       }},
      {suite, "MakesBothRingsSmaller", needs,
       [](KernelUnderTest& kernel) {
         BareRing ring(kernel, 64);
         ASSERT_EQ(ring.resize(2, 4), 0);
         EXPECT_EQ(ring.sq_entries(), 2u);
         EXPECT_EQ(ring.cq_entries(), 4u);
         for (std::uint64_t first = 1; first <= 30; first += 3) {
           submit_nops(ring, first, 3);
           expect_nops(ring, first, 3);
         }
       }},
      {suite, "KeepsCompletionsThatWait", needs,
       [](KernelUnderTest& kernel) {
         BareRing ring(kernel, 4);
         submit_nops(ring, 1, 7);
         expect_nops(ring, 1, 2);
         ASSERT_EQ(ring.resize(4, 32), 0);
         EXPECT_EQ(ring.cq_ready(), 5u);
         expect_nops(ring, 3, 5);
       }},
      {suite, "KeepsCompletionsThatWrapAround", needs,
       [](KernelUnderTest& kernel) {
         BareRing ring(kernel, 4);
         submit_nops(ring, 1, 6);
         expect_nops(ring, 1, 6);
         submit_nops(ring, 7, 5);
         ASSERT_EQ(ring.resize(4, 16), 0);
         expect_nops(ring, 7, 5);
         submit_nops(ring, 12, 9);
         expect_nops(ring, 12, 9);
       }},
      {suite, "KeepsSqesThatWait", needs,
       [](KernelUnderTest& kernel) {
         BareRing ring(kernel, 4);
         submit_nops(ring, 1, 3);
         expect_nops(ring, 1, 3);
         for (std::uint64_t i = 4; i <= 6; ++i) ring.queue_nop(i);
         ASSERT_EQ(ring.resize(16, 32), 0);
         EXPECT_EQ(ring.sq_ready(), 3u);
         EXPECT_EQ(ring.submit(), 3);
         expect_nops(ring, 4, 3);
       }},
      {suite, "RefusesACqTooSmallForWhatWaits", needs,
       [](KernelUnderTest& kernel) {
         BareRing ring(kernel, 4);
         submit_nops(ring, 1, 5);
         EXPECT_EQ(ring.resize(4, 4), -EOVERFLOW);
         EXPECT_EQ(ring.cq_entries(), 8u);
         expect_nops(ring, 1, 5);
         EXPECT_EQ(ring.resize(4, 4), 0) << "now nothing does";
       }},
      {suite, "RefusesAnSqTooSmallForWhatWaits", needs,
       [](KernelUnderTest& kernel) {
         BareRing ring(kernel, 4);
         for (std::uint64_t i = 1; i <= 3; ++i) ring.queue_nop(i);
         EXPECT_EQ(ring.resize(2, 8), -EOVERFLOW);
         EXPECT_EQ(ring.submit(), 3);
         expect_nops(ring, 1, 3);
       }},
      {suite, "IsDoneAsOftenAsOneLikes", needs,
       [](KernelUnderTest& kernel) {
         BareRing ring(kernel, 1);
         std::uint64_t sent = 0;
         for (const unsigned entries : {2u, 8u, 4u, 32u, 1u}) {
           ASSERT_EQ(ring.resize(entries, 2 * entries), 0);
           submit_nops(ring, ++sent, 1);
           EXPECT_EQ(ring.take_one(), sent);
         }
       }},
      {suite, "ClampsSizesWhenAsked", needs,
       [](KernelUnderTest& kernel) {
         BareRing ring(kernel, 4);
         io_uring_params params{};
         params.sq_entries = 1u << 20;
         EXPECT_EQ(ring.resize(params), -EINVAL);
         params = {};
         params.sq_entries = 1u << 20;
         params.flags = IORING_SETUP_CLAMP;
         ASSERT_EQ(ring.resize(params), 0);
         EXPECT_EQ(params.sq_entries, 32768u);
       }},
      {suite, "RefusesSizesThatNoRingCanHave", needs,
       [](KernelUnderTest& kernel) {
         BareRing ring(kernel, 4);
         io_uring_params params{};
         EXPECT_EQ(ring.resize(params), -EINVAL) << "no entries";
         EXPECT_EQ(ring.resize(4, 0), -EINVAL);
         EXPECT_EQ(ring.resize(4, 2), -EINVAL) << "a CQ smaller than the SQ";
       }},
      {suite, "RefusesToChangeAnythingElse", needs,
       [](KernelUnderTest& kernel) {
         BareRing ring(kernel, 4);
         for (const std::uint32_t flag : {IORING_SETUP_SQPOLL, IORING_SETUP_CQE32, IORING_SETUP_SQE128,
                                          IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_SUBMIT_ALL}) {
           io_uring_params params{};
           params.sq_entries = 8;
           params.flags = flag;
           EXPECT_EQ(ring.resize(params), -EINVAL) << "flags " << flag;
         }
         EXPECT_EQ(kernel.kernel().register_op(ring.fd(), uapi::kRegisterResizeRings, nullptr, 1), -EINVAL);
         EXPECT_EQ(kernel.kernel().register_op(ring.fd(), uapi::kRegisterResizeRings, reinterpret_cast<void*>(1), 1),
                   -EFAULT);
       }},
      {suite, "IsForRingsOfDeferredTaskWork", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         io_uring_params params{};
         params.sq_entries = 8;
         EXPECT_EQ(ring.register_op(uapi::kRegisterResizeRings, &params, 1), -EINVAL);
       }},
  };
}

}  // namespace assay::conformance
