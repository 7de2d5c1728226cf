// Events that carry data: what it costs to be handed what a descriptor has to read. Eventfds that are written to again
// each time, and sockets that are sent to, 1, 64 and 1,024 of them. The peer to beat is raw epoll with a read(2) or
// recv(2) for each that is ready; beside it what raw liburing can do.

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <deque>
#include <vector>

#include <benchmark/benchmark.h>

#include "assay/backend/uapi.h"
#include "assay/bench/setup.h"

namespace assay::bench {
namespace {

constexpr unsigned kMaxFds = 1024;
constexpr unsigned kCqEntries = 4 * kMaxFds;
constexpr std::size_t kMessage = 8;
constexpr std::size_t kBufferBytes = 64;

/// Descriptors that have eight bytes to be read, and get as many again when that was done.
class Eventfds {
 public:
  static constexpr bool kAreSockets = false;

  explicit Eventfds(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      fds_.push_back(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
      if (fds_.back() < 0) give_up("eventfd", errno);
    }
  }
  ~Eventfds() {
    for (const int fd : fds_) ::close(fd);
  }
  int operator[](unsigned i) const { return fds_[i]; }
  unsigned size() const { return static_cast<unsigned>(fds_.size()); }
  void fill(unsigned i) {
    constexpr std::uint64_t kOne = 1;
    if (::write(fds_[i], &kOne, sizeof kOne) != sizeof kOne) give_up("write", errno);
  }
  static ssize_t read(int fd, void* memory, std::size_t bytes) { return ::read(fd, memory, bytes); }

 private:
  std::vector<int> fds_;
};

class Sockets {
 public:
  static constexpr bool kAreSockets = true;

  explicit Sockets(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      std::array<int, 2> pair{};
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) != 0)
        give_up("socketpair", errno);
      near_.push_back(pair[0]);
      far_.push_back(pair[1]);
      fill(i);
    }
  }
  ~Sockets() {
    for (const int fd : near_) ::close(fd);
    for (const int fd : far_) ::close(fd);
  }
  int operator[](unsigned i) const { return near_[i]; }
  unsigned size() const { return static_cast<unsigned>(near_.size()); }
  void fill(unsigned i) {
    constexpr std::array<char, kMessage> kText{'m', 'e', 's', 's', 'a', 'g', 'e', '.'};
    if (::send(far_[i], kText.data(), kText.size(), 0) != kMessage) give_up("send", errno);
  }
  static ssize_t read(int fd, void* memory, std::size_t bytes) { return ::recv(fd, memory, bytes, 0); }

 private:
  std::vector<int> near_;
  std::vector<int> far_;
};

/// What every path does with what it was handed.
template <typename Files>
void take(Files& files, unsigned i, std::ptrdiff_t bytes) {
  if (bytes != static_cast<std::ptrdiff_t>(kMessage)) give_up("a read", bytes < 0 ? static_cast<int>(bytes) : EIO);
  files.fill(i);
}

template <typename Files>
class Epoll {
 public:
  explicit Epoll(unsigned count) : files_(count), fd_(::epoll_create1(EPOLL_CLOEXEC)) {
    for (unsigned i = 0; i < count; ++i) {
      epoll_event event{.events = EPOLLIN, .data = {.u32 = i}};
      if (::epoll_ctl(fd_, EPOLL_CTL_ADD, files_[i], &event) != 0) give_up("epoll_ctl", errno);
    }
  }
  ~Epoll() { ::close(fd_); }
  unsigned turn() {
    const int ready = ::epoll_wait(fd_, events_.data(), static_cast<int>(events_.size()), -1);
    if (ready < 0) give_up("epoll_wait", errno);
    for (unsigned n = 0; n < static_cast<unsigned>(ready); ++n) {
      const unsigned i = events_[n].data.u32;
      take(files_, i, Files::read(files_[i], memory_.data(), memory_.size()));
    }
    return static_cast<unsigned>(ready);
  }

