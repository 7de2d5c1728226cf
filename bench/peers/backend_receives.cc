// Assay's Backend, on a deferred ring, where data is handed over: into the buffers of a pool, into memory of the
// user's, and by an echo server.

#include <sys/socket.h>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "assay/bench/peers/data_files.h"
#include "assay/bench/peers/echo_clients.h"
#include "assay/bench/peers/eventfds.h"
#include "assay/bench/peers/peers.h"

namespace assay::bench {
namespace {

BufferPool create_pool(Backend& backend, unsigned count, std::size_t bytes) {
  auto pool = BufferPool::create(backend, {.count = count, .bytes = bytes});
  if (!pool) give_up("BufferPool::create", pool.error().code.value());
  return *std::move(pool);
}

/// Runs until a callback breaks it off, and returns how many completions there were.
std::uint64_t run_loop_of(Backend& backend) {
  const std::uint64_t completed = backend.counters().requests.completions;
  run_until_done(backend);
  return backend.counters().requests.completions - completed;
}

template <typename Files>
class PooledReads final : public DataPath<Files> {
 public:
  explicit PooledReads(unsigned fds) : DataPath<Files>(fds) {
    const BufferPool pool = create_pool(*backend_, kMaxFds, kDataBufferBytes);
    for (unsigned i = 0; i < fds; ++i) {
      ReceiveCallback told = [this, i](int res, ProvidedBuffer data, bool more) {
        if (more && this->take(i, data.data().data(), res)) backend_->loop_break();
      };
      if (Files::kAreSockets) {
        backend_->recv_each(this->fd(i), pool, 0, std::move(told));
      } else {
        backend_->read_each(this->fd(i), pool, std::move(told));
      }
    }
  }

 private:
  void run_loop() override { this->count_cqes(run_loop_of(*backend_)); }

  std::unique_ptr<Backend> backend_ = create_backend(kMaxFds, kFdsCqEntries, kDeferredRing);
};

template <typename Files>
class OwnMemoryReads final : public DataPath<Files> {
 public:
  explicit OwnMemoryReads(unsigned fds) : DataPath<Files>(fds), memory_(fds) {
    for (unsigned i = 0; i < fds; ++i) {
      AllocateCallback allocate = [this, i] { return std::as_writable_bytes(std::span(memory_[i])); };
      RepeatedCallback told = [this, i](int res, bool more) {
        if (more && this->take(i, memory_[i].data(), res)) backend_->loop_break();
      };
      if (Files::kAreSockets) {
        backend_->recv_each(this->fd(i), std::move(allocate), 0, std::move(told));
      } else {
        backend_->read_each(this->fd(i), std::move(allocate), std::move(told));
      }
    }
  }

 private:
  void run_loop() override { this->count_cqes(run_loop_of(*backend_)); }

  std::vector<std::array<char, kDataBufferBytes>> memory_;
  std::unique_ptr<Backend> backend_ = create_backend(kMaxFds, kFdsCqEntries, kDeferredRing);
};

/// What is echoed keeps its buffer until it was sent.
class BackendEcho final : public EchoPath {
 public:
  explicit BackendEcho(unsigned connections) : EchoPath(connections) {
    const BufferPool pool = create_pool(*backend_, kMaxConnections, kEchoBufferBytes);
    for (unsigned i = 0; i < connections; ++i) {
      backend_->recv_each(fd(i), pool, 0, [this, i](int res, ProvidedBuffer data, bool more) {
        if (more) send(i, res, std::move(data));
      });
    }
  }

 private:
  void serve() override { run_until_done(*backend_); }
  std::uint64_t completions() const override { return backend_->counters().requests.completions; }
  void send(unsigned i, int received, ProvidedBuffer data) {
    check_received(received);
    const auto bytes = data.data();
    backend_->send(fd(i), bytes, MSG_NOSIGNAL, [this, kept = std::move(data)](int res) {
      if (echoed(res)) backend_->loop_break();
    });
  }

  std::unique_ptr<Backend> backend_ = create_backend(2 * kMaxConnections, 4 * kMaxConnections, kDeferredRing);
};

}  // namespace

std::vector<PeerPath> backend_receive_paths() {
  return {{"data", "eventfd", "Backend, pool", path_of<PooledReads<DataEventfds>>()},
          {"data", "eventfd", "Backend, own memory", path_of<OwnMemoryReads<DataEventfds>>()},
          {"data", "socketpair", "Backend, pool", path_of<PooledReads<DataSockets>>()},
          {"data", "socketpair", "Backend, own memory", path_of<OwnMemoryReads<DataSockets>>()},
          {"echo", "tcp", "Backend", path_of<BackendEcho>()}};
}

}  // namespace assay::bench
