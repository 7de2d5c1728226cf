#pragma once

// What the two configurations of Asio have in common. Each includes this in its own .cc, where all of it is its own:
// the names are the same and what they refer to is not.

#include <unistd.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "assay/bench/peers/data_files.h"
#include "assay/bench/peers/echo_clients.h"
#include "assay/bench/peers/eventfds.h"
#include "assay/bench/peers/peers.h"

namespace assay::bench {
namespace {

// The context's own executor, rather than one of any kind, which every handler would be called through.
using Executor = boost::asio::io_context::executor_type;
using Code = boost::system::error_code;

/// A context of one thread, so that it needs no locks.
class Context {
 public:
  boost::asio::io_context& raw() noexcept { return context_; }
  /// Until it was stopped, or nothing is left to do.
  void run() {
    context_.restart();
    context_.run();
  }
  void stop() { context_.stop(); }

 private:
  boost::asio::io_context context_{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};
};

inline void must_be_ok(const Code& error, const char* call) {
  if (error) give_up(call, error.value());
}

/// A wait each, which is started again when it has ended.
class AsioEvents final : public EventfdPath {
 public:
  AsioEvents(unsigned fds, Callback callback) : EventfdPath(fds, callback) {
    for (unsigned i = 0; i < fds; ++i) {
      // It closes what it is given.
      descriptors_.emplace_back(context_.raw(), Fd::duplicate(fd(i)));
      wait(i);
    }
  }

 private:
  void wait(unsigned i) {
    descriptors_[i].async_wait(boost::asio::posix::descriptor_base::wait_read, [this, i](const Code& error) {
      must_be_ok(error, "async_wait");
      if (tell(i)) context_.stop();
      wait(i);
    });
  }
  void run_loop() override { context_.run(); }

  Context context_;
  std::vector<boost::asio::posix::basic_stream_descriptor<Executor>> descriptors_;
};

inline auto open_as(DataEventfds* /*files*/, Context& context, int fd) {
  return boost::asio::posix::basic_stream_descriptor<Executor>(context.raw(), fd);
}
inline auto open_as(DataSockets* /*files*/, Context& context, int fd) {
  using Protocol = boost::asio::local::stream_protocol;
  return boost::asio::basic_stream_socket<Protocol, Executor>(context.raw(), Protocol(), fd);
}

/// Reads into memory of the user's, by an object each.
template <typename Files>
class AsioReadsAsItComes final : public DataPath<Files> {
 public:
  explicit AsioReadsAsItComes(unsigned fds) : DataPath<Files>(fds), memory_(fds) {
    for (unsigned i = 0; i < fds; ++i) {
      // It closes what it is given.
      files_.push_back(open_as(static_cast<Files*>(nullptr), context_, Fd::duplicate(this->fd(i))));
      read(i);
    }
  }

 private:
  void read(unsigned i) {
    files_[i].async_read_some(boost::asio::buffer(memory_[i]), [this, i](const Code& error, std::size_t bytes) {
      must_be_ok(error, "async_read_some");
      if (this->take(i, memory_[i].data(), static_cast<std::ptrdiff_t>(bytes))) context_.stop();
      read(i);
    });
  }
  void run_loop() override { context_.run(); }

  std::vector<std::array<char, kDataBufferBytes>> memory_;
  Context context_;
  std::vector<decltype(open_as(static_cast<Files*>(nullptr), std::declval<Context&>(), 0))> files_;
};

class AsioEcho final : public EchoPath {
 public:
  explicit AsioEcho(unsigned connections) : EchoPath(connections), memory_(connections) {
    for (unsigned i = 0; i < connections; ++i) {
      sockets_.emplace_back(context_.raw(), boost::asio::ip::tcp::v4(), release_fd(i));
      receive(i);
    }
  }

 private:
  void receive(unsigned i) {
    sockets_[i].async_receive(boost::asio::buffer(memory_[i]), [this, i](const Code& error, std::size_t bytes) {
      must_be_ok(error, "async_receive");
      check_received(static_cast<std::ptrdiff_t>(bytes));
      send(i, bytes);
    });
  }
  void send(unsigned i, std::size_t bytes) {
    const auto message = boost::asio::buffer(memory_[i].data(), bytes);
    sockets_[i].async_send(message, [this, i](const Code& error, std::size_t sent) {
      must_be_ok(error, "async_send");
      if (echoed(static_cast<std::ptrdiff_t>(sent))) context_.stop();
      receive(i);
    });
  }
  void serve() override { context_.run(); }

  std::vector<std::array<char, kEchoBufferBytes>> memory_;
  Context context_;
  std::vector<boost::asio::basic_stream_socket<boost::asio::ip::tcp, Executor>> sockets_;
};

inline std::vector<PeerPath> common_asio_paths(const std::string& name) {
  return {{"events", "self_ping", name, path_of<AsioEvents>(Callback::kPings)},
          {"events", "undrained", name, path_of<AsioEvents>(Callback::kDrainsNothing)},
          {"data", "eventfd", name, path_of<AsioReadsAsItComes<DataEventfds>>()},
          {"data", "socketpair", name, path_of<AsioReadsAsItComes<DataSockets>>()},
          {"echo", "tcp", name, path_of<AsioEcho>()}};
}

}  // namespace
}  // namespace assay::bench