 private:
  Files files_;
  int fd_;
  std::array<epoll_event, kMaxFds> events_;
  std::array<char, kBufferBytes> memory_{};
};

/// A request each that is made again.
template <typename Files>
class Requests {
 public:
  explicit Requests(unsigned count) : files_(count), memory_(count) {
    for (unsigned i = 0; i < count; ++i) to_arm_.push_back(i);
  }
  unsigned turn() {
    for (const unsigned i : to_arm_) {
      io_uring_sqe* sqe = ring_.sqe();
      if (Files::kAreSockets) {
        io_uring_prep_recv(sqe, files_[i], memory_[i].data(), kBufferBytes, 0);
      } else {
        io_uring_prep_read(sqe, files_[i], memory_[i].data(), kBufferBytes, ~std::uint64_t{0});
      }
      sqe->user_data = i;
    }
    to_arm_.clear();
    return ring_.turn(1, [this](const io_uring_cqe& cqe) {
      const auto i = static_cast<unsigned>(cqe.user_data);
      to_arm_.push_back(i);
      if (cqe.res == -EAGAIN) return;
      take(files_, i, cqe.res);
    });
  }

 private:
  Files files_;
  std::vector<std::array<char, kBufferBytes>> memory_;
  std::vector<unsigned> to_arm_;
  LiburingRing ring_{kMaxFds, kCqEntries, TaskWork::kDeferred};
};

/// A multishot request each, out of one ring of buffers.
template <typename Files>
class Multishot {
 public:
  explicit Multishot(unsigned count) : files_(count) {
    const std::size_t bytes = kMaxFds * (sizeof(io_uring_buf) + kBufferBytes);
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) give_up("mmap", errno);
    buffers_ = static_cast<io_uring_buf_ring*>(memory);
    data_ = static_cast<char*>(memory) + kMaxFds * sizeof(io_uring_buf);
    io_uring_buf_reg request{};
    request.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
    request.ring_entries = kMaxFds;
    if (const int result = io_uring_register_buf_ring(ring_.raw(), &request, 0); result < 0)
      give_up("io_uring_register_buf_ring", result);
    for (unsigned id = 0; id < kMaxFds; ++id) add(id);
    for (unsigned i = 0; i < count; ++i) arm(i);
  }
  unsigned turn() {
    return ring_.turn(1, [this](const io_uring_cqe& cqe) {
      const auto i = static_cast<unsigned>(cqe.user_data);
      take(files_, i, cqe.res);
      add(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
      if ((cqe.flags & IORING_CQE_F_MORE) == 0) arm(i);
    });
  }

 private:
  void add(unsigned id) {
    io_uring_buf_ring_add(buffers_, data_ + id * kBufferBytes, kBufferBytes, static_cast<unsigned short>(id),
                          kMaxFds - 1, 0);
    io_uring_buf_ring_advance(buffers_, 1);
  }
  void arm(unsigned i) {
    io_uring_sqe* sqe = ring_.sqe();
    if (Files::kAreSockets) {
      io_uring_prep_recv_multishot(sqe, files_[i], nullptr, 0, 0);
    } else {
      io_uring_prep_rw(uapi::kOpReadMultishot, sqe, files_[i], nullptr, 0, ~std::uint64_t{0});
    }
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->user_data = i;
  }

  Files files_;
  io_uring_buf_ring* buffers_;
  char* data_;
  LiburingRing ring_{kMaxFds, kCqEntries, TaskWork::kDeferred};
};

/// The backend, into a pool's buffers.
template <typename Files>
class Pooled {
 public:
  explicit Pooled(unsigned count) : files_(count) {
    auto pool = BufferPool::create(*backend_, {.count = kMaxFds, .bytes = kBufferBytes});
    if (!pool) give_up("BufferPool::create", pool.error().code.value());
    for (unsigned i = 0; i < count; ++i) {
      ReceiveCallback told = [this, i](int res, ProvidedBuffer, bool more) {
        if (!more) return;
        take(files_, i, res);
        ++told_;
      };
      if (Files::kAreSockets) {
        backend_->recv_each(files_[i], *pool, 0, std::move(told));
      } else {
        backend_->read_each(files_[i], *pool, std::move(told));
      }
    }
  }
  unsigned turn() {
    told_ = 0;
    turn_of(*backend_);
    return told_;
  }

