#pragma once

#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "assay/bench/call_counter.h"
#include "assay/bench/peers/told_path.h"
#include "assay/bench/setup.h"
#include "assay/bench/socket_pairs.h"

namespace assay::bench {

inline constexpr std::size_t kEchoBytes = 64;
/// What a server receives into: it does not know how long messages are.
inline constexpr std::size_t kEchoBufferBytes = 256;
inline constexpr unsigned kMaxConnections = 512;

/// Connections over loopback with both their ends in this thread: the clients', which block, and a server's.
class EchoClients {
 public:
  explicit EchoClients(unsigned count) : connections_(connect_over_loopback(count, SOCK_NONBLOCK)) {
    for (const Connection& connection : connections_) {
      prepare(connection.client.get());
      prepare(connection.server.get());
    }
  }

  /// The server's end, non-blocking.
  int server(unsigned i) const noexcept { return connections_[i].server.get(); }
  /// The same for those who close it themselves.
  int release_server(unsigned i) noexcept { return connections_[i].server.release(); }

  /// One message on each connection.
  void send(std::uint64_t round) {
    for (std::uint32_t i = 0; i < connections_.size(); ++i) {
      const Message message = message_of(round, i);
      if (::send(connections_[i].client.get(), message.data(), message.size(), 0) != kEchoBytes)
        give_up("a client's send", errno);
    }
  }
  /// Receives the echoes, and ends the program if one is not what was sent.
  void check(std::uint64_t round) {
    for (std::uint32_t i = 0; i < connections_.size(); ++i) {
      Message echo{};
      if (::recv(connections_[i].client.get(), echo.data(), echo.size(), MSG_WAITALL) != kEchoBytes)
        give_up("a client's recv", errno);
      if (echo != message_of(round, i)) give_up("an echo", EIO);
    }
  }

 private:
  using Message = std::array<char, kEchoBytes>;

  static Message message_of(std::uint64_t round, std::uint32_t i) {
    Message message{};
    std::memcpy(message.data(), &round, sizeof round);
    std::memcpy(message.data() + sizeof round, &i, sizeof i);
    return message;
  }
  static void prepare(int fd) {
    // Closed at once: thousands of connections must not wait for their last packets.
    const linger none{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  }

  std::vector<Connection> connections_;
};

/// A path of an echo server. In a round each client sends, the server's loop runs until it knows that it has sent all
/// of it back, and the clients receive that. Only the server's time counts.
class EchoPath : public Path {
 public:
  Ran run(std::uint64_t rounds) final {
    Ran ran;
    cqes_ = 0;
    const std::uint64_t completions_before = completions();
    for (; rounds != 0; --rounds) {
      ++round_;
      {
        const Uncounted clients;
        clients_.send(round_);
      }
      to_echo_ = connections_;
      const auto start = std::chrono::steady_clock::now();
      serve();
      ran.time += std::chrono::steady_clock::now() - start;
      if (to_echo_ != 0) give_up("echoes that were not sent", EIO);
      const Uncounted clients;
      clients_.check(round_);
      ran.operations += connections_;
    }
    ran.cqes = cqes_ + completions() - completions_before;
    return ran;
  }

 protected:
  explicit EchoPath(unsigned connections) : connections_(connections), clients_(connections) {}

  /// Runs the loop until `echoed` has said that it was the last.
  virtual void serve() = 0;
  /// Completions that its ring has had, where the loop counts them.
  virtual std::uint64_t completions() const { return 0; }

  int fd(unsigned i) const noexcept { return clients_.server(i); }
  int release_fd(unsigned i) noexcept { return clients_.release_server(i); }
  bool is_done() const noexcept { return to_echo_ == 0; }
  /// A send has succeeded, or not. True for the last of the round.
  bool echoed(std::ptrdiff_t res) {
    if (res != static_cast<std::ptrdiff_t>(kEchoBytes)) give_up("a send", res < 0 ? static_cast<int>(res) : EIO);
    return --to_echo_ == 0;
  }
  static void check_received(std::ptrdiff_t res) {
    if (res != static_cast<std::ptrdiff_t>(kEchoBytes)) give_up("a receive", res < 0 ? static_cast<int>(res) : EIO);
  }
  void count_cqes(std::uint64_t cqes) noexcept { cqes_ += cqes; }

 private:
  const unsigned connections_;
  EchoClients clients_;
  std::uint64_t round_ = 0;
  std::uint64_t cqes_ = 0;
  unsigned to_echo_ = 0;
};

}  // namespace assay::bench
