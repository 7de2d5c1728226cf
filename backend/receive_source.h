#pragma once

#include <sys/socket.h>
#include <cstddef>
#include <cstdint>
#include <span>

#include "assay/backend/file.h"
#include "assay/backend/uapi.h"

namespace assay::internal {

class Requests;

/// What an operation that goes on receiving receives from, and by which call.
class ReceiveSource {
 public:
  enum class Call : std::uint8_t { kRead, kRecv, kRecvmsg };

  ReceiveSource() = default;
  ReceiveSource(Call call, File file, int flags);

  Call call() const noexcept { return call_; }
  File file() const noexcept { return *file_; }
  int flags() const noexcept { return flags_; }
  /// Receiving nothing is then a message of no bytes, and no end.
  bool has_datagrams() const noexcept { return datagrams_; }
  /// True when this kernel has no request for it: the plain call does it, once the file is ready.
  bool needs_plain_call(const Requests& requests) const;

  /// A poll until there is something to receive.
  void prepare_readiness(io_uring_sqe& sqe) const;
  /// A read or recv into this memory.
  void prepare_into(io_uring_sqe& sqe, std::span<std::byte> memory, const Requests& requests) const;
  /// A recvmsg of this message, which must stay until it has ended.
  void prepare_message(io_uring_sqe& sqe, msghdr& message) const;

 private:
  Call call_ = Call::kRead;
  bool datagrams_ = false;
  int flags_ = 0;
  HeldFile file_;
};

}  // namespace assay::internal
