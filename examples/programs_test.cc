// Runs the programs that docs/backend.md teaches with.

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "assay/backend/backend.h"
#include "assay/backend/linux_kernel.h"

namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Programs : public testing::Test {
 protected:
  void SetUp() override {
    const auto available = assay::Backend::available(assay::LinuxKernel::instance());
    if (!available && assay::Backend::is_unavailable(available.error())) GTEST_SKIP() << available.error().message();
  }
};

TEST_F(Programs, FileCopyCopies) {
  std::string folder = testing::TempDir() + "assay-file-copy-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  for (const std::size_t bytes : {0ul, 1ul, 65536ul, 65537ul, 3'000'001ul}) {
    std::string content(bytes, '\0');
    for (std::size_t i = 0; i < bytes; ++i) content[i] = static_cast<char>(i * 2654435761u >> 13);
    std::ofstream(folder + "/from", std::ios::binary) << content;
    ASSERT_EQ(std::system((FILE_COPY " " + folder + "/from " + folder + "/to").c_str()), 0);
    std::ifstream to(folder + "/to", std::ios::binary);
    EXPECT_TRUE(std::string(std::istreambuf_iterator<char>(to), {}) == content) << bytes << " bytes";
  }
  EXPECT_NE(std::system((FILE_COPY " " + folder + "/nothing " + folder + "/to 2>/dev/null").c_str()), 0);
  ASSERT_EQ(std::system(("rm -r " + folder).c_str()), 0);
}

TEST_F(Programs, TimersAndSignalsTicksUntilItIsStopped) {
  FILE* out = ::popen(TIMERS_AND_SIGNALS, "r");
  ASSERT_NE(out, nullptr);
  std::array<char, 4096> text{};
  const std::size_t bytes = std::fread(text.data(), 1, text.size(), out);
  EXPECT_EQ(::pclose(out), 0);
  const std::string shown(text.data(), bytes);
  EXPECT_THAT(shown, StartsWith("tick 1\n"));
  EXPECT_THAT(shown, testing::EndsWith("stopped\n"));
}

/// The server as a child, and the port that it prints.
class EchoServer {
 public:
  EchoServer() {
    std::array<int, 2> out{};
    EXPECT_EQ(::pipe(out.data()), 0);
    child_ = ::fork();
    if (child_ == 0) {
      ::dup2(out[1], STDOUT_FILENO);
      ::execl(ECHO_SERVER, ECHO_SERVER, nullptr);
      ::_exit(127);
    }
    ::close(out[1]);
    std::array<char, 16> text{};
    EXPECT_GT(::read(out[0], text.data(), text.size() - 1), 0);
    ::close(out[0]);
    port_ = std::atoi(text.data());
  }
  int connect() const {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  int stop() const {
    ::kill(child_, SIGTERM);
    int status = -1;
    ::waitpid(child_, &status, 0);
    return status;
  }

 private:
  pid_t child_ = -1;
  int port_ = 0;
};

/// Sends all of it and receives as much, at the same time.
std::string echoed(int fd, const std::string& text) {
  std::string back;
  std::size_t sent = 0;
  while (back.size() < text.size()) {
    pollfd ready{.fd = fd, .events = static_cast<short>(POLLIN | (sent < text.size() ? POLLOUT : 0)), .revents = 0};
    if (::poll(&ready, 1, 10'000) != 1) break;
    if ((ready.revents & POLLOUT) != 0) {
      const ssize_t bytes = ::send(fd, text.data() + sent, text.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (bytes > 0) sent += static_cast<std::size_t>(bytes);
    }
    if ((ready.revents & (POLLIN | POLLHUP)) != 0) {
      std::array<char, 65536> piece;
      const ssize_t bytes = ::recv(fd, piece.data(), piece.size(), MSG_DONTWAIT);
      if (bytes == 0) break;
      if (bytes > 0) back.append(piece.data(), static_cast<std::size_t>(bytes));
    }
  }
  return back;
}

TEST_F(Programs, EchoServerEchoes) {
  const EchoServer server;
  std::vector<int> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(server.connect());
  for (const int fd : clients) EXPECT_EQ(echoed(fd, "client " + std::to_string(fd)), "client " + std::to_string(fd));
  // More than all its buffers hold.
  std::string long_text(4'000'000, '\0');
  for (std::size_t i = 0; i < long_text.size(); ++i) long_text[i] = static_cast<char>(i * 2654435761u >> 17);
  EXPECT_TRUE(echoed(clients[0], long_text) == long_text);
  // Half of a connection closes: what was sent before is echoed, and then the other half closes too.
  EXPECT_EQ(::send(clients[1], "bye", 3, MSG_NOSIGNAL), 3);
  ::shutdown(clients[1], SHUT_WR);
  std::array<char, 8> bye{};
  EXPECT_EQ(::recv(clients[1], bye.data(), bye.size(), MSG_WAITALL), 3);
  for (std::size_t i = 0; i < 5; ++i) ::close(clients[i]);
  EXPECT_EQ(echoed(clients[9], "still there"), "still there");
  EXPECT_EQ(server.stop(), 0) << "with connections that are open";
  for (std::size_t i = 5; i < clients.size(); ++i) ::close(clients[i]);
}

}  // namespace
