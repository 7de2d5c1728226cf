// Provided buffers by themselves, and what a Chooser decides about sockets: no kernel can be asked for either.

#include "assay/mocks/sim/provided_buffers.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <vector>

#include "assay/backend/ring.h"
#include "assay/mocks/sim_kernel.h"

namespace assay {
namespace {

using internal::BufferGroup;
using internal::ProvidedBuffers;
using internal::SelectedBuffer;

constexpr std::uint16_t kGroup = 1;

void add(ProvidedBuffers& groups, std::uint16_t count) {
  for (std::uint16_t i = 0; i < count; ++i) groups.get(kGroup).list().push_back({std::uint64_t{100} * i, 100, i});
}

std::uint16_t next(ProvidedBuffers& groups) {
  SelectedBuffer selected;
  EXPECT_EQ(groups.select(selected, kGroup, 0, false), 0);
  return selected.id;
}

TEST(ProvidedBuffers, ComeInTheOrderOfTheKernel) {
  ProvidedBuffers newer;
  add(newer, 2);
  EXPECT_EQ(next(newer), 0);
  ProvidedBuffers older;
  older.set_rules({.oldest_first = false});
  add(older, 2);
  EXPECT_EQ(next(older), 1);
}

TEST(ProvidedBuffers, AreWholeAgainWhenGivenBack) {
  ProvidedBuffers groups;
  add(groups, 2);
  SelectedBuffer selected;
  ASSERT_EQ(groups.select(selected, kGroup, 3, false), 0);
  EXPECT_EQ(selected.bytes, 3u);
  groups.give_back(selected);
  ASSERT_EQ(groups.select(selected, kGroup, 0, false), 0);
  EXPECT_EQ(selected.id, 0);
  EXPECT_EQ(selected.bytes, 100u);
}

TEST(ProvidedBuffers, StayWithWhoKeepsThem) {
  ProvidedBuffers groups;
  add(groups, 1);
  SelectedBuffer selected;
  ASSERT_EQ(groups.select(selected, kGroup, 0, false), 0);
  selected.kept = true;
  groups.give_back(selected);
  SelectedBuffer other;
  EXPECT_EQ(groups.select(other, kGroup, 0, false), -ENOBUFS);
  EXPECT_EQ(groups.use(selected, 1), IORING_CQE_F_BUFFER);
}

/// A ring of two buffers of eight bytes each, of an incremental group.
struct IncrementalRing {
  explicit IncrementalRing(std::uint32_t min_left) {
    BufferGroup& group = groups.get(kGroup);
    EXPECT_EQ(group.make_ring(nullptr, 2, true, min_left), 0);
    for (std::uint16_t i = 0; i < 2; ++i) {
      group.ring_entry(i).addr = 1000 + i * 8u;
      group.ring_entry(i).len = 8;
      group.ring_entry(i).bid = i;
    }
    void* view = nullptr;
    EXPECT_EQ(group.map(4096, &view), 0);
    static_cast<io_uring_buf_ring*>(view)->tail = 2;
    EXPECT_EQ(::munmap(view, 4096), 0);
  }
  /// Selects a buffer and fills so much of it: the flags of the CQE.
  std::uint32_t fill(std::int32_t bytes) {
    SelectedBuffer selected;
    EXPECT_EQ(groups.select(selected, kGroup, 0, false), 0);
    return groups.use(selected, bytes);
  }

  ProvidedBuffers groups;
};

TEST(ProvidedBuffers, AreUsedBitByBit) {
  IncrementalRing ring(0);
  EXPECT_EQ(ring.fill(7), IORING_CQE_F_BUFFER | uapi::kCqeFBufMore);
  EXPECT_EQ(ring.groups.find(kGroup)->ring_entry(0).addr, 1007u);
  EXPECT_EQ(ring.fill(1), IORING_CQE_F_BUFFER);
  EXPECT_EQ(ring.groups.find(kGroup)->head(), 1);
}

TEST(ProvidedBuffers, AreUsedUpWhenTooLittleIsLeft) {
  IncrementalRing ring(4);
  EXPECT_EQ(ring.fill(4), IORING_CQE_F_BUFFER | uapi::kCqeFBufMore) << "four bytes are not less than four";
  EXPECT_EQ(ring.fill(1), IORING_CQE_F_BUFFER);
}

TEST(ProvidedBuffers, AreTakenTogetherForABundle) {
  IncrementalRing ring(0);
  SelectedBuffer selected;
  std::vector<iovec> buffers;
  ASSERT_EQ(ring.groups.select_many(selected, kGroup, 10, &buffers), 0);
  ASSERT_EQ(buffers.size(), 2u);
  EXPECT_EQ(buffers[0].iov_len, 8u);
  EXPECT_EQ(buffers[1].iov_len, 2u);
  EXPECT_EQ(ring.groups.select_many(selected, 77, 10, &buffers), -ENOENT);
}

/// Answers one question in its own way, all others as usual.
class OneChoice final : public PlainChooser {
 public:
  OneChoice(ChoicePoint point, std::uint64_t answer) : point_(point), answer_(answer) {}
  std::uint64_t choose(const Choice& choice) override {
    return choice.point == point_ ? answer_ : PlainChooser::choose(choice);
  }

 private:
  ChoicePoint point_;
  std::uint64_t answer_;
};

class SocketChoices : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds_.data()), 0); }
  void TearDown() override {
    for (const int fd : fds_) ::close(fd);
  }
  /// A send of five bytes under this choice: its result.
  int send(ChoicePoint point, std::uint64_t answer, int flags) {
    OneChoice chooser(point, answer);
    SimOptions options;
    options.profile = documented_profile("linux-6.18", {6, 18});
    options.chooser = &chooser;
    SimKernel kernel(options);
    Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
    if (!ring) return -1;
    io_uring_prep_send(ring->get_sqe(), fds_[0], "hello", 5, flags);
    EXPECT_EQ(ring->submit_and_wait(1), 1);
    io_uring_cqe* cqe = ring->peek_cqe();
    if (cqe == nullptr) return -1;
    const int result = cqe->res;
    ring->cqe_seen(cqe);
    return result;
  }

  std::array<int, 2> fds_{-1, -1};
};

TEST_F(SocketChoices, ASendIsAsShortAsTheChooserHasIt) {
  EXPECT_EQ(send(ChoicePoint::kTransferLength, 2, 0), 2);
  std::array<char, 8> bytes;
  EXPECT_EQ(::read(fds_[1], bytes.data(), bytes.size()), 2) << "no more than that was sent";
}

TEST_F(SocketChoices, ASendWithMsgWaitallGoesOnUntilAllIsSent) {
  EXPECT_EQ(send(ChoicePoint::kTransferLength, 2, MSG_WAITALL), 5);
  std::array<char, 8> bytes;
  EXPECT_EQ(::read(fds_[1], bytes.data(), bytes.size()), 5);
}

}  // namespace
}  // namespace assay
