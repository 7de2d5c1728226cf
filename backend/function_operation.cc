#include "assay/backend/function_operation.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <cerrno>
#include <cstring>
#include <utility>

#include "assay/backend/operation_ways.h"
#include "assay/backend/requests.h"

namespace assay::internal {
namespace {

// A file that is called ready and then says -EAGAIN so often is broken, and its -EAGAIN is told rather than asked for
// for ever.
constexpr std::uint16_t kMostTries = 1000;

// The kernel's own words for an interrupted call that can be made again (-ERESTARTSYS and its like), which splices and
// the opening of a FIFO let out.
bool asks_for_a_restart(int result) { return result <= -512 && result >= -516; }

bool is_file_transfer(std::uint8_t opcode) {
  return opcode == IORING_OP_READ || opcode == IORING_OP_READV || opcode == IORING_OP_WRITE ||
         opcode == IORING_OP_WRITEV;
}

bool is_message_transfer(std::uint8_t opcode) {
  return opcode == IORING_OP_SEND || opcode == IORING_OP_SENDMSG || opcode == IORING_OP_RECV ||
         opcode == IORING_OP_RECVMSG;
}

bool is_zero_copy(std::uint8_t opcode) { return opcode == IORING_OP_SEND_ZC || opcode == IORING_OP_SENDMSG_ZC; }

}  // namespace

OperationHandle FunctionOperation::start(ResultCallback&& callback) {
  callback_ = std::move(callback);
  const KernelSupport& support = requests_.support();
  if (!support.has(sqe().opcode)) plain_ = !take_older_opcode(sqe(), support, kept());
  if (plain_) {
    // A connection is begun at once, and then waited for as all others are.
    if (readiness() == 0 || sqe().opcode == IORING_OP_CONNECT) {
      const int result = call_plainly(sqe());
      if (readiness() == 0 || result != -EINPROGRESS) return requests_.queue_ended(*this, result);
    }
    step_ = Step::kReadiness;
  } else if (!support.waits_for_readiness && readiness() != 0 && !is_file_transfer(sqe().opcode) &&
             sqe().opcode != IORING_OP_CONNECT) {
    step_ = Step::kReadiness;
    polled_first_ = is_message_transfer(sqe().opcode);
  }
  if (auto queued = requests_.queue(*this)) return *queued;
  return requests_.queue_ended(*this, -ECANCELED);
}

OperationHandle FunctionOperation::start_ended(int result, ResultCallback&& callback) {
  callback_ = std::move(callback);
  return requests_.queue_ended(*this, result);
}

void FunctionOperation::prepare(io_uring_sqe& slot) {
  const bool splices = sqe().opcode == IORING_OP_SPLICE;
  switch (step_) {
    case Step::kRequest:
      std::memcpy(&slot, sqe_.data(), sqe_.size());
      if (file_->is_registered()) file_->give_to(slot);
      // Ready a moment ago, and used up by somebody else: it is better asked for again than left to a worker, which
      // nothing could take away from it before 5.5.
      if (polled_first_) slot.msg_flags |= MSG_DONTWAIT;
      if (splices && source_->is_registered()) {
        io_uring_sqe source{};
        source_->give_to(source);
        slot.splice_fd_in = source.fd;
        slot.splice_flags |= SPLICE_F_FD_IN_FIXED;
      }
      return;
    case Step::kReadiness: {
      const File& file = splices ? *source_ : *file_;
      io_uring_prep_poll_add(&slot, file.fd(), readiness());
      file.give_to(slot);
      return;
    }
    case Step::kRoom:
      io_uring_prep_poll_add(&slot, file_->fd(), POLLOUT);
      file_->give_to(slot);
      return;
  }
}

void FunctionOperation::complete(const Completion& completion) {
  if (step_ == Step::kRequest && completion.res >= 0 &&
      (completion.flags & (IORING_CQE_F_MORE | IORING_CQE_F_NOTIF)) == 0) {
    end(completion.res);
    return;
  }
  const std::optional<int> result = result_of(completion);
  if (!result) return;
  if (const std::optional<int> over = advance(*result)) {
    end(*over);
  } else if (!requests_.queue_next_step(*this)) {
    end(-ECANCELED);
  }
}

void FunctionOperation::cancelled(const Completion& completion) {
  const std::optional<int> result = result_of(completion);
  if (!result) return;
  // Readiness did nothing yet, and nor did a request that was to be tried again. An interrupted close(2) has closed.
  const bool did_nothing = step_ != Step::kRequest ? *result != -EBADR
                                                   : (*result == -EINTR && sqe().opcode != IORING_OP_CLOSE) ||
                                                         (*result == -EAGAIN && readiness() != 0);
  end(did_nothing ? -ECANCELED : *result);
}

unsigned FunctionOperation::readiness() const noexcept {
  return readiness_of(*reinterpret_cast<const io_uring_sqe*>(sqe_.data()));
}

std::optional<int> FunctionOperation::result_of(const Completion& completion) {
  if (completion.more()) {
    // A zero-copy send says what it came to before the buffer may be used again.
    first_result_ = completion.res;
    requests_.told_nobody();
    return std::nullopt;
  }
  const int result = (completion.flags & IORING_CQE_F_NOTIF) != 0 ? first_result_ : completion.res;
  return asks_for_a_restart(result) ? -EINTR : result;
}

std::optional<int> FunctionOperation::advance(int result) {
  if (step_ == Step::kRequest) return after_request(result);
  if (result == -ECANCELED || result == -EBADR) return result;
  if ((result == -EINTR || result == -EAGAIN) && tries_again()) return std::nullopt;
  // Ready; or what is wrong with the file the operation itself will say best.
  if (step_ == Step::kReadiness && sqe().opcode == IORING_OP_SPLICE) {
    step_ = Step::kRoom;
    return std::nullopt;
  }
  step_ = Step::kRequest;
  if (sqe().opcode == IORING_OP_CONNECT) {
    const int connected = connect_result(file_->fd());
    if (connected != -ENOTCONN) return connected;
  }
  if (!plain_) return std::nullopt;
  return after_request(call_plainly(sqe()));
}

std::optional<int> FunctionOperation::after_request(int result) {
  const std::uint8_t opcode = sqe().opcode;
  switch (-result) {
    case EAGAIN:
      // Where no connection can be begun for want of ports, or of room in a local backlog, no poll tells of either.
      if (opcode == IORING_OP_CONNECT) return result;
      break;
    case EINTR:
      break;
    case EINPROGRESS:
      if (opcode != IORING_OP_CONNECT) return result;
      break;
    case EOPNOTSUPP:
    case EINVAL:
      // Sockets without zero copy: those of AF_UNIX, and before 6.2 some more. Sending is what was asked for.
      if (!is_zero_copy(opcode)) return result;
      sqe().opcode = opcode == IORING_OP_SEND_ZC ? IORING_OP_SEND : IORING_OP_SENDMSG;
      plain_ = !take_older_opcode(sqe(), requests_.support(), kept());
      if (plain_) step_ = Step::kReadiness;
      return std::nullopt;
    default:
      return result;
  }
  if (readiness() == 0 || (is_file_transfer(opcode) && !can_wait_for_readiness(file_->fd()))) return result;
  if (!tries_again()) return result;
  // An interrupted connect(2) goes on by itself; anything else that was interrupted is asked for again.
  if (result != -EINTR || plain_ || opcode == IORING_OP_CONNECT) step_ = Step::kReadiness;
  return std::nullopt;
}

bool FunctionOperation::tries_again() noexcept { return ++tries_ < kMostTries; }

void FunctionOperation::end(int result) {
  if (msghdr* message = std::exchange(told_message_, nullptr); message != nullptr && result >= 0) {
    message->msg_namelen = kept_->message().msg_namelen;
    message->msg_controllen = kept_->message().msg_controllen;
    message->msg_flags = kept_->message().msg_flags;
  }
  polled_first_ = false;
  step_ = Step::kRequest;
  plain_ = false;
  tries_ = 0;
  file_ = File(-1);
  source_ = File(-1);
  callback_(result);
  callback_ = nullptr;
  // Only now: an operation that the callback starts must not be this one, whose handle may still be around.
  pool_.give_back(*this);
}

}  // namespace assay::internal
