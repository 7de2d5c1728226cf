// Messages with all that belongs to them (sendmsg, recvmsg), and sends without a copy, by the reference backend.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "assay/conformance/backend_suites.h"
#include "assay/conformance/reference_actions.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

/// A message to be sent, with its array, its address and one descriptor; it spoils them when asked to.
struct Outgoing {
  std::vector<iovec> vectors;
  sockaddr_in address{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};

  Outgoing(std::initializer_list<std::string*> parts) {
    for (std::string* part : parts) vectors.push_back(vector_of(*part));
    message.msg_iov = vectors.data();
    message.msg_iovlen = vectors.size();
  }
  void to(const sockaddr_in& where) {
    address = where;
    message.msg_name = &address;
    message.msg_namelen = sizeof address;
  }
  void with(int fd) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  void spoil() {
    vectors.assign(vectors.size(), iovec{});
    address = {};
    control.fill('\xff');
    message = {};
  }
};

void a_message_is_the_callers_only_during_the_call(BackendScenario& s) {
  const BoundSocket from = make_udp_socket(), to = make_udp_socket();
  std::string head = "head", tail = "tail";
  Owed& told = s.owe("the sendmsg");
  {
    Outgoing outgoing{&head, &tail};
    outgoing.to(to.address);
    reference_backend(s).sendmsg(from.socket.get(), outgoing.message, 0, told.callback());
    outgoing.spoil();
  }
  s.run_until(told);
  EXPECT_EQ(told.res, 8);
  std::array<char, 16> got{};
  EXPECT_EQ(::recv(to.socket.get(), got.data(), got.size(), MSG_DONTWAIT), 8);
  EXPECT_STREQ(got.data(), "headtail");
}

void a_received_message_tells_where_it_came_from(BackendScenario& s) {
  const BoundSocket from = make_udp_socket(), to = make_udp_socket();
  std::string one(4, '-'), two(3, '-');
  sockaddr_storage peer{};
  std::vector<iovec> vectors{vector_of(one), vector_of(two)};
  msghdr message{};
  message.msg_name = &peer;
  message.msg_namelen = sizeof peer;
  message.msg_iov = vectors.data();
  message.msg_iovlen = vectors.size();
  message.msg_flags = -1;
  Owed& told = s.owe("the recvmsg");
  reference_backend(s).recvmsg(to.socket.get(), message, 0, told.callback());
  // The array was copied; the rest of the message is told the outcome.
  vectors.assign(2, iovec{});
  s.settle();
  EXPECT_FALSE(told.done());
  ASSERT_EQ(
      ::sendto(from.socket.get(), "datagrams", 9, 0, reinterpret_cast<const sockaddr*>(&to.address), sizeof to.address),
      9);
  s.run_until(told);
  EXPECT_EQ(told.res, 7);
  EXPECT_EQ(one + two, "datagra");
  EXPECT_EQ(message.msg_namelen, sizeof(sockaddr_in));
  EXPECT_EQ(reinterpret_cast<const sockaddr_in&>(peer).sin_port, from.address.sin_port);
  EXPECT_EQ(message.msg_flags, MSG_TRUNC);
}

void descriptors_travel(BackendScenario& s) {
  const SocketPair pair = make_datagram_pair();
  const Pipe pipe = make_pipe();
  std::string text = "x", got = "-";
  Owed &told = s.owe("the sendmsg"), &received = s.owe("the recvmsg");
  {
    Outgoing outgoing{&text};
    outgoing.with(pipe.write_end.get());
    reference_backend(s).sendmsg(pair.near.get(), outgoing.message, 0, told.callback());
    outgoing.spoil();
  }
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int)) + 64> control{};
  iovec vector = vector_of(got);
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  reference_backend(s).recvmsg(pair.far.get(), message, MSG_CMSG_CLOEXEC, received.callback());
  s.run_until([&] { return told.done() && received.done(); });
  EXPECT_EQ(told.res, 1);
  EXPECT_EQ(received.res, 1);
  EXPECT_EQ(message.msg_controllen, CMSG_SPACE(sizeof(int)));
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  ASSERT_NE(header, nullptr);
  ASSERT_EQ(header->cmsg_type, SCM_RIGHTS);
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  const Fd end(fd);
  write_text(end.get(), "through");
  EXPECT_EQ(read_text(pipe.read_end.get(), 7), "through");
}

void a_failed_receive_leaves_the_message(BackendScenario& s) {
  msghdr message{};
  message.msg_namelen = 77;
  message.msg_controllen = 7;
  message.msg_flags = 5;
  EXPECT_EQ(
      result_of(s, "the recvmsg", [&](auto done) { reference_backend(s).recvmsg(closed_fd(), message, 0, done); }),
      -EBADF);
  EXPECT_EQ(message.msg_namelen, 77u);
  EXPECT_EQ(message.msg_controllen, 7u);
  EXPECT_EQ(message.msg_flags, 5);
}

