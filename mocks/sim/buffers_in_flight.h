#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace assay::internal {

struct Request;

/// Strict mode's watch over the memory of requests that wait: it is the kernel's until they are over.
///
/// What the kernel will write is poisoned, under AddressSanitizer, so that whoever looks at it too early is found on
/// the spot; and when it is written it must be what it was, neither freed nor something else by now. What the kernel
/// will read is hashed, and must not have changed when it is read. A violation ends the process with a line that names
/// the request.
///
/// Only transfers are watched, READ to SENDMSG_ZC with their own or registered buffers: not those that select one, nor
/// what other operations write (STATX, GETXATTR, PIPE ...). Where a request of the simulator itself writes what another
/// will read, as in a chain that copies, nothing is said about the latter.
class BuffersInFlight {
 public:
  BuffersInFlight() = default;
  BuffersInFlight(const BuffersInFlight&) = delete;
  BuffersInFlight& operator=(const BuffersInFlight&) = delete;
  ~BuffersInFlight();

  /// The request begins to wait, or goes on with it: from here on its memory is the kernel's.
  void hold(const Request& request);
  /// It is carried out now: checks that its memory is as it was, and lets go of it meanwhile.
  void use(const Request& request);
  /// It is over, whether it was ever carried out or not.
  void let_go(const Request& request);

 private:
  struct Held {
    std::vector<iovec> memory;
    bool written = false;
    /// Of what is read: what it was, where that can be said.
    bool hashed = false;
    std::uint64_t hash = 0;
  };
  using Requests = std::map<const Request*, Held>;

  void drop(Requests::iterator held);
  void poison_again(std::span<const iovec> memory);
  bool is_written_by_others(std::span<const iovec> memory) const;
  void forget_hashes(std::span<const iovec> memory);

  Requests requests_;
};

}  // namespace assay::internal