 private:
  Files files_;
  unsigned told_ = 0;
  std::unique_ptr<Backend> backend_ = create_backend(kMaxFds, kCqEntries, TaskWork::kDeferred);
};

/// The backend, into memory that the callback gives.
template <typename Files>
class Allocated {
 public:
  explicit Allocated(unsigned count) : files_(count), memory_(count) {
    for (unsigned i = 0; i < count; ++i) {
      AllocateCallback allocate = [this, i] { return std::as_writable_bytes(std::span(memory_[i])); };
      RepeatedCallback told = [this, i](int res, bool more) {
        if (!more) return;
        take(files_, i, res);
        ++told_;
      };
      if (Files::kAreSockets) {
        backend_->recv_each(files_[i], std::move(allocate), 0, std::move(told));
      } else {
        backend_->read_each(files_[i], std::move(allocate), std::move(told));
      }
    }
  }
  unsigned turn() {
    told_ = 0;
    turn_of(*backend_);
    return told_;
  }

 private:
  Files files_;
  std::vector<std::array<char, kBufferBytes>> memory_;
  unsigned told_ = 0;
  std::unique_ptr<Backend> backend_ = create_backend(kMaxFds, kCqEntries, TaskWork::kDeferred);
};

bool has_opcode(int opcode) {
  io_uring_probe* probe = io_uring_get_probe();
  const bool supported = probe != nullptr && io_uring_opcode_supported(probe, opcode) != 0;
  io_uring_free_probe(probe);
  return supported;
}

template <typename Path>
void be_handed(benchmark::State& state) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  Path path(static_cast<unsigned>(state.range(0)));
  std::uint64_t told = 0;
  for (auto _ : state) told += path.turn();
  state.SetItemsProcessed(static_cast<std::int64_t>(told));
}

template <typename Path>
void be_handed_by_multishot(benchmark::State& state) {
  if (!has_opcode(uapi::kOpReadMultishot)) {
    state.SkipWithError("this kernel has no IORING_OP_READ_MULTISHOT (since 6.7)");
    return;
  }
  be_handed<Path>(state);
}

#define ASSAY_DATA_BENCH(run, path, name) \
  BENCHMARK_TEMPLATE(run, path)->Name(name)->ArgName("fds")->Arg(1)->Arg(64)->Arg(1024)

ASSAY_DATA_BENCH(be_handed, Epoll<Eventfds>, "data/reads/epoll");
ASSAY_DATA_BENCH(be_handed, Requests<Eventfds>, "data/reads/liburing, one each");
ASSAY_DATA_BENCH(be_handed_by_multishot, Multishot<Eventfds>, "data/reads/liburing, multishot");
ASSAY_DATA_BENCH(be_handed, Pooled<Eventfds>, "data/reads/Backend, pool");
ASSAY_DATA_BENCH(be_handed, Allocated<Eventfds>, "data/reads/Backend, own memory");
ASSAY_DATA_BENCH(be_handed, Epoll<Sockets>, "data/receives/epoll");
ASSAY_DATA_BENCH(be_handed, Requests<Sockets>, "data/receives/liburing, one each");
ASSAY_DATA_BENCH(be_handed_by_multishot, Multishot<Sockets>, "data/receives/liburing, multishot");
ASSAY_DATA_BENCH(be_handed, Pooled<Sockets>, "data/receives/Backend, pool");
ASSAY_DATA_BENCH(be_handed, Allocated<Sockets>, "data/receives/Backend, own memory");

}  // namespace
}  // namespace assay::bench
