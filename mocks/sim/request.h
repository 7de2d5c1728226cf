#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "assay/backend/uapi.h"
#include "assay/mocks/sim/clock.h"
#include "assay/mocks/sim/descriptor.h"
#include "assay/mocks/sim/provided_buffers.h"
#include "assay/mocks/sim/registration/buffer_table.h"
#include "assay/mocks/sim/registration/file_table.h"
#include "assay/mocks/sim/registration/personality.h"

namespace assay::internal {

class SimRing;
struct Operation;
struct Request;

/// By either of these an SQE is linked to the next.
inline constexpr std::uint32_t kLinkFlags = IOSQE_IO_LINK | IOSQE_IO_HARDLINK;

/// Where a request is.
enum class Place : std::uint8_t {
  kSubmission,  ///< Being submitted, or run, right now.
  kCompleted,   ///< Over, and to be posted with its batch.
  kHeld,        ///< Over, and to be posted by the next enter.
  kChain,       ///< Behind another one of its chain.
  kDrain,       ///< In the queue that IOSQE_IO_DRAIN makes.
  kTaskWork,    ///< Has task work to run.
  kWorker,      ///< Waits for a worker to carry it out.
  kArmed,       ///< Waits for its file.
  kTimer,       ///< Waits for time to pass.
  kRevisited,   ///< Waits for what has no file to poll.
};

/// What an operation keeps of its own between its preparation and its end.
struct OperationState {
  OperationState() = default;
  OperationState(const OperationState&) = delete;
  OperationState& operator=(const OperationState&) = delete;
  virtual ~OperationState() = default;

  /// The memory that is still to be transferred, where it is not in `Request::buffers`.
  virtual const std::vector<iovec>* memory() const { return nullptr; }
};

/// What task work does to its request.
using Step = void (*)(SimRing& ring, Request& request);

/// One request from its submission to its end (the kernel's struct io_kiocb).
struct Request {
  /// The SQE, see `sqe`; as bytes, because its type ends in an array without a size.
  alignas(io_uring_sqe) unsigned char sqe_bytes[sizeof(io_uring_sqe)];
  const Operation* operation;
  Step step;
  /// The next request of the chain.
  Request* link;
  Request* previous;
  Request* next;
  /// Grows with each arming, and orders what becomes ready at one instant.
  std::uint64_t serial;
  std::int32_t result;
  std::uint32_t cqe_flags;
  std::uint64_t extra[2];
  Place place;
  /// Ended with an error, as far as links are concerned: a short read is one, -ETIME of a timeout may be none.
  bool failed;
  bool skip_success;
  bool skip_link_cqes;
  /// To be handed to a worker rather than tried during submission.
  bool force_worker;
  /// A worker carries it out, so it may block.
  bool in_worker;
  /// Its completion was held back once, as the Chooser wanted.
  bool held;
  bool cancelled;
  /// Of the last cancellation of several requests that found this one, so that it is not found twice.
  std::uint64_t cancel_sequence;
  /// Known to the epoll of armed files, enabled or not, by this fd.
  bool in_epoll;
  int armed_fd;
  bool multishot;
  /// Its next request is a LINK_TIMEOUT that starts with it.
  bool arms_link_timeout;
  bool has_link_timeout;

  /// The file: the caller's fd during submission, then the request's own reference or a registered slot's.
  int fd;
  Descriptor file;
  /// What it uses of the file table and of the registered buffers: these stay until it is over.
  std::shared_ptr<RegisteredFile> registered_file;
  std::shared_ptr<RegisteredBuffer> registered_buffer;
  /// Whom it acts as, where the SQE names a personality.
  std::shared_ptr<const Credentials> credentials;

  // Timers.
  Nanoseconds deadline;
  Nanoseconds interval;
  std::uint32_t timeout_count;
  std::uint32_t timeout_target;
  std::uint32_t timeout_repeats;
  std::uint32_t timeout_flags;
  /// For a LINK_TIMEOUT: the request that it limits, until one of the two is over.
  Request* limited;
  /// Whether that one was still there when the time was over, and the user_data by which it is then looked for.
  bool found_limited;
  std::uint64_t limited_user_data;

