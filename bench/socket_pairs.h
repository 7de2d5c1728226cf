#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <string_view>
#include <vector>

#include "assay/bench/setup.h"

namespace assay::bench {

inline constexpr std::string_view kMessage = "sixty-four bytes, which is what a short message of a protocol is";
inline constexpr std::size_t kMessageBytes = 64;
static_assert(kMessage.size() == kMessageBytes);

/// Connected sockets: pairs of the Unix kind, or TCP over loopback with TCP_NODELAY.
class SocketPairs {
 public:
  SocketPairs(bool tcp, unsigned count) {
    allow_many_files();
    tcp ? connect_tcp(count) : connect_unix(count);
  }
  SocketPairs(const SocketPairs&) = delete;
  SocketPairs& operator=(const SocketPairs&) = delete;
  ~SocketPairs() {
    for (const int fd : fds_) ::close(fd);
  }

  /// Pair i is 2i and 2i + 1.
  const std::vector<int>& fds() const noexcept { return fds_; }
  int near_end(unsigned i) const noexcept { return fds_[2 * std::size_t{i}]; }
  int far_end(unsigned i) const noexcept { return fds_[2 * std::size_t{i} + 1]; }

 private:
  static void allow_many_files() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  void connect_unix(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      std::array<int, 2> pair{};
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) give_up("socketpair", errno);
      fds_.insert(fds_.end(), pair.begin(), pair.end());
    }
  }
  void connect_tcp(unsigned count) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (listener < 0 || ::bind(listener, generic, bytes) != 0 || ::listen(listener, 1024) != 0 ||
        ::getsockname(listener, generic, &bytes) != 0) {
      give_up("a socket on loopback", errno);
    }
    for (unsigned i = 0; i < count; ++i) {
      const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (client < 0 || ::connect(client, generic, bytes) != 0) give_up("connect", errno);
      const int server = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (server < 0) give_up("accept4", errno);
      for (const int fd : {client, server}) {
        const int one = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        fds_.push_back(fd);
      }
    }
    ::close(listener);
  }

  std::vector<int> fds_;
};

}  // namespace assay::bench
