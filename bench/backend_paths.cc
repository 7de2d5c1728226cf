// The works of the grid as a user of the Backend does them: `batch` operations, each of which is started again by its
// callback, so that every turn of the loop submits those that ended in the one before.

#include <poll.h>
#include <deque>
#include <optional>

#include "assay/bench/repeated_nop.h"
#include "assay/bench/ring_paths.h"
#include "assay/bench/ring_works.h"

namespace assay::bench {
namespace {

/// The loop and the files of a cell; what it cannot be is told by `create`.
struct BackendOfCell {
  std::unique_ptr<Backend> backend;

  static Result<BackendOfCell> create(const GridCell& cell) {
    BackendOptions options = backend_options(kMostRequests, 2 * kMostRequests, cell.ring());
    if (cell.with.file) options.registered_fds = kMostRequests;
    options.poll_cq = cell.mode == Mode::kSqpollSpin;
    auto backend = Backend::create(LinuxKernel::instance(), options);
    if (!backend) return backend.error();
    if (!(*backend)->unmet_options().empty()) {
      return Error::from_errno(ENOTSUP, (*backend)->unmet_options().front());
    }
    return BackendOfCell{std::move(*backend)};
  }
};

/// What all works share: `batch` operations, `rounds` times over. What ends while it is submitted starts again at once,
/// since a turn of the loop has the whole batch then; elsewhere the next batch waits for all of this one, as it does on
/// a bare ring.
class BackendPath : public Path {
 public:
  BackendPath(std::unique_ptr<Backend> backend, const GridCell& cell, unsigned cqes_an_operation)
      : backend_(std::move(backend)),
        left_(cell.batch),
        waits_for_all_(cell.has_poll_thread() || cell.work == Work::kReadDirect),
        cqes_an_operation_(cqes_an_operation) {}

  Ran run(std::uint64_t rounds) override {
    rounds_left_ = rounds;
    for (std::uint64_t& left : left_) left = rounds;
    start_all();
    if (auto status = backend_->loop(); !status) give_up("Backend::loop", status.error().code.value());
    if (running_ != 0) give_up("an operation that never ended", EIO);
    const std::uint64_t operations = rounds * left_.size();
    return {.operations = operations, .cqes = operations * cqes_an_operation_};
  }

 protected:
  /// Begins operation i once; its end calls `ended`.
  virtual void start(unsigned i) = 0;
  void ended(unsigned i) {
    if (waits_for_all_) {
      if (--running_ != 0) return;
      if (--rounds_left_ != 0) return start_all();
    } else if (--left_[i] != 0) {
      return start(i);
    } else if (--running_ != 0) {
      return;
    }
    // There may be requests that never end by themselves, for which the loop would wait.
    backend_->loop_break();
  }
  Backend& backend() noexcept { return *backend_; }
  /// The files that operations act on, registered if the cell says so.
  void hold(const GridCell& cell, const std::vector<int>& fds) {
    for (const int fd : fds) {
      if (!cell.with.file) {
        files_.emplace_back(fd);
        continue;
      }
      auto registered = backend_->register_file(fd);
      if (!registered || !registered->is_registered()) give_up("Backend::register_file", ENOMEM);
      files_.emplace_back(*registered);
      registered_.push_back(std::move(*registered));
    }
  }
  File file(std::size_t i) const noexcept { return files_[i]; }

 private:
  void start_all() {
    running_ = static_cast<unsigned>(left_.size());
    for (unsigned i = 0; i < left_.size(); ++i) start(i);
  }

  std::unique_ptr<Backend> backend_;
  std::vector<RegisteredFile> registered_;
  std::vector<File> files_;
  std::vector<std::uint64_t> left_;  // of each operation, where they do not wait for each other
  std::uint64_t rounds_left_ = 0;    // of all, where they do
  bool waits_for_all_;
  unsigned running_ = 0;
  unsigned cqes_an_operation_;
};

/// A poll thread's NOPs are those of BackendPolledNops.
class BackendNops final : public Path {
 public:
  BackendNops(std::unique_ptr<Backend> backend, const GridCell& cell) : backend_(std::move(backend)) {
    for (unsigned i = 0; i < cell.batch; ++i) nops_.emplace_back(*backend_, running_);
  }

  Ran run(std::uint64_t rounds) override {
    running_ = static_cast<unsigned>(nops_.size());
    for (RepeatedNop& nop : nops_) nop.start(rounds);
    if (!backend_->loop() || running_ != 0) give_up("Backend::loop", EIO);
    return {.operations = rounds * nops_.size(), .cqes = rounds * nops_.size()};
  }

