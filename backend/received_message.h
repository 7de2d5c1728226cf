#pragma once

#include <sys/socket.h>
#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include "assay/backend/provided_buffer.h"
#include "assay/backend/uapi.h"

namespace assay {

/// How many bytes of each buffer are set aside for what comes with a message.
struct MessageRoom {
  /// The sender's address: sizeof(sockaddr_storage) is enough for each.
  socklen_t name = 0;
  /// Control data: see CMSG_SPACE of cmsg(3).
  std::size_t control = 0;
};

/// A message that was received into a buffer of a pool, with its sender and control data: a view of that buffer, which
/// the message holds. Source: io_uring_prep_recvmsg_multishot(3).
class ReceivedMessage {
 public:
  ReceivedMessage() = default;
  /// A buffer that begins with a `struct io_uring_recvmsg_out`, name and control data follow, then the payload.
  ReceivedMessage(ProvidedBuffer buffer, const MessageRoom& room) : buffer_(std::move(buffer)), room_(room) {}

  explicit operator bool() const noexcept { return buffer_.size() >= sizeof(io_uring_recvmsg_out); }
  std::span<std::byte> payload() const noexcept {
    return *this ? buffer_.data().subspan(sizeof(io_uring_recvmsg_out) + room_.name + room_.control)
                 : std::span<std::byte>{};
  }
  /// The sender's address, cut to the room there was; its sa_family tells which it is.
  std::span<const std::byte> name() const noexcept {
    if (!*this) return {};
    return buffer_.data().subspan(sizeof(io_uring_recvmsg_out), std::min<std::size_t>(out().namelen, room_.name));
  }
  /// MSG_TRUNC: the payload was longer than the buffer. MSG_CTRUNC: the control data than its room.
  int flags() const noexcept { return *this ? static_cast<int>(out().flags) : 0; }
  /// A header for CMSG_FIRSTHDR and CMSG_NXTHDR, which points into the buffer.
  msghdr header() const noexcept {
    msghdr header{};
    if (!*this) return header;
    std::byte* name = buffer_.data().data() + sizeof(io_uring_recvmsg_out);
    header.msg_name = name;
    header.msg_namelen = static_cast<socklen_t>(this->name().size());
    header.msg_control = name + room_.name;
    header.msg_controllen = std::min<std::size_t>(out().controllen, room_.control);
    header.msg_flags = flags();
    return header;
  }

 private:
  const io_uring_recvmsg_out& out() const noexcept {
    return *reinterpret_cast<const io_uring_recvmsg_out*>(buffer_.data().data());
  }

  ProvidedBuffer buffer_;
  MessageRoom room_;
};

}  // namespace assay
