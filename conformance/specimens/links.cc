// Chains: what cuts them, and where they may not be cut.

#include <cerrno>

#include "assay/conformance/specimens/specimen.h"

namespace assay::conformance {
namespace {

// A write that is to begin after a while.
FileWriter late_writer(bool defect) {
  return [defect](Kernel& kernel, int fd, std::uint64_t offset, std::span<const std::byte> from) {
    SmallLoop loop(kernel);
    if (loop.error() != 0) return loop.error();
    __kernel_timespec time{.tv_sec = 0, .tv_nsec = 1'000'000};
    std::size_t written = 0;
    int delayed = 0;
    int error = -EINPROGRESS;
    const auto prepare = [&](io_uring_sqe& sqe) {
      io_uring_prep_write(&sqe, fd, from.data() + written, static_cast<unsigned>(from.size() - written),
                          offset + written);
    };
    const auto told = [&](const io_uring_cqe& cqe) {
      if (cqe.res > 0) written += static_cast<std::size_t>(cqe.res);
      error = cqe.res < 0 ? cqe.res : 0;
    };
    // A timeout that is over has failed, as links see it.
    loop.start_chain({{.prepare =
                           [&](io_uring_sqe& sqe) {
                             io_uring_prep_timeout(&sqe, &time, 0, 0);
                             sqe.flags |= defect ? IOSQE_IO_LINK : IOSQE_IO_HARDLINK;
                           },
                       .told = [&](const io_uring_cqe& cqe) { delayed = cqe.res; }},
                      {prepare, told}});
    loop.run();
    // Without timeouts there is no delay.
    if (delayed != -ETIME && error == -ECANCELED) error = -EAGAIN;
    while (loop.error() == 0 && (error == -EINTR || error == -EAGAIN || (error == 0 && written < from.size()))) {
      loop.start(prepare, told);
      loop.run();
    }
    if (loop.error() != 0) return loop.error();
    return error != 0 ? error : static_cast<int>(written);
  };
}

}  // namespace

void internal::add_link_specimens(std::vector<Specimen>& specimens) {
  specimens.push_back(specimen_of<FileWriter>("timeout-cuts-its-chain", {"B89"},
                                              "A request is linked behind a timeout, which cuts the chain when it is "
                                              "over.",
                                              "writes-whole", writes_whole, late_writer));
}

}  // namespace assay::conformance