 private:
  std::unique_ptr<Backend> backend_;
  unsigned running_ = 0;
  std::deque<RepeatedNop> nops_;
};

/// NOPs that a poll thread takes.
class BackendPolledNops final : public BackendPath {
 public:
  BackendPolledNops(std::unique_ptr<Backend> backend, const GridCell& cell) : BackendPath(std::move(backend), cell, 1) {
    for (unsigned i = 0; i < cell.batch; ++i) nops_.emplace_back(*this, i);
  }

 private:
  class Nop final : public Operation {
   public:
    Nop(BackendPolledNops& all, unsigned i) : all_(all), i_(i) {}

   private:
    void prepare(io_uring_sqe& sqe) override { io_uring_prep_nop(&sqe); }
    void complete(const Completion& completion) override {
      if (completion.res != 0) give_up("a NOP", completion.res);
      all_.ended(i_);
    }

    BackendPolledNops& all_;
    unsigned i_;
  };

  void start(unsigned i) override {
    if (!backend().submit(nops_[i])) give_up("Backend::submit", EBUSY);
  }

  std::deque<Nop> nops_;
};

/// Reads and writes of a block. With registered buffers they are operations of the user's own.
class BackendBlocks final : public BackendPath {
 public:
  BackendBlocks(std::unique_ptr<Backend> backend, const GridCell& cell)
      : BackendPath(std::move(backend), cell, 1), writes_(cell.work == Work::kWrite), fixed_(cell.with.buffer) {
    hold(cell, {*block_file_for(cell.work)});
    if (writes_) {
      for (std::uint32_t i = 0; i < cell.batch; ++i) std::memcpy(blocks_.buffer(i), &i, sizeof i);
    }
    if (!fixed_) return;
    const iovec memory = {.iov_base = blocks_.buffer(0), .iov_len = kMostRequests / 2 * kBlock};
    const int result = this->backend().ring().register_buffers({&memory, 1});
    if (result < 0) give_up("registering buffers", result);
    for (unsigned i = 0; i < cell.batch; ++i) operations_.emplace_back(*this, i);
  }

 private:
  class FixedBlock final : public Operation {
   public:
    FixedBlock(BackendBlocks& all, unsigned i) : all_(all), i_(i) {}
    std::uint32_t block = 0;

   private:
    void prepare(io_uring_sqe& sqe) override {
      const std::uint64_t offset = std::uint64_t{block} * kBlock;
      if (all_.writes_) {
        io_uring_prep_write_fixed(&sqe, -1, all_.blocks_.buffer(i_), kBlock, offset, 0);
      } else {
        io_uring_prep_read_fixed(&sqe, -1, all_.blocks_.buffer(i_), kBlock, offset, 0);
      }
      all_.file(0).give_to(sqe);
    }
    void complete(const Completion& completion) override { all_.done(i_, block, completion.res); }

    BackendBlocks& all_;
    unsigned i_;
  };

  void start(unsigned i) override {
    const std::uint32_t block = writes_ ? i : blocks_.next();
    if (fixed_) {
      operations_[i].block = block;
      if (!backend().submit(operations_[i])) give_up("Backend::submit", EBUSY);
      return;
    }
    const std::span<std::byte> buffer{blocks_.buffer(i), kBlock};
    auto told = [this, i, block](int res) { done(i, block, res); };
    if (writes_) {
      backend().write(file(0), buffer, std::uint64_t{block} * kBlock, told);
    } else {
      backend().read(file(0), buffer, std::uint64_t{block} * kBlock, told);
    }
  }
  void done(unsigned i, std::uint32_t block, int res) {
    blocks_.check(i, block, res);
    ended(i);
  }

  bool writes_;
  bool fixed_;
  Blocks blocks_{kMostRequests / 2};
  std::deque<FixedBlock> operations_;
};

class BackendMessages final : public BackendPath {
 public:
  BackendMessages(std::unique_ptr<Backend> backend, const GridCell& cell)
      : BackendPath(std::move(backend), cell, 2),
        pairs_(cell.work == Work::kTcp, cell.batch),
        messages_(cell.batch),
        halves_(cell.batch),
        received_(cell.batch) {
    hold(cell, pairs_.fds());
    if (!cell.with.provided) return;
    auto pool = BufferPool::create(this->backend(), {.count = 256, .bytes = kMessageBytes});
    if (!pool) give_up("BufferPool::create", pool.error().code.value());
    pool_.emplace(std::move(*pool));
    for (unsigned i = 0; i < cell.batch; ++i) {
      this->backend().recv_each(file(2 * std::size_t{i} + 1), *pool_, 0,
                                [this, i](int res, ProvidedBuffer buffer, bool more) {
                                  // The end of the path closes the sockets, and cancels it.
                                  if (!more && (res == 0 || res == -ECANCELED)) return;
                                  if (!more) give_up("a message", res < 0 ? res : EIO);
                                  messages_.check(i, reinterpret_cast<const char*>(buffer.data().data()), res);
                                  half(i);
                                });
    }
  }