void a_message_waits_and_is_cancelled(BackendScenario& s) {
  for (const int flags : {0, static_cast<int>(SOCK_NONBLOCK)}) {
    const SocketPair pair = make_stream_pair(flags);
    fill(pair.near.get());
    std::string buffer(4, '-'), text = "more";
    iovec vector = vector_of(buffer);
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    Outgoing outgoing{&text};
    Owed &told = s.owe("the sendmsg"), &received = s.owe("the recvmsg");
    const OperationHandle first =
        reference_backend(s).sendmsg(pair.near.get(), outgoing.message, MSG_NOSIGNAL, told.callback());
    const OperationHandle second = reference_backend(s).recvmsg(pair.near.get(), message, 0, received.callback());
    s.settle();
    EXPECT_FALSE(told.done());
    EXPECT_FALSE(received.done());
    must(reference_backend(s).cancel(first));
    must(reference_backend(s).cancel(second));
    s.run_until([&] { return told.done() && received.done(); });
    EXPECT_EQ(told.res, -ECANCELED);
    EXPECT_EQ(received.res, -ECANCELED);
  }
}

// The callback says that the buffer may be used again: spoiling it then must not change what arrives.
void a_zero_copy_send_ends_when_its_buffer_is_free(BackendScenario& s) {
  const SocketPair pair = make_tcp_pair();
  const std::string text(3000, 'z');
  std::string buffer = text;
  std::size_t bytes = 0;
  Owed& told = s.owe("the send_zc");
  reference_backend(s).send_zc(pair.near.get(), sent(buffer), MSG_NOSIGNAL, told.callback([&](int res) {
    bytes = moved(res, buffer.size());
    buffer.assign(buffer.size(), '-');
  }));
  // The loop says that something happened only when somebody was told of it.
  while (!told.done()) {
    const RunResult result = s.run(RunMode::kNonBlock);
    if (!told.done()) {
      EXPECT_NE(result, RunResult::kHadEvents);
    }
  }
  EXPECT_EQ(receive_all(pair.far.get(), bytes), text.substr(0, bytes));
}

void zero_copy_of_a_message(BackendScenario& s) {
  const BoundSocket from = make_udp_socket(), to = make_udp_socket();
  std::string head = "head", tail = "tail";
  Owed& told = s.owe("the sendmsg_zc");
  {
    Outgoing outgoing{&head, &tail};
    outgoing.to(to.address);
    reference_backend(s).sendmsg_zc(from.socket.get(), outgoing.message, 0, told.callback());
    outgoing.spoil();
  }
  s.run_until(told);
  EXPECT_EQ(told.res, 8);
  std::array<char, 16> got{};
  EXPECT_EQ(::recv(to.socket.get(), got.data(), got.size(), MSG_DONTWAIT), 8);
  EXPECT_STREQ(got.data(), "headtail");
}

void sockets_without_zero_copy_send_all_the_same(BackendScenario& s) {
  const SocketPair pair = make_stream_pair();
  std::string text = "hello";
  const std::size_t first = moved(
      result_of(s, "the send_zc",
                [&](auto done) { reference_backend(s).send_zc(pair.near.get(), sent(text), MSG_NOSIGNAL, done); }),
      5);
  EXPECT_EQ(receive_all(pair.far.get(), first), text.substr(0, first));
  Outgoing outgoing{&text};
  const std::size_t second = moved(
      result_of(
          s, "the sendmsg_zc",
          [&](auto done) { reference_backend(s).sendmsg_zc(pair.near.get(), outgoing.message, MSG_NOSIGNAL, done); }),
      5);
  EXPECT_EQ(receive_all(pair.far.get(), second), text.substr(0, second));
}

void destruction_tells_each_once(BackendScenario& s) {
  const SocketPair pair = make_stream_pair();
  const UnansweredSocket tcp = make_unanswered_socket();
  std::string buffer(4, '-');
  iovec vector = vector_of(buffer);
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  Owed &received = s.owe("the recvmsg"), &told = s.owe("the send_zc");
  reference_backend(s).recvmsg(pair.near.get(), message, 0, received.callback());
  reference_backend(s).send_zc(tcp.socket.get(), sent(buffer), MSG_NOSIGNAL, told.callback());
  s.settle();
  s.destroy_backend();
  EXPECT_EQ(received.res, -ECANCELED);
  EXPECT_EQ(told.res, -ECANCELED);
}

}  // namespace

void internal::add_reference_messages(BackendBehaviours& behaviours) {
  ReferenceSuite suite(behaviours, "ReferenceMessages", {IORING_OP_SEND, IORING_OP_SENDMSG, IORING_OP_RECVMSG});
  suite.add("AMessageIsTheCallersOnlyDuringTheCall", a_message_is_the_callers_only_during_the_call);
  suite.add("AReceivedMessageTellsWhereItCameFrom", a_received_message_tells_where_it_came_from);
  suite.add("DescriptorsTravel", descriptors_travel);
  suite.add("AFailedReceiveLeavesTheMessage", a_failed_receive_leaves_the_message);
  suite.add("AMessageWaitsAndIsCancelled", a_message_waits_and_is_cancelled);
  suite.add("AZeroCopySendEndsWhenItsBufferIsFree", a_zero_copy_send_ends_when_its_buffer_is_free);
  suite.add("ZeroCopyOfAMessage", zero_copy_of_a_message);
  suite.add("SocketsWithoutZeroCopySendAllTheSame", sockets_without_zero_copy_send_all_the_same);
  suite.add("DestructionTellsEachOnce", destruction_tells_each_once);
}

}  // namespace assay::conformance
