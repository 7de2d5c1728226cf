// libuv: reads of files, which its threads do, polls, also those whose callback reads, streams, timers, and an echo
// server of its TCP streams.

#include <unistd.h>
#include <uv.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <vector>

#include "assay/bench/peers/data_files.h"
#include "assay/bench/peers/echo_clients.h"
#include "assay/bench/peers/eventfds.h"
#include "assay/bench/peers/peers.h"
#include "assay/bench/peers/read_path.h"
#include "assay/bench/peers/timer_paths.h"

namespace assay::bench {
namespace {

void must_be_ok(int result, const char* call) {
  if (result < 0) give_up(call, result);
}

/// A loop, which closes what it has when it ends: handles must outlive it.
class Loop {
 public:
  Loop() { must_be_ok(uv_loop_init(&loop_), "uv_loop_init"); }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop() {
    const auto close = [](uv_handle_t* handle, void* /*argument*/) {
      if (uv_is_closing(handle) == 0) uv_close(handle, nullptr);
    };
    uv_walk(&loop_, close, nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
    must_be_ok(uv_loop_close(&loop_), "uv_loop_close");
  }

  uv_loop_t* raw() noexcept { return &loop_; }
  /// Until it was stopped, or nothing is left to do.
  void run() { uv_run(&loop_, UV_RUN_DEFAULT); }
  void stop() noexcept { uv_stop(&loop_); }

 private:
  uv_loop_t loop_{};
};

class LibuvReads final : public ReadPath {
 public:
  LibuvReads(unsigned depth, const BlockFile& file) : ReadPath(depth, file), reads_(depth) {}

 private:
  struct Read {
    uv_fs_t request{};
    std::uint32_t block = 0;
  };

  void read_all() override {
    for (unsigned i = 0; i < depth() && has_more(); ++i) start(i);
    loop_.run();
  }
  void start(unsigned i) {
    Read& read = reads_[i];
    read.block = take_one();
    read.request.data = this;
    const uv_buf_t buffer = uv_buf_init(reinterpret_cast<char*>(slots().buffer(i)), kBlock);
    must_be_ok(
        uv_fs_read(loop_.raw(), &read.request, fd(), &buffer, 1, std::int64_t{read.block} * std::int64_t{kBlock}, done),
        "uv_fs_read");
  }
  static void done(uv_fs_t* request) {
    auto& path = *static_cast<LibuvReads*>(request->data);
    const auto* read = reinterpret_cast<Read*>(request);
    const auto i = static_cast<unsigned>(read - path.reads_.data());
    const auto result = static_cast<std::ptrdiff_t>(request->result);
    uv_fs_req_cleanup(request);
    path.came(i, read->block, result);
    if (path.has_more()) path.start(i);
  }

  std::vector<Read> reads_;
  Loop loop_;
};

class LibuvEvents final : public EventfdPath {
 public:
  LibuvEvents(unsigned fds, Callback callback) : EventfdPath(fds, callback), polls_(fds) {
    for (unsigned i = 0; i < fds; ++i) {
      must_be_ok(uv_poll_init(loop_.raw(), &polls_[i], fd(i)), "uv_poll_init");
      polls_[i].data = this;
      must_be_ok(uv_poll_start(&polls_[i], UV_READABLE, told), "uv_poll_start");
    }
  }

 private:
  static void told(uv_poll_t* poll, int status, int /*events*/) {
    must_be_ok(status, "uv_poll_start");
    auto& path = *static_cast<LibuvEvents*>(poll->data);
    if (path.tell(static_cast<unsigned>(poll - path.polls_.data()))) path.loop_.stop();
  }
  void run_loop() override { loop_.run(); }

  std::vector<uv_poll_t> polls_;
  Loop loop_;
};

/// Eventfds, of which libuv has no streams: the callback reads.
class LibuvPolledReads final : public DataPath<DataEventfds> {
 public:
  explicit LibuvPolledReads(unsigned fds) : DataPath(fds), polls_(fds) {
    for (unsigned i = 0; i < fds; ++i) {
      must_be_ok(uv_poll_init(loop_.raw(), &polls_[i], fd(i)), "uv_poll_init");
      polls_[i].data = this;
      must_be_ok(uv_poll_start(&polls_[i], UV_READABLE, readable), "uv_poll_start");
    }
  }

 private:
  static void readable(uv_poll_t* poll, int status, int /*events*/) {
    must_be_ok(status, "uv_poll_start");
    auto& path = *static_cast<LibuvPolledReads*>(poll->data);
    const auto i = static_cast<unsigned>(poll - path.polls_.data());
    const ssize_t bytes = DataEventfds::read(path.fd(i), path.memory_.data(), path.memory_.size());
    if (path.take(i, path.memory_.data(), bytes)) path.loop_.stop();
  }
  void run_loop() override { loop_.run(); }

  std::vector<uv_poll_t> polls_;
  std::array<char, kDataBufferBytes> memory_{};
  Loop loop_;
};

/// Sockets of the Unix kind, which are libuv's pipes.
class LibuvStreamReads final : public DataPath<DataSockets> {
 public:
  explicit LibuvStreamReads(unsigned fds) : DataPath(fds), streams_(fds) {
    for (unsigned i = 0; i < fds; ++i) {
      uv_pipe_t& pipe = streams_[i];
      must_be_ok(uv_pipe_init(loop_.raw(), &pipe, 0), "uv_pipe_init");
      // It closes what it is given.
      must_be_ok(uv_pipe_open(&pipe, Fd::duplicate(fd(i))), "uv_pipe_open");
      pipe.data = this;
      must_be_ok(uv_read_start(reinterpret_cast<uv_stream_t*>(&pipe), allocate, received), "uv_read_start");
    }
  }

