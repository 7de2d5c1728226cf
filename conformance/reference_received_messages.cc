// Messages that the reference backend goes on receiving into buffers of a pool: with their sender and control data.

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "assay/conformance/backend_suites.h"
#include "assay/conformance/receive_actions.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

struct Message {
  std::string payload;
  std::string name;
  int flags;
};

struct ReceivedMessages {
  explicit ReceivedMessages(BackendScenario& s) : last(s.owe("a receive of messages")) {}

  MessageCallback callback(std::function<void(const ReceivedMessage&)> then = {}) {
    return [this, end = last.callback(), then = std::move(then)](int res, ReceivedMessage message, bool more) {
      EXPECT_FALSE(last.done()) << "told after its last call";
      if (!more) {
        end(res);
        return;
      }
      EXPECT_EQ(static_cast<std::size_t>(res), message.payload().size());
      messages.push_back({text_of(message.payload()), text_of(message.name()), message.flags()});
      if (then) then(message);
    };
  }

  std::vector<Message> messages;
  Owed& last;
};

void messages_come_with_their_sender(BackendScenario& s) {
  const BoundSocket from = make_udp_socket(), to = make_udp_socket();
  const Pool pool = must(Pool::create(reference_backend(s), {.count = 4, .bytes = 128}));
  ReceivedMessages received(s);
  const OperationHandle handle =
      reference_backend(s).recvmsg_each(to.socket.get(), pool, {.name = sizeof(sockaddr_in)}, 0, received.callback());
  const std::vector<std::string> texts{"first", "second", "", "third"};
  for (const std::string& text : texts) send_to(from, to, text);
  s.run_until([&] { return received.messages.size() == texts.size(); });
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(received.messages[i].payload, texts[i]);
    sockaddr_in name{};
    ASSERT_EQ(received.messages[i].name.size(), sizeof name);
    std::memcpy(&name, received.messages[i].name.data(), sizeof name);
    EXPECT_EQ(name.sin_port, from.address.sin_port);
    EXPECT_EQ(received.messages[i].flags & MSG_TRUNC, 0);
  }
  send_to(from, to, std::string(300, 'x'));
  s.run_until([&] { return received.messages.size() == texts.size() + 1; });
  EXPECT_NE(received.messages.back().flags & MSG_TRUNC, 0);
  EXPECT_EQ(received.messages.back().payload,
            std::string(128 - sizeof(io_uring_recvmsg_out) - sizeof(sockaddr_in), 'x'));
  cancel_and_see(s, handle, received.last);
  EXPECT_EQ(pool.free(), pool.count());
}

void messages_come_with_control_data(BackendScenario& s) {
  SocketPair pair = make_datagram_pair();
  const int one = 1;
  ASSERT_EQ(::setsockopt(pair.near.get(), SOL_SOCKET, SO_PASSCRED, &one, sizeof one), 0);
  const Pool pool = must(Pool::create(reference_backend(s), {.count = 4, .bytes = 256}));
  ReceivedMessages received(s);
  pid_t sender = 0;
  const OperationHandle handle = reference_backend(s).recvmsg_each(
      pair.near.get(), pool, {.control = CMSG_SPACE(sizeof(ucred))}, 0,
      received.callback([&](const ReceivedMessage& message) {
        msghdr header = message.header();
        for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr; control = CMSG_NXTHDR(&header, control)) {
          if (control->cmsg_type != SCM_CREDENTIALS) continue;
          ucred credentials{};
          std::memcpy(&credentials, CMSG_DATA(control), sizeof credentials);
          sender = credentials.pid;
        }
      }));
  write_text(pair.far.get(), "hello");
  s.run_until([&] { return received.messages.size() == 1; });
  EXPECT_EQ(received.messages[0].payload, "hello");
  EXPECT_EQ(sender, ::getpid());
  cancel_and_see(s, handle, received.last);
}

void a_message_needs_room_for_its_payload(BackendScenario& s) {
  SocketPair pair = make_datagram_pair();
  const Pool pool = new_pool(s);
  ReceivedMessages received(s);
  reference_backend(s).recvmsg_each(pair.near.get(), pool, {.name = kBufferBytes}, 0, received.callback());
  EXPECT_FALSE(received.last.done());
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, -EMSGSIZE);
}

void datagrams_of_no_bytes_are_told(BackendScenario& s) {
  SocketPair pair = make_datagram_pair();
  const Pool pool = new_pool(s);
  Received received(s);
  const OperationHandle handle = reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  for (const std::string text : {"a", "", "b"}) ASSERT_GE(::send(pair.far.get(), text.data(), text.size(), 0), 0);
  s.run_until([&] { return received.text == "ab"; });
  EXPECT_EQ(received.pieces, 3u);
  cancel_and_see(s, handle, received.last);
}

void messages_of_a_stream_end_with_it(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  const Pool pool = new_pool(s);
  ReceivedMessages received(s);
  reference_backend(s).recvmsg_each(pair.near.get(), pool, {}, 0, received.callback());
  write_text(pair.far.get(), "hello");
  pair.far.reset();
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, 0);
  std::string all;
  for (const Message& message : received.messages) all += message.payload;
  EXPECT_EQ(all, "hello");
  EXPECT_EQ(pool.free(), pool.count());
}

}  // namespace

void internal::add_reference_received_messages(BackendBehaviours& behaviours) {
  // Without SEND_ZC the backend takes a kernel for one that has no multishot receive.
  ReferenceSuite pools(behaviours, "ReferenceReceives", {IORING_OP_SEND_ZC, IORING_OP_RECV, IORING_OP_RECVMSG});
  pools.add("DatagramsOfNoBytesAreTold", datagrams_of_no_bytes_are_told);
  pools.add("MessagesComeWithTheirSender", messages_come_with_their_sender);
  pools.add("MessagesComeWithControlData", messages_come_with_control_data);
  pools.add("AMessageNeedsRoomForItsPayload", a_message_needs_room_for_its_payload);
  pools.add("MessagesOfAStreamEndWithIt", messages_of_a_stream_end_with_it);
}

}  // namespace assay::conformance
