// SQPOLL: a poll thread that has to be woken, and one that has died; and a ring that belongs to another thread.

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <thread>

#include "assay/conformance/specimens/specimen.h"

namespace assay::conformance {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kSigsetBytes = 8;

// Its poll thread sleeps whenever nothing happened for a while.
class WokenTooEarly final : public DefectiveLoop {
 public:
  WokenTooEarly(Kernel& kernel, bool defect)
      : DefectiveLoop(kernel, defect,
                      {.sq_entries = kSqEntries, .setup_flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 1ms}) {}

 private:
  int enter() override {
    if (!defect_) ring().flush_sq();
    const int answer = wake();
    if (defect_) ring().flush_sq();
    return answer < 0 ? answer
                      : ring().kernel().enter(ring().fd(), 0, 1, IORING_ENTER_GETEVENTS, nullptr, kSigsetBytes);
  }
  int wake() {
    io_uring_smp_mb();
    if ((IO_URING_READ_ONCE(*ring().raw()->sq.kflags) & IORING_SQ_NEED_WAKEUP) == 0) return 0;
    return ring().kernel().enter(ring().fd(), 0, 0, IORING_ENTER_SQ_WAKEUP, nullptr, kSigsetBytes);
  }
};

// Some kernels say so of a thread that is alive (5.12 and 5.13).
class AbortsWhenOwnerDead final : public DefectiveLoop {
 public:
  AbortsWhenOwnerDead(Kernel& kernel, bool defect)
      : DefectiveLoop(kernel, defect, {.sq_entries = kSqEntries, .setup_flags = IORING_SETUP_SQPOLL}) {}

 private:
  bool bears(int answer) override {
    if (answer == -EOWNERDEAD) {
      if (defect_) std::abort();
      return true;  // what was submitted is done all the same, or the wait would not end
    }
    return SmallLoop::bears(answer);
  }
};

// Set up here and run by another thread, which is the first to enable the ring unless it is enabled already.
FileReader reader_on_another_thread(bool defect) {
  return [defect](Kernel& kernel, int fd, std::uint64_t offset, std::span<std::byte> into) {
    const unsigned bound = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    SmallLoop loop(kernel, {.sq_entries = SmallLoop::kSqEntries,
                            .setup_flags = bound | (defect ? 0u : unsigned{IORING_SETUP_R_DISABLED})});
    if (loop.error() != 0) return loop.error();
    int result = 0;
    std::thread worker([&] {
      if (!defect) result = loop.ring().enable();
      if (result >= 0) result = TransferJob::read(loop, fd, offset, into).run();
    });
    worker.join();
    return result;
  };
}

}  // namespace

void internal::add_poll_thread_specimens(std::vector<Specimen>& specimens) {
  specimens.push_back(sleeping_loop<WokenTooEarly>(
      "woken-before-the-tail", {"B77"},
      "The poll thread is woken before it can see the SQEs, and sleeps again without them."));
  specimens.push_back(reading_loop<AbortsWhenOwnerDead>("owner-dead-aborts", {"B72"},
                                                        "-EOWNERDEAD from a wake-up aborts the process."));
  specimens.push_back(specimen_of<FileReader>("run-by-another-thread", {"B32"},
                                              "A ring that belongs to the thread that set it up is run by another.",
                                              "reads-whole", reads_whole, reader_on_another_thread));
}

}  // namespace assay::conformance
