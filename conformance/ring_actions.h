#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "assay/backend/ring.h"
#include "assay/backend/uapi.h"
#include "assay/conformance/behaviour.h"

/// What the bodies of the ring suites are written with. Whatever cannot go on fails the test and ends its body, so that
/// a body says only what it is about.
namespace assay::conformance {

/// A ring on the kernel under test, or the end of the body.
Ring open_ring(KernelUnderTest& kernel, const RingOptions& options = {.sq_entries = 8});

/// The next SQE, cleared and with that user_data, or the end of the body when the SQ is full.
io_uring_sqe& next_sqe(Ring& ring, std::uint64_t user_data = 0);
/// The same as a NOP.
io_uring_sqe& prepare_nop(Ring& ring, std::uint64_t user_data = 0);

/// A copy of a CQE, comparable and printed by GoogleTest as "{user_data, res, flags}".
struct Completion {
  std::uint64_t user_data = 0;
  std::int32_t res = 0;
  std::uint32_t flags = 0;

  friend bool operator==(const Completion&, const Completion&) = default;
};
void PrintTo(const Completion& completion, std::ostream* out);

/// Waits for one completion, takes it off the CQ and returns it.
Completion take(Ring& ring);
/// The same for `count` of them, in the CQ's order.
std::vector<Completion> take(Ring& ring, unsigned count);
/// Takes what is there, without a call.
std::vector<Completion> take_ready(Ring& ring);
/// Submits everything that was prepared, and expects all of it to be consumed.
void submit_all(Ring& ring);
/// Submits one prepared SQE and returns its completion.
Completion run_one(Ring& ring);
/// The same, of which only the result is returned.
inline int result(Ring& ring) { return run_one(ring).res; }

/// In `completions`, the one with that user_data, or the end of the body.
Completion find(const std::vector<Completion>& completions, std::uint64_t user_data);

/// A file descriptor that is closed at the end of its scope.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~Fd() { reset(); }

  int get() const noexcept { return fd_; }
  int release() noexcept {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd = -1) noexcept;

 private:
  int fd_;
};

/// pipe(2).
struct Pipe {
  Fd read_end;
  Fd write_end;
};
Pipe make_pipe(int flags = 0);
void write_text(int fd, std::string_view text);
std::string read_text(int fd, std::size_t bytes);
/// A file without a name that holds `content`, its position at the start.
Fd make_file(std::string_view content = {});
/// What it holds, whatever its position.
std::string file_content(int fd);
/// eventfd(2) with a count of zero.
Fd make_eventfd();
/// Its count, which is zero again afterwards; 0 where it had none.
std::uint64_t eventfd_count(int fd);

}  // namespace assay::conformance