 private:
  static void allocate(uv_handle_t* handle, std::size_t /*suggested_bytes*/, uv_buf_t* buffer) {
    auto& path = *static_cast<LibuvStreamReads*>(handle->data);
    *buffer = uv_buf_init(path.memory_.data(), path.memory_.size());
  }
  static void received(uv_stream_t* stream, ssize_t bytes, const uv_buf_t* buffer) {
    // A read that found nothing, which libuv tells of.
    if (bytes == 0) return;
    auto& path = *static_cast<LibuvStreamReads*>(stream->data);
    const auto i = static_cast<unsigned>(reinterpret_cast<uv_pipe_t*>(stream) - path.streams_.data());
    if (path.take(i, buffer->base, bytes)) path.loop_.stop();
  }
  void run_loop() override { loop_.run(); }

  std::vector<uv_pipe_t> streams_;
  std::array<char, kDataBufferBytes> memory_{};
  Loop loop_;
};

/// What was received is written at once, as uv_write would, but without a request for what there is room for.
class LibuvEcho final : public EchoPath {
 public:
  explicit LibuvEcho(unsigned connections) : EchoPath(connections), streams_(connections) {
    for (unsigned i = 0; i < connections; ++i) {
      uv_tcp_t& tcp = streams_[i];
      must_be_ok(uv_tcp_init(loop_.raw(), &tcp), "uv_tcp_init");
      must_be_ok(uv_tcp_open(&tcp, release_fd(i)), "uv_tcp_open");
      tcp.data = this;
      must_be_ok(uv_read_start(stream_of(&tcp), allocate, received), "uv_read_start");
    }
  }

 private:
  static uv_stream_t* stream_of(uv_tcp_t* tcp) { return reinterpret_cast<uv_stream_t*>(tcp); }
  static void allocate(uv_handle_t* handle, std::size_t /*suggested_bytes*/, uv_buf_t* buffer) {
    auto& path = *static_cast<LibuvEcho*>(handle->data);
    *buffer = uv_buf_init(path.memory_.data(), path.memory_.size());
  }
  static void received(uv_stream_t* stream, ssize_t bytes, const uv_buf_t* buffer) {
    // A read that found nothing, which libuv tells of.
    if (bytes == 0) return;
    auto& path = *static_cast<LibuvEcho*>(stream->data);
    check_received(bytes);
    const uv_buf_t echo = uv_buf_init(buffer->base, static_cast<unsigned>(bytes));
    if (path.echoed(uv_try_write(stream, &echo, 1))) path.loop_.stop();
  }
  void serve() override { loop_.run(); }

  std::vector<uv_tcp_t> streams_;
  std::array<char, kEchoBufferBytes> memory_{};
  Loop loop_;
};

class LibuvTimers {
 public:
  explicit LibuvTimers(unsigned count) : timers_(count) {
    for (uv_timer_t& timer : timers_) {
      must_be_ok(uv_timer_init(loop_.raw(), &timer), "uv_timer_init");
      timer.data = this;
    }
  }

  /// Timers are started from the loop's time, which a turn brings up to date.
  template <typename Function>
  void in_loop(Function start_them) {
    uv_run(loop_.raw(), UV_RUN_NOWAIT);
    start_them();
  }
  /// Whole milliseconds are what libuv has.
  void start(unsigned i, std::chrono::nanoseconds delay) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(delay).count();
    must_be_ok(uv_timer_start(&timers_[i], fire, static_cast<std::uint64_t>(ms), 0), "uv_timer_start");
  }
  void fire_all() { loop_.run(); }
  std::uint64_t fired() const noexcept { return fired_; }
  bool armed(unsigned i) const noexcept { return uv_is_active(reinterpret_cast<const uv_handle_t*>(&timers_[i])) != 0; }

 private:
  static void fire(uv_timer_t* timer) { ++static_cast<LibuvTimers*>(timer->data)->fired_; }

  std::vector<uv_timer_t> timers_;
  Loop loop_;
  std::uint64_t fired_ = 0;
};

}  // namespace

std::vector<PeerPath> libuv_paths() {
  return {{"file_reads", "page_cache", "libuv (threads)", read_path_of<LibuvReads>()},
          {"events", "self_ping", "libuv", path_of<LibuvEvents>(Callback::kPings)},
          {"events", "undrained", "libuv", path_of<LibuvEvents>(Callback::kDrainsNothing)},
          {"data", "eventfd", "libuv", path_of<LibuvPolledReads>()},
          {"data", "socketpair", "libuv", path_of<LibuvStreamReads>()},
          {"echo", "tcp", "libuv", path_of<LibuvEcho>()},
          {"timer_move", "random", "libuv", path_of<MovedTimers<LibuvTimers>>()},
          {"timer_fire", "random", "libuv", path_of<FiredTimers<LibuvTimers>>()}};
}

}  // namespace assay::bench
