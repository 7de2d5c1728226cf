// Receiving on and on, by the reference backend, into memory that the callback allocates.

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "assay/conformance/backend_suites.h"
#include "assay/conformance/receive_actions.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

void receives_into_what_the_callback_allocates(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  std::array<std::byte, 8> memory{};
  unsigned allocations = 0;
  std::string text;
  Repeated received(s, "a receive");
  reference_backend(s).recv_each(
      pair.near.get(),
      [&] {
        ++allocations;
        return std::span<std::byte>(memory);
      },
      0, received.callback([&](int res) { text += text_of(std::span(memory).first(static_cast<std::size_t>(res))); }));
  const std::string sent_text = numbers(50);
  write_text(pair.far.get(), sent_text);
  s.run_until([&] { return text.size() == sent_text.size(); });
  EXPECT_EQ(text, sent_text);
  EXPECT_GE(allocations, received.results.size());
  EXPECT_LE(allocations, received.results.size() + 1) << "memory that was not used is asked for once";
  pair.far.reset();
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, 0);
}

void no_memory_ends_it(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  std::array<std::byte, 8> memory{};
  bool has_memory = true;
  Repeated received(s, "a receive");
  reference_backend(s).recv_each(
      pair.near.get(),
      [&] { return std::exchange(has_memory, false) ? std::span<std::byte>(memory) : std::span<std::byte>(); }, 0,
      received.callback());
  write_text(pair.far.get(), "0123456789abcdef");
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, -ENOBUFS);
  EXPECT_EQ(received.results.size(), 1u);
}

void reads_into_what_the_callback_allocates(BackendScenario& s) {
  const Fd counter(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  std::uint64_t value = 0;
  std::uint64_t sum = 0;
  Repeated received(s, "a read");
  OperationHandle handle = reference_backend(s).read_each(
      counter.get(), [&] { return std::as_writable_bytes(std::span(&value, 1)); }, received.callback([&](int res) {
        EXPECT_EQ(res, 8);
        sum += value;
      }));
  s.settle();
  for (std::uint64_t add = 1; add <= 3; ++add) {
    const std::uint64_t before = sum;
    ASSERT_EQ(::write(counter.get(), &add, sizeof add), static_cast<ssize_t>(sizeof add));
    s.run_until([&] { return sum >= before + add; });
    EXPECT_EQ(sum, before + add);
  }
  cancel_and_see(s, handle, received.last);
}

void messages_into_what_the_callback_allocates(BackendScenario& s) {
  const BoundSocket from = make_udp_socket(), to = make_udp_socket();
  std::array<char, 32> payload{};
  sockaddr_in name{};
  iovec vector{.iov_base = payload.data(), .iov_len = payload.size()};
  msghdr message{};
  std::vector<std::string> texts;
  Repeated received(s, "a receive of messages");
  OperationHandle handle = reference_backend(s).recvmsg_each(
      to.socket.get(),
      [&] {
        message = {};
        message.msg_name = &name;
        message.msg_namelen = sizeof name;
        message.msg_iov = &vector;
        message.msg_iovlen = 1;
        return &message;
      },
      0, received.callback([&](int res) {
        texts.emplace_back(payload.data(), static_cast<std::size_t>(res));
        EXPECT_EQ(message.msg_namelen, sizeof name);
        EXPECT_EQ(name.sin_port, from.address.sin_port);
      }));
  for (const char* text : {"one", "", "two"}) send_to(from, to, text);
  s.run_until([&] { return texts.size() == 3; });
  EXPECT_EQ(texts, (std::vector<std::string>{"one", "", "two"}));
  cancel_and_see(s, handle, received.last);
}

}  // namespace

void internal::add_reference_own_memory(BackendBehaviours& behaviours) {
  ReferenceSuite own(behaviours, "ReferenceReceivesIntoOwnMemory", {IORING_OP_RECV, IORING_OP_RECVMSG, IORING_OP_READ});
  own.add("ReceivesIntoWhatTheCallbackAllocates", receives_into_what_the_callback_allocates);
  own.add("NoMemoryEndsIt", no_memory_ends_it);
  own.add("ReadsIntoWhatTheCallbackAllocates", reads_into_what_the_callback_allocates);
  own.add("MessagesIntoWhatTheCallbackAllocates", messages_into_what_the_callback_allocates);
}

}  // namespace assay::conformance
