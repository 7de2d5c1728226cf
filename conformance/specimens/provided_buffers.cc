// Buffers that the kernel picks: when it finds none, when a receive was given up, and when it fills one bit by bit.

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "assay/conformance/specimens/specimen.h"

namespace assay::conformance {
namespace {

// A group of buffers, shared with the kernel.
class Buffers {
 public:
  static constexpr unsigned kCount = 8;
  static constexpr std::uint16_t kGroup = 1;

  Buffers(Ring& ring, std::size_t bytes, std::uint16_t flags = 0)
      : entries_(std::aligned_alloc(kPage, kPage), std::free), bytes_(bytes), memory_(kCount * bytes) {
    std::memset(entries_.get(), 0, kPage);
    io_uring_buf_reg request{};
    request.ring_addr = reinterpret_cast<std::uintptr_t>(entries_.get());
    request.ring_entries = kCount;
    request.bgid = kGroup;
    uapi::set_pbuf_flags(request, flags);
    error_ = ring.register_op(IORING_REGISTER_PBUF_RING, &request, 1);
    for (std::uint16_t id = 0; id < kCount; ++id) give_back(id);
  }

  int error() const noexcept { return error_ < 0 ? error_ : 0; }
  std::span<const std::byte> data(std::uint16_t id, std::size_t from, std::size_t bytes) const {
    return std::span(memory_).subspan(id * bytes_ + from, bytes);
  }
  void give_back(std::uint16_t id) {
    io_uring_buf_ring_add(buffer_ring(), memory_.data() + id * bytes_, static_cast<unsigned>(bytes_), id,
                          io_uring_buf_ring_mask(kCount), 0);
    io_uring_buf_ring_advance(buffer_ring(), 1);
  }

 private:
  io_uring_buf_ring* buffer_ring() { return static_cast<io_uring_buf_ring*>(entries_.get()); }

  static constexpr std::size_t kPage = 4096;
  std::unique_ptr<void, decltype(&std::free)> entries_;
  std::size_t bytes_;
  std::vector<std::byte> memory_;
  int error_ = 0;
};

enum class ReceiveDefect { kNone, kEndsWithoutBuffers, kDropsWhatCameBefore, kForgetsHowFar };

// Receives a stream into provided buffers by a multishot request. Pauses after each piece where it is to.
class Receiver {
 public:
  struct Options {
    bool pauses = false;
    bool incremental = false;
    ReceiveDefect defect = ReceiveDefect::kNone;
  };

  Receiver(SmallLoop& loop, int socket, const std::function<void(std::span<const std::byte>)>& got,
           const Options& options)
      : loop_(loop),
        socket_(socket),
        got_(got),
        options_(options),
        buffers_(loop.ring(), options.incremental ? kLargeBytes : kSmallBytes,
                 options.incremental ? uapi::kPbufRingInc : std::uint16_t{0}) {}

  int run() {
    if (buffers_.error() != 0) return buffers_.error();
    arm();
    loop_.run();
    return loop_.error() != 0 ? loop_.error() : error_;
  }

 private:
  static constexpr std::size_t kSmallBytes = 64;
  static constexpr std::size_t kLargeBytes = 512;

  void arm() {
    paused_ = false;
    name_ = loop_.start(
        [this](io_uring_sqe& sqe) {
          io_uring_prep_recv_multishot(&sqe, socket_, nullptr, 0, 0);
          sqe.flags |= IOSQE_BUFFER_SELECT;
          sqe.buf_group = Buffers::kGroup;
        },
        [this](const io_uring_cqe& cqe) { completed(cqe); });
  }

  void completed(const io_uring_cqe& cqe) {
    const bool is_last = (cqe.flags & IORING_CQE_F_MORE) == 0;
    const bool was_paused = paused_;
    if ((cqe.flags & IORING_CQE_F_BUFFER) != 0 &&
        !(was_paused && options_.defect == ReceiveDefect::kDropsWhatCameBefore)) {
      take(cqe);
    }
    if (!is_last || error_ != 0) return;
    switch (cqe.res) {
      case 0:
        return;
      case -ENOBUFS:  // all were given back by now
        if (options_.defect == ReceiveDefect::kEndsWithoutBuffers) break;
        return arm();
      case -ECANCELED:
        if (!was_paused) break;
        return arm();
      case -EINTR:
      case -EAGAIN:
        return arm();
      default:
        if (cqe.res > 0) return arm();
        break;
    }
    error_ = cqe.res;
  }

  void take(const io_uring_cqe& cqe) {
    const auto id = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    const auto bytes = static_cast<std::size_t>(cqe.res);
    got_(buffers_.data(id, filled_[id], bytes));
    if (options_.incremental && (cqe.flags & uapi::kCqeFBufMore) != 0) {
      if (options_.defect != ReceiveDefect::kForgetsHowFar) filled_[id] += bytes;
    } else {
      filled_[id] = 0;
      buffers_.give_back(id);
    }
    if (options_.pauses && !paused_) {
      paused_ = true;
      loop_.cancel(name_);
    }
  }

  SmallLoop& loop_;
  int socket_;
  const std::function<void(std::span<const std::byte>)>& got_;
  Options options_;
  Buffers buffers_;
  std::array<std::size_t, Buffers::kCount> filled_{};
  std::uint64_t name_ = 0;
  bool paused_ = false;
  int error_ = 0;
};

std::function<StreamReceiver(bool)> receiver_with(const Receiver::Options& options) {
  return [options](bool has_defect) {
    Receiver::Options its = options;
    if (!has_defect) its.defect = ReceiveDefect::kNone;
    return [its](Kernel& kernel, int socket, const std::function<void(std::span<const std::byte>)>& got) {
      SmallLoop loop(kernel);
      if (loop.error() != 0) return loop.error();
      return Receiver(loop, socket, got, its).run();
    };
  };
}

}  // namespace

void internal::add_provided_buffer_specimens(std::vector<Specimen>& specimens) {
  specimens.push_back(specimen_of<StreamReceiver>(
      "no-buffers-end-the-stream", {"B53", "B55"},
      "A receive that found no buffer ends the stream, though buffers are given back.", "receives-the-stream",
      receives_the_stream, receiver_with({.defect = ReceiveDefect::kEndsWithoutBuffers})));
  specimens.push_back(specimen_of<StreamReceiver>(
      "buffer-of-a-cancelled-receive", {"B46"},
      "What a receive brought before it was cancelled is dropped, and its buffer lost.", "receives-the-stream",
      receives_the_stream, receiver_with({.pauses = true, .defect = ReceiveDefect::kDropsWhatCameBefore})));
  specimens.push_back(specimen_of<StreamReceiver>(
      "buffer-read-from-its-start", {"B56"},
      "A buffer that the kernel fills bit by bit is read from its start each time.", "receives-the-stream",
      receives_the_stream, receiver_with({.incremental = true, .defect = ReceiveDefect::kForgetsHowFar})));
}

}  // namespace assay::conformance
