// Chains: what cuts them, and where they may not be cut.

#include <algorithm>
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

// Takes SQEs one by one, and makes room by submitting when there is none: in the middle of a chain, too.
class ChainAcrossSubmissions final : public DefectiveLoop {
  using DefectiveLoop::DefectiveLoop;
  bool has_room(std::size_t sqes) override { return defect_ || SmallLoop::has_room(sqes); }
  io_uring_sqe* next_sqe() override {
    io_uring_sqe* sqe = SmallLoop::next_sqe();
    for (; sqe == nullptr; sqe = SmallLoop::next_sqe()) ring().submit();
    return sqe;
  }
};

// Writes parts as a chain, and what a chain that was cut has left as another one.
int write_chain(SmallLoop& loop, int fd, std::span<const std::span<const std::byte>> parts) {
  struct Part {
    std::uint64_t offset;
    std::span<const std::byte> rest;
    int res;
  };
  std::vector<Part> left;
  std::uint64_t offset = 0;
  for (const std::span<const std::byte> part : parts) {
    left.push_back({offset, part, 0});
    offset += part.size();
  }
  // Others use the loop too, so a chain does not begin at the SQ's first entry.
  for (int i = 0; i < 2; ++i)
    loop.start([](io_uring_sqe& sqe) { io_uring_prep_nop(&sqe); }, [](const io_uring_cqe&) {});
  while (!left.empty() && loop.error() == 0) {
    std::vector<SmallLoop::Link> chain;
    for (Part& part : left) {
      const bool is_last = &part == &left.back();
      chain.push_back({.prepare =
                           [&part, fd, is_last](io_uring_sqe& sqe) {
                             io_uring_prep_write(&sqe, fd, part.rest.data(), static_cast<unsigned>(part.rest.size()),
                                                 part.offset);
                             if (!is_last) sqe.flags |= IOSQE_IO_LINK;
                           },
                       .told = [&part](const io_uring_cqe& cqe) { part.res = cqe.res; }});
    }
    loop.start_chain(std::move(chain));
    if (const int error = loop.run(); error != 0) return error;
    while (!left.empty() && left.front().res == static_cast<int>(left.front().rest.size())) left.erase(left.begin());
    if (left.empty()) break;
    Part& cut = left.front();
    if (cut.res > 0) {
      cut.offset += static_cast<unsigned>(cut.res);
      cut.rest = cut.rest.subspan(static_cast<unsigned>(cut.res));
    } else if (cut.res != -EINTR && cut.res != -EAGAIN) {
      // A member that is refused at submission cancels those before it as well.
      const auto refused = std::find_if(left.begin(), left.end(),
                                        [](const Part& part) { return part.res < 0 && part.res != -ECANCELED; });
      return refused != left.end() ? refused->res : cut.res;
    }
  }
  return loop.error();
}

// A read with a LINK_TIMEOUT behind it, which says how it was: -ECANCELED when the read was first, -ETIME when it has
// ended the read, -ENOENT or -EALREADY when it could not, and -EINVAL when the kernel took the read alone.
TimedReader limited_reader(bool defect) {
  return [defect](Kernel& kernel, const PipeRead& read, std::chrono::nanoseconds limit) {
    constexpr unsigned kMostTries = 3;
    SmallLoop loop(kernel);
    __kernel_timespec time{.tv_sec = 0, .tv_nsec = limit.count()};
    int result = 0;
    int limited = 0;
    std::uint64_t reading = 0;
    const auto prepare_read = [&](io_uring_sqe& sqe) {
      io_uring_prep_read(&sqe, read.fd, read.into.data(), static_cast<unsigned>(read.into.size()), ~std::uint64_t{0});
      sqe.flags |= IOSQE_IO_LINK;
    };
    const auto is_missed = [&] { return limited == -ENOENT || limited == -EALREADY; };
    const auto told_of_limit = [&](const io_uring_cqe& cqe) {
      limited = cqe.res;
      if (limited == -EINVAL || (is_missed() && !defect)) loop.cancel(reading);
    };
    const auto has_to_be_repeated = [&] {
      return limited == -EINVAL ? result == -ECANCELED
                                : limited == -ECANCELED && (result == -EINTR || result == -EAGAIN);
    };
    unsigned tries = 0;
    do {
      result = -EINPROGRESS;
      limited = 0;
      reading =
          loop.start_chain({{prepare_read, [&](const io_uring_cqe& cqe) { result = cqe.res; }},
                            {[&](io_uring_sqe& sqe) { io_uring_prep_link_timeout(&sqe, &time, 0); }, told_of_limit}})
              .front();
      loop.run_until([&] { return defect && is_missed(); });
    } while (loop.error() == 0 && has_to_be_repeated() && ++tries < kMostTries);
    if (loop.error() != 0) return loop.error();
    if (limited == -EINVAL) return result == -ECANCELED ? limited : result;
    if (result > 0 || limited == -ECANCELED) return result;
    return -ETIME;
  };
}

OrderedWriter ordered_writer(bool defect) {
  return [defect](Kernel& kernel, int fd, std::span<const std::span<const std::byte>> parts) {
    ChainAcrossSubmissions loop(kernel, defect);
    return loop.error() != 0 ? loop.error() : write_chain(loop, fd, parts);
  };
}

}  // namespace

void internal::add_link_specimens(std::vector<Specimen>& specimens) {
  specimens.push_back(specimen_of<TimedReader>(
      "limit-must-find-its-read", {"B91"},
      "A LINK_TIMEOUT that says -ENOENT or -EALREADY is taken for one that has ended its read.", "reads-in-time",
      reads_in_time, limited_reader));
  specimens.push_back(specimen_of<FileWriter>("timeout-cuts-its-chain", {"B89"},
                                              "A request is linked behind a timeout, which cuts the chain when it is "
                                              "over.",
                                              "writes-whole", writes_whole, late_writer));
  specimens.push_back(specimen_of<OrderedWriter>(
      "chain-across-submissions", {"B22"},
      "Where the SQ is full in the middle of a chain the first part of it is submitted, and the rest later.",
      "writes-in-order", writes_in_order, ordered_writer));
}

}  // namespace assay::conformance