  // Polls.
  std::uint32_t poll_events;
  /// What its file was found ready for.
  std::uint32_t ready_events;
  /// More happened since: when its task work runs, the file is asked again.
  bool asks_again;

  // Reads and writes.
  std::vector<iovec> buffers;
  std::size_t total_bytes;

  // What was copied from the user at submission.
  std::string path;
  /// The other path of RENAMEAT and the like; the name of an extended attribute.
  std::string other_path;
  /// What else the SQE points to.
  std::vector<std::byte> bytes;

  /// What some operations need besides; goes with the request.
  std::unique_ptr<OperationState> state;
  /// The provided buffer that it holds, with IOSQE_BUFFER_SELECT.
  SelectedBuffer selected;
  /// Its file was found ready once (REQ_F_POLLED), so that IORING_RECVSEND_POLL_FIRST has had its way.
  bool polled;

  /// How many of them the Chooser lets through: asked once, however often the request is tried. 0 is not asked yet.
  std::size_t chosen_bytes;

  /// A copy: the user may reuse the slot as soon as it was consumed.
  io_uring_sqe& sqe() { return *reinterpret_cast<io_uring_sqe*>(sqe_bytes); }
  const io_uring_sqe& sqe() const { return *reinterpret_cast<const io_uring_sqe*>(sqe_bytes); }
  std::uint8_t opcode() const { return sqe().opcode; }
  bool linked() const { return (sqe().flags & kLinkFlags) != 0; }
  bool in_list() const { return next != nullptr; }
};

/// A doubly linked list of requests, none of which is in more than one; order is that of insertion.
class RequestList {
 public:
  RequestList() { ends_.previous = ends_.next = &ends_; }
  RequestList(const RequestList&) = delete;
  RequestList& operator=(const RequestList&) = delete;

  bool empty() const { return ends_.next == &ends_; }
  std::size_t size() const { return size_; }
  Request* after(const Request* request) const { return request->next == &ends_ ? nullptr : request->next; }
  Request* before(const Request* request) const { return request->previous == &ends_ ? nullptr : request->previous; }
  Request* first() const { return empty() ? nullptr : ends_.next; }
  Request* last() const { return empty() ? nullptr : ends_.previous; }

  void push_back(Request* request) { insert_before(&ends_, request); }
  /// Puts `request` after `position`, or first if that is null.
  void insert_after(Request* position, Request* request) {
    insert_before(position == nullptr ? ends_.next : position->next, request);
  }
  void remove(Request* request) {
    request->previous->next = request->next;
    request->next->previous = request->previous;
    request->previous = request->next = nullptr;
    --size_;
  }
  /// Takes out the request at `index`, counted from the oldest.
  Request* take(std::size_t index) {
    Request* request = ends_.next;
    while (index-- > 0) request = request->next;
    remove(request);
    return request;
  }

 private:
  void insert_before(Request* position, Request* request) {
    request->previous = position->previous;
    request->next = position;
    position->previous->next = request;
    position->previous = request;
    ++size_;
  }

  Request ends_{};
  std::size_t size_ = 0;
};

/// Requests for reuse, so that submitting one allocates nothing.
class RequestPool {
 public:
  Request* take() {
    if (free_ == nullptr) grow();
    Request* request = free_;
    free_ = request->next;
    request->next = nullptr;
    ++live_;
    return request;
  }
  void give_back(Request* request) {
    request->next = free_;
    free_ = request;
    --live_;
  }
  /// How many are in use.
  std::size_t live() const { return live_; }

 private:
  void grow();

  std::vector<std::unique_ptr<Request[]>> blocks_;
  Request* free_ = nullptr;
  std::size_t live_ = 0;
};

}  // namespace assay::internal
