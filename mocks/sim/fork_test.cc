// What becomes of a simulated kernel in a child process.

#include "assay/mocks/sim/fork.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <utility>

#include "assay/backend/ring.h"
#include "assay/mocks/sim_kernel.h"

namespace assay {
namespace {

class Fork : public testing::Test {
 protected:
  Fork() {
    EXPECT_EQ(::pipe(pipe_), 0);
    io_uring_prep_poll_add(ring_.get_sqe(), pipe_[0], POLLIN);
    EXPECT_EQ(ring_.submit(), 1);
  }
  ~Fork() override {
    ::close(pipe_[0]);
    ::close(pipe_[1]);
  }

  /// The number of the first of `checks` that fails in a child, counted from 1; 0 if none does.
  template <typename... Checks>
  int in_child(Checks... checks) {
    const pid_t child = ::fork();
    if (child == 0) {
      int failed = 0;
      int number = 0;
      static_cast<void>(((++number, checks() || (failed = number, false)) && ...));
      ::_exit(failed);
    }
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  SimKernel kernel_{{.profile = documented_profile("linux-6.18", {6, 18})}};
  Ring ring_ = std::move(*Ring::create(kernel_, {.sq_entries = 8}));
  int pipe_[2];
};

TEST_F(Fork, RefusesTheParentsRings) {
  EXPECT_EQ(
      in_child([&] { return kernel_.enter(ring_.fd(), 0, 1, IORING_ENTER_GETEVENTS, nullptr, 0) == -EOPNOTSUPP; },
               [&] { return kernel_.register_op(ring_.fd(), IORING_UNREGISTER_FILES, nullptr, 0) == -EOPNOTSUPP; },
               [&] { return kernel_.close(ring_.fd()) == 0; }, [&] { return kernel_.close(ring_.fd()) == -EBADF; }),
      0);
}

TEST_F(Fork, AnswersAsLinuxForARingOfOneIssuer) {
  const Ring single = std::move(*Ring::create(kernel_, {.sq_entries = 8, .setup_flags = IORING_SETUP_SINGLE_ISSUER}));
  EXPECT_EQ(in_child([&] { return kernel_.enter(single.fd(), 1, 0, 0, nullptr, 0) == -EEXIST; },
                     [&] { return kernel_.register_op(single.fd(), IORING_UNREGISTER_FILES, nullptr, 0) == -EEXIST; }),
            0);
}

TEST_F(Fork, LeavesTheParentsRequestsAlone) {
  EXPECT_EQ(in_child([&] { return ::write(pipe_[1], "x", 1) == 1; },
                     // A call of the child's own, which must not find the parent's pipe ready.
                     [&] { return Ring::create(kernel_, {.sq_entries = 8}).has_value(); },
                     [&] { return kernel_.close(ring_.fd()) == 0; }),
            0);
  EXPECT_EQ(ring_.cq_ready(), 0u);
  EXPECT_EQ(ring_.submit_and_wait(1), 0);
  ASSERT_EQ(ring_.cq_ready(), 1u);
  EXPECT_EQ(ring_.peek_cqe()->res, POLLIN);
}

TEST_F(Fork, ServesTheChildsOwnRings) {
  EXPECT_EQ(in_child([&] {
              auto ring = Ring::create(kernel_, {.sq_entries = 8});
              if (!ring) return false;
              io_uring_prep_nop(ring->get_sqe());
              return ring->submit_and_wait(1) == 1 && ring->cq_ready() == 1;
            }),
            0);
}

TEST_F(Fork, MayHappenWhileOtherThreadsAreInACall) {
  std::atomic<bool> done{false};
  std::thread other([&] {
    timespec now;
    while (!done) kernel_.now(CLOCK_MONOTONIC, &now);
  });
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(in_child([&] { return Ring::create(kernel_, {.sq_entries = 8}).has_value(); }), 0);
  }
  done = true;
  other.join();
}

TEST_F(Fork, ChangesTheGeneration) {
  const std::uint64_t here = internal::fork_generation();
  EXPECT_EQ(in_child([&] { return internal::fork_generation() != here; }), 0);
  EXPECT_EQ(internal::fork_generation(), here);
}

}  // namespace
}  // namespace assay
