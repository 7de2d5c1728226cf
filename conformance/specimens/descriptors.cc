// Descriptors that are closed, and whose numbers mean other files by then.

#include <cerrno>

#include "assay/conformance/specimens/specimen.h"

namespace assay::conformance {
namespace {

// Writes with all blocks in one submission, which the ring has room for.
class ClosesEarly final : public SmallLoop {
 public:
  ClosesEarly(Kernel& kernel, bool defect, const std::function<void()>& close)
      : SmallLoop(kernel, {.sq_entries = 2 * kSqEntries}), defect_(defect), close_(close) {}

 private:
  int enter() override {
    const int answer = SmallLoop::enter();
    // The kernel has got the file, one might think.
    if (defect_ && !std::exchange(closed_, true)) close_();
    return answer;
  }

  bool defect_;
  bool closed_ = false;
  const std::function<void()>& close_;
};

ClosingWriter closing_writer(bool defect) {
  return [defect](Kernel& kernel, int fd, std::span<const std::byte> from, const std::function<void()>& close) {
    ClosesEarly loop(kernel, defect, close);
    const int result = TransferJob::write(loop, fd, 0, from).run();
    if (!defect || loop.error() != 0) close();
    return result;
  };
}

// Writes behind a delay. The kernel looks a linked request's file up when its turn has come (5.18).
ClosingWriter late_writer(bool defect) {
  return [defect](Kernel& kernel, int fd, std::span<const std::byte> from, const std::function<void()>& close) {
    SmallLoop loop(kernel);
    if (loop.error() != 0) return loop.error();
    __kernel_timespec time{.tv_sec = 0, .tv_nsec = 1'000'000};
    int result = -EINPROGRESS;
    loop.start_chain({{.prepare =
                           [&](io_uring_sqe& sqe) {
                             io_uring_prep_timeout(&sqe, &time, 0, 0);
                             sqe.flags |= IOSQE_IO_HARDLINK;
                           },
                       .told = [](const io_uring_cqe&) {}},
                      {.prepare =
                           [&](io_uring_sqe& sqe) {
                             io_uring_prep_write(&sqe, fd, from.data(), static_cast<unsigned>(from.size()), 0);
                           },
                       .told = [&](const io_uring_cqe& cqe) { result = cqe.res; }}});
    loop.submit_all();
    if (defect) close();
    loop.run();
    // What the chain did not do is done without a delay.
    const std::size_t written = result > 0 ? static_cast<std::size_t>(result) : 0;
    const bool again = result > 0 || result == -ECANCELED || result == -EINTR || result == -EAGAIN;
    if (!defect && again && loop.error() == 0) {
      result = TransferJob::write(loop, fd, written, from.subspan(written)).run();
    }
    if (!defect) close();
    return loop.error() != 0 ? loop.error() : result;
  };
}

}  // namespace

void internal::add_descriptor_specimens(std::vector<Specimen>& specimens) {
  specimens.push_back(specimen_of<ClosingWriter>(
      "closed-before-it-was-taken", {"B73"},
      "A file is closed when its requests were submitted, though the kernel may not have taken them yet.",
      "writes-to-its-own-file", writes_to_its_own_file, closing_writer));
  specimens.push_back(specimen_of<ClosingWriter>(
      "closed-before-its-turn", {"B75"},
      "A file is closed when its request was submitted, though the kernel looks it up when it carries that out.",
      "writes-to-its-own-file", writes_to_its_own_file, late_writer));
}

}  // namespace assay::conformance
