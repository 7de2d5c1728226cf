// Whether what is in flight makes what turns over dearer: batches of NOPs while so many polls of an idle eventfd are
// outstanding, by liburing and by the Backend.

#include <poll.h>
#include <deque>

#include "assay/bench/bench_list.h"
#include "assay/bench/eventfd.h"
#include "assay/bench/repeated_nop.h"
#include "assay/bench/setup.h"

namespace assay::bench {
namespace {

constexpr unsigned kBatch = 32;
constexpr unsigned kSqEntries = 128;

class LiburingAmongPolls final : public Path {
 public:
  explicit LiburingAmongPolls(unsigned in_flight) : in_flight_(in_flight) {
    for (unsigned i = 0; i < in_flight; ++i) {
      io_uring_prep_poll_add(ring_.sqe(), idle_.fd(), POLLIN);
      if (i % kSqEntries == kSqEntries - 1 || i == in_flight - 1) {
        ring_.turn(0, [](const io_uring_cqe& cqe) { give_up("a poll", cqe.res); });
      }
    }
  }
  ~LiburingAmongPolls() override {
    // As below: what is left to the kernel it would cancel while something else is measured.
    idle_.make_readable();
    for (unsigned left = in_flight_; left != 0;) left -= ring_.turn(1, [](const io_uring_cqe& /*cqe*/) {});
  }
  Ran run(std::uint64_t rounds) override {
    for (std::uint64_t round = 0; round < rounds; ++round) {
      for (unsigned i = 0; i < kBatch; ++i) io_uring_prep_nop(ring_.sqe());
      unsigned left = kBatch;
      do {
        left -= ring_.turn(left, [](const io_uring_cqe& cqe) {
          if (cqe.res != 0) give_up("a NOP", cqe.res);
        });
      } while (left != 0);
    }
    return {.operations = rounds * kBatch, .cqes = rounds * kBatch};
  }

 private:
  const unsigned in_flight_;
  LiburingRing ring_{kSqEntries, 2 * kSqEntries, kDeferredRing};
  Eventfd idle_{0};
};

class BackendAmongPolls final : public Path {
 public:
  explicit BackendAmongPolls(unsigned in_flight) {
    for (unsigned i = 0; i < in_flight; ++i) {
      if (!backend_->submit(polls_.emplace_back(idle_.fd()))) give_up("Backend::submit", EBUSY);
    }
    if (!backend_->loop(LoopMode::kNonblock)) give_up("Backend::loop", EIO);
    for (unsigned i = 0; i < kBatch; ++i) nops_.emplace_back(*backend_, running_);
  }
  ~BackendAmongPolls() override {
    // To be canceled, each poll would be looked for among all others by the kernel.
    idle_.make_readable();
    if (!backend_->loop()) give_up("Backend::loop", EIO);
  }
  Ran run(std::uint64_t rounds) override {
    running_ = kBatch;
    for (RepeatedNop& nop : nops_) nop.start(rounds);
    if (!backend_->loop() || running_ != 0) give_up("Backend::loop", EIO);
    return {.operations = rounds * kBatch, .cqes = rounds * kBatch};
  }

 private:
  class Poll final : public Operation {
   public:
    explicit Poll(int fd) : fd_(fd) {}

   private:
    void prepare(io_uring_sqe& sqe) override { io_uring_prep_poll_add(&sqe, fd_, POLLIN); }
    void complete(const Completion& completion) override {
      if (completion.res != POLLIN) give_up("a poll", EIO);
    }

    int fd_;
  };

  Eventfd idle_{0};
  std::unique_ptr<Backend> backend_ = create_backend(kSqEntries, 2 * kSqEntries, kDeferredRing);
  unsigned running_ = 0;
  std::deque<Poll> polls_;
  std::deque<RepeatedNop> nops_;
};

}  // namespace

void add_among_polls(BenchList& list) {
  for (const unsigned in_flight : {1U, 1000U, 10'000U, 100'000U}) {
    BenchName name = {.chapter = "paths",
                      .work = "nop_among_polls",
                      .setup = "deferred+ringfd",
                      .path = "liburing",
                      .size_name = "in_flight",
                      .size = in_flight};
    list.add({.name = name, .rounds_at_a_time = 8, .make = make_path<LiburingAmongPolls>(in_flight)});
    name.path = "Backend";
    list.add({.name = name, .rounds_at_a_time = 8, .make = make_path<BackendAmongPolls>(in_flight)});
  }
}

}  // namespace assay::bench
