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

}  // namespace

void internal::add_descriptor_specimens(std::vector<Specimen>& specimens) {
  specimens.push_back(specimen_of<ClosingWriter>(
      "closed-before-it-was-taken", {"B73"},
      "A file is closed when its requests were submitted, though the kernel may not have taken them yet.",
      "writes-to-its-own-file", writes_to_its_own_file, closing_writer));
}

}  // namespace assay::conformance