 private:
  void start(unsigned i) override {
    backend().send(file(2 * std::size_t{i}), std::as_bytes(messages_.next(i)), 0, [this, i](int res) {
      if (res != static_cast<int>(kMessageBytes)) give_up("a message", res < 0 ? res : EIO);
      half(i);
    });
    if (pool_) return;
    backend().recv(file(2 * std::size_t{i} + 1), std::as_writable_bytes(std::span(received_[i])), 0,
                   [this, i](int res) {
                     messages_.check(i, received_[i].data(), res);
                     half(i);
                   });
  }
  /// Sent, or received: it is over with both.
  void half(unsigned i) {
    if (++halves_[i] != 2) return;
    halves_[i] = 0;
    ended(i);
  }

  SocketPairs pairs_;
  std::optional<BufferPool> pool_;
  Messages messages_;
  std::vector<unsigned> halves_;
  std::vector<std::array<char, kMessageBytes>> received_;
};

class BackendPolls final : public BackendPath {
 public:
  BackendPolls(std::unique_ptr<Backend> backend, const GridCell& cell) : BackendPath(std::move(backend), cell, 1) {
    hold(cell, {readable_.fd()});
  }

 private:
  void start(unsigned i) override {
    backend().poll(file(0), POLLIN, [this, i](int res) {
      if (res != POLLIN) give_up("a poll", res < 0 ? res : EIO);
      ended(i);
    });
  }

  Eventfd readable_{1};
};

class BackendTimeouts final : public BackendPath {
 public:
  BackendTimeouts(std::unique_ptr<Backend> backend, const GridCell& cell) : BackendPath(std::move(backend), cell, 1) {}

 private:
  void start(unsigned i) override {
    backend().timeout(std::chrono::nanoseconds(0), [this, i](int res) {
      if (res != -ETIME) give_up("a timeout", res < 0 ? res : EIO);
      ended(i);
    });
  }
};

/// Polls that the kernel has before they are canceled: a canceled operation that is only queued never gets there. So
/// this takes turns of its own where the raw path has a single batch. A cancelation that succeeds posts nothing.
class BackendCancels final : public Path {
 public:
  BackendCancels(std::unique_ptr<Backend> backend, const GridCell& cell)
      : backend_(std::move(backend)), handles_(cell.batch) {}

  Ran run(std::uint64_t rounds) override {
    rounds_left_ = rounds;
    begin();
    if (!backend_->loop() || rounds_left_ != 0) give_up("Backend::loop", EIO);
    const std::uint64_t operations = rounds * handles_.size();
    return {.operations = operations, .cqes = operations};
  }

 private:
  void begin() {
    running_ = handles_.size();
    for (OperationHandle& handle : handles_) {
      handle = backend_->poll(idle_.fd(), POLLIN, [this](int res) {
        if (res != -ECANCELED) give_up("a cancelation", res < 0 ? res : EIO);
        if (--running_ == 0 && --rounds_left_ != 0) begin();
      });
    }
    // Posted functions run when a turn has submitted.
    backend_->post([this] {
      for (const OperationHandle handle : handles_) {
        if (!backend_->cancel(handle)) give_up("Backend::cancel", ENOENT);
      }
    });
  }

  // Its polls are over before the loop ends, so the file may go after it.
  Eventfd idle_{0};
  std::unique_ptr<Backend> backend_;
  std::vector<OperationHandle> handles_;
  std::size_t running_ = 0;
  std::uint64_t rounds_left_ = 0;
};

template <typename P>
Result<std::unique_ptr<Path>> make(const GridCell& cell) {
  if (const auto possible = mode_is_possible(cell); !possible) return possible.error();
  auto made = BackendOfCell::create(cell);
  if (!made) return made.error();
  return std::unique_ptr<Path>(new P(std::move(made->backend), cell));
}

}  // namespace

Result<std::unique_ptr<Path>> make_backend_path(const GridCell& cell) {
  switch (cell.work) {
    case Work::kNop:
      return cell.has_poll_thread() ? make<BackendPolledNops>(cell) : make<BackendNops>(cell);
    case Work::kRead:
    case Work::kReadDirect:
    case Work::kWrite: {
      if (const Result<int> file = block_file_for(cell.work); !file) return file.error();
      return make<BackendBlocks>(cell);
    }
    case Work::kSocketpair:
    case Work::kTcp:
      return make<BackendMessages>(cell);
    case Work::kPoll:
      return make<BackendPolls>(cell);
    case Work::kTimeout:
      return make<BackendTimeouts>(cell);
    case Work::kCancel:
      return make<BackendCancels>(cell);
  }
  return Error::invalid("no such work");
}

}  // namespace assay::bench
