#pragma once

#include <sys/socket.h>
#include <sys/uio.h>
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/backend/uapi.h"

namespace assay::internal {

/// Copies of what an SQE points to and the kernel may read later than the call that was given it. They stay until the
/// operation has ended, and what they are kept in is used again by the next, so that in the long run none allocates.
class KeptArguments {
 public:
  const iovec* vectors(const iovec* first, std::size_t count) {
    vectors_.assign(first, first + count);
    return vectors_.data();
  }
  const char* path(std::string_view path) { return path_.assign(path).c_str(); }
  const char* second_path(std::string_view path) { return second_path_.assign(path).c_str(); }
  /// One that is too long for any address is not copied: the kernel refuses it by its length.
  const sockaddr* address(const void* address, socklen_t bytes) {
    if (address == nullptr) return nullptr;
    std::memcpy(&address_, address, std::min<std::size_t>(bytes, sizeof address_));
    return reinterpret_cast<const sockaddr*>(&address_);
  }
  const open_how* how(const open_how& how) { return &(how_ = how); }
  __kernel_timespec* time(const __kernel_timespec& time) { return &(time_ = time); }

  /// A message to be received into: its array is copied, what the array, the name and the control data point to is the
  /// caller's.
  msghdr* message_to_receive(const msghdr& message) {
    message_ = message;
    message_.msg_iov = const_cast<iovec*>(vectors(message.msg_iov, message.msg_iovlen));
    return &message_;
  }
  /// A message to be sent: its array, name and control data are copied, what the array points to is the caller's.
  msghdr* message_to_send(const msghdr& message) {
    message_to_receive(message);
    if (message.msg_name != nullptr)
      message_.msg_name = const_cast<sockaddr*>(address(message.msg_name, message.msg_namelen));
    if (message.msg_control != nullptr) {
      const auto* control = static_cast<const std::byte*>(message.msg_control);
      control_.assign(control, control + message.msg_controllen);
      message_.msg_control = control_.data();
    }
    return &message_;
  }
  /// A message of one buffer, for the requests that take nothing simpler.
  msghdr* message_of(void* buffer, std::size_t bytes) {
    vectors_.assign(1, {.iov_base = buffer, .iov_len = bytes});
    message_ = {};
    message_.msg_iov = vectors_.data();
    message_.msg_iovlen = 1;
    return &message_;
  }
  const msghdr& message() const noexcept { return message_; }

 private:
  std::vector<iovec> vectors_;
  std::string path_;
  std::string second_path_;
  std::vector<std::byte> control_;
  msghdr message_{};
  sockaddr_storage address_{};
  open_how how_{};
  __kernel_timespec time_{};
};

}  // namespace assay::internal
