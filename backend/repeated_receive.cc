#include "assay/backend/repeated_receive.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "assay/backend/operation_ways.h"
#include "assay/backend/requests.h"

namespace assay::internal {
namespace {

using Call = ReceiveSource::Call;

// How long it waits for a buffer that the kernel should have.
constexpr long kPauseNanoseconds = 1'000'000;

}  // namespace

OperationHandle RepeatedReceive::start(const ReceiveSource& source, std::shared_ptr<PooledBuffers> group,
                                       ReceiveCallback callback) {
  source_ = source;
  group_ = std::move(group);
  callback_ = std::move(callback);
  return start();
}

OperationHandle RepeatedReceive::start_messages(const ReceiveSource& source, std::shared_ptr<PooledBuffers> group,
                                                const MessageRoom& room, MessageCallback callback) {
  source_ = source;
  group_ = std::move(group);
  room_ = room;
  message_callback_ = std::move(callback);
  // The kernel aligns nothing that it puts into the buffer; the headers of control data want that.
  room_.name = (room_.name + 7) / 8 * 8;
  room_.control = (room_.control + 7) / 8 * 8;
  if (sizeof(io_uring_recvmsg_out) + room_.name + room_.control >= group_->buffer_bytes())
    return requests_.queue_ended(*this, -EMSGSIZE);
  return start();
}

OperationHandle RepeatedReceive::start() {
  const KernelSupport& support = requests_.support();
  multishot_ = source_.call() != Call::kRead || support.multishot_read;
  // With MSG_TRUNC the result does not tell how many buffers there are in a bundle.
  bundles_ = source_.call() == Call::kRecv && support.bundles && (source_.flags() & MSG_TRUNC) == 0;
  step_ = group_->in_ring() ? Step::kRequest : Step::kReadiness;
  if (auto queued = requests_.queue(*this)) return *queued;
  return requests_.queue_ended(*this, -ECANCELED);
}

void RepeatedReceive::prepare(io_uring_sqe& sqe) {
  // After a recovery the kernel may refuse the ring of buffers that it had before.
  if (step_ == Step::kRequest && buffer_ == kNone && !group_->in_ring()) step_ = Step::kReadiness;
  switch (step_) {
    case Step::kRequest:
      buffer_ == kNone ? prepare_for_kernel_to_pick(sqe) : prepare_into_buffer(sqe);
      return;
    case Step::kReadiness:
      source_.prepare_readiness(sqe);
      return;
    case Step::kNoBuffer:
    case Step::kPause:
      pause_ = {.tv_sec = 0, .tv_nsec = kPauseNanoseconds};
      io_uring_prep_timeout(&sqe, &pause_, 0, 0);
      return;
  }
}

void RepeatedReceive::prepare_for_kernel_to_pick(io_uring_sqe& sqe) {
  switch (source_.call()) {
    case Call::kRead:
      source_.prepare_into(sqe, {}, requests_);
      if (multishot_) {
        sqe.opcode = uapi::kOpReadMultishot;
      } else {
        sqe.len = static_cast<unsigned>(group_->buffer_bytes());
      }
      break;
    case Call::kRecv:
      source_.prepare_into(sqe, {}, requests_);
      if (bundles_) sqe.ioprio |= uapi::kRecvsendBundle;
      break;
    case Call::kRecvmsg:
      message_ = {};
      message_.msg_namelen = room_.name;
      message_.msg_controllen = room_.control;
      if (!multishot_) {
        before_payload_.resize(room_.name + room_.control);
        if (room_.name != 0) message_.msg_name = before_payload_.data();
        if (room_.control != 0) message_.msg_control = before_payload_.data() + room_.name;
        payload_ = {nullptr, group_->buffer_bytes() - sizeof(io_uring_recvmsg_out) - before_payload_.size()};
        message_.msg_iov = &payload_;
        message_.msg_iovlen = 1;
      }
      source_.prepare_message(sqe, message_);
      break;
  }
  if (multishot_ && source_.call() != Call::kRead) sqe.ioprio |= IORING_RECV_MULTISHOT;
  sqe.flags |= IOSQE_BUFFER_SELECT;
  sqe.buf_group = group_->id();
}

void RepeatedReceive::prepare_into_buffer(io_uring_sqe& sqe) {
  std::byte* buffer = group_->buffer(static_cast<std::uint16_t>(buffer_));
  if (source_.call() != Call::kRecvmsg) {
    source_.prepare_into(sqe, {buffer, group_->buffer_bytes()}, requests_);
  } else {
    std::byte* name = buffer + sizeof(io_uring_recvmsg_out);
    payload_.iov_base = name + room_.name + room_.control;
    payload_.iov_len = group_->buffer_bytes() - sizeof(io_uring_recvmsg_out) - room_.name - room_.control;
    message_ = {};
    message_.msg_name = room_.name != 0 ? name : nullptr;
    message_.msg_namelen = room_.name;
    message_.msg_control = room_.control != 0 ? name + room_.name : nullptr;
    message_.msg_controllen = room_.control;
    message_.msg_iov = &payload_;
    message_.msg_iovlen = 1;
    source_.prepare_message(sqe, message_);
  }
  // Ready a moment ago; where somebody else was faster, the next poll tells of more.
  if (source_.call() != Call::kRead) sqe.msg_flags |= MSG_DONTWAIT;
  take_older_opcode(sqe, requests_.support(), kept_);
}

// Before a message come its header, its name and its control data, as a multishot request has it.
void RepeatedReceive::write_header(std::byte* buffer, int payload) {
  auto& out = *reinterpret_cast<io_uring_recvmsg_out*>(buffer);
  out = {.namelen = message_.msg_namelen,
         .controllen = static_cast<std::uint32_t>(message_.msg_controllen),
         .payloadlen = static_cast<std::uint32_t>(payload),
         .flags = static_cast<std::uint32_t>(message_.msg_flags)};
}

// A single request puts the payload at the beginning of the buffer that it picks.
int RepeatedReceive::lay_out_picked(const Completion& completion) {
  const bool picked = step_ == Step::kRequest && buffer_ == kNone && (completion.flags & IORING_CQE_F_BUFFER) != 0;
  if (completion.res < 0 || !picked || multishot_ || source_.call() != Call::kRecvmsg) return completion.res;
  std::byte* buffer = group_->buffer(static_cast<std::uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT));
  std::byte* before = buffer + sizeof(io_uring_recvmsg_out);
  // With MSG_TRUNC the result is the message's whole length.
  const std::size_t received = std::min(static_cast<std::size_t>(completion.res), payload_.iov_len);
  std::memmove(before + before_payload_.size(), buffer, received);
  std::copy(before_payload_.begin(), before_payload_.end(), before);
  write_header(buffer, completion.res);
  return static_cast<int>(sizeof(io_uring_recvmsg_out) + before_payload_.size() + received);
}

void RepeatedReceive::complete(const Completion& completion) {
  if (completion.more()) {
    tell_picked(completion.res, completion.flags);
    return;
  }
  int result = lay_out_picked(completion);
  switch (judge(&result)) {
    case Outcome::kResult: {
      // In flight again before the callback runs, which may want to cancel it.
      std::optional<ProvidedBuffer> buffer = filled_buffer(result);
      if (buffer) step_ = Step::kReadiness;
      const bool goes_on = requests_.queue(*this).has_value();
      buffer ? tell(std::move(*buffer)) : tell_picked(result, completion.flags);
      if (!goes_on) end(-ECANCELED);
      return;
    }
    case Outcome::kGoesOn:
      drop_picked(completion.flags);
      if (!next_step()) end(-ECANCELED);
      return;
    case Outcome::kOver:
      drop_picked(completion.flags);
      end(result);
      return;
  }
}

RepeatedReceive::Outcome RepeatedReceive::judge(int* result) {
  switch (step_) {
    case Step::kRequest:
      break;
    case Step::kReadiness:
      return judge_readiness(result);
    case Step::kNoBuffer:
    case Step::kPause:
      if (*result == -EBADR) return Outcome::kOver;
      step_ = Step::kRequest;
      return Outcome::kGoesOn;
  }
  return judge_request(result);
}

RepeatedReceive::Outcome RepeatedReceive::judge_readiness(int* result) {
  if (*result == -ECANCELED || *result == -EBADR) return Outcome::kOver;
  if (*result == -EINTR || *result == -EAGAIN) return Outcome::kGoesOn;
  // Ready; or what is wrong with the file the call itself will say best.
  step_ = Step::kRequest;
  if (group_->in_ring()) return Outcome::kGoesOn;
  if (!takes_buffer()) return Outcome::kGoesOn;
  if (!source_.needs_plain_call(requests_)) return Outcome::kGoesOn;
  io_uring_sqe sqe{};
  prepare_into_buffer(sqe);
  sqe.fd = source_.file().fd();
  *result = call_plainly(sqe);
  return judge_request(result);
}

bool RepeatedReceive::takes_buffer() {
  if (const auto id = group_->take()) {
    buffer_ = *id;
    return true;
  }
  step_ = Step::kNoBuffer;
  return false;
}

RepeatedReceive::Outcome RepeatedReceive::judge_request(int* result) {
  if (buffer_ != kNone) {
    if (*result >= 0 && source_.call() == Call::kRecvmsg) {
      write_header(group_->buffer(static_cast<std::uint16_t>(buffer_)), *result);
      *result += static_cast<int>(sizeof(io_uring_recvmsg_out) + room_.name + room_.control);
    }
    const bool has_something = *result > 0 || (*result == 0 && source_.has_datagrams());
    if (!has_something || (is_empty_message(*result) && !source_.has_datagrams()))
      group_->give_back(static_cast<std::uint16_t>(std::exchange(buffer_, kNone)));
  }
  if (*result >= 0) {
    refused_ = false;
    if (*result == 0 || is_empty_message(*result)) {
      if (source_.has_datagrams()) return Outcome::kResult;
      *result = 0;
      return Outcome::kOver;
    }
    return Outcome::kResult;
  }
  switch (-*result) {
    case EAGAIN:
      step_ = Step::kReadiness;
      return Outcome::kGoesOn;
    case EINTR:
      if (!group_->in_ring()) step_ = Step::kReadiness;
      return Outcome::kGoesOn;
    case ENOBUFS:
      if (!group_->in_ring()) return Outcome::kOver;
      if (group_->free() == 0) {
        step_ = Step::kNoBuffer;
      } else if (std::exchange(refused_, true)) {
        step_ = Step::kPause;
      }
      return Outcome::kGoesOn;
    case EINVAL:
    case EBADFD:
      // What this kernel or file has no multishot for may do singly what it was asked for. Otherwise the answer means
      // what it says, as the next one will show.
      return group_->in_ring() && (std::exchange(bundles_, false) || std::exchange(multishot_, false))
                 ? Outcome::kGoesOn
                 : Outcome::kOver;
    default:
      return Outcome::kOver;
  }
}

bool RepeatedReceive::is_empty_message(int result) const noexcept {
  return source_.call() == Call::kRecvmsg && result >= 0 &&
         static_cast<std::size_t>(result) <= sizeof(io_uring_recvmsg_out) + room_.name + room_.control;
}

bool RepeatedReceive::next_step() {
  if (step_ != Step::kNoBuffer) return requests_.queue_next_step(*this);
  if (!requests_.park(*this)) return false;
  requests_.told_nobody();
  group_->wait_for_buffer(*this);
  return true;
}

void RepeatedReceive::go_on() { requests_.end_parked(*this, 0); }

void RepeatedReceive::cancelled(const Completion& completion) {
  if (completion.more()) {
    tell_picked(completion.res, completion.flags);
    return;
  }
  int result = lay_out_picked(completion);
  if (step_ != Step::kRequest) {
    end(result == -EBADR ? result : -ECANCELED);
    return;
  }
  switch (judge_request(&result)) {
    case Outcome::kResult: {
      // What was received all the same is told: it is gone from the file.
      std::optional<ProvidedBuffer> buffer = filled_buffer(result);
      buffer ? tell(std::move(*buffer)) : tell_picked(result, completion.flags);
      end(-ECANCELED);
      return;
    }
    case Outcome::kGoesOn:
      drop_picked(completion.flags);
      end(-ECANCELED);
      return;
    case Outcome::kOver:
      drop_picked(completion.flags);
      end(result);
      return;
  }
}

std::optional<ProvidedBuffer> RepeatedReceive::filled_buffer(int result) {
  if (buffer_ == kNone) return std::nullopt;
  const auto id = static_cast<std::uint16_t>(std::exchange(buffer_, kNone));
  // With MSG_TRUNC the result is the message's whole length.
  return group_->filled(id, std::min(static_cast<std::size_t>(result), group_->buffer_bytes()));
}

void RepeatedReceive::tell_picked(int result, unsigned flags) {
  if ((flags & IORING_CQE_F_BUFFER) == 0) {
    tell({});
    return;
  }
  auto bytes = static_cast<std::size_t>(result > 0 ? result : 0);
  if (!bundles_) bytes = std::min(bytes, group_->buffer_bytes());
  group_->take_filled(static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT), bytes,
                      [this](ProvidedBuffer buffer) { tell(std::move(buffer)); });
}

void RepeatedReceive::drop_picked(unsigned flags) {
  if ((flags & IORING_CQE_F_BUFFER) == 0) return;
  group_->take_filled(static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT), 0, [](ProvidedBuffer) {});
}

void RepeatedReceive::tell(ProvidedBuffer buffer) {
  const int bytes = static_cast<int>(buffer.size());
  if (!message_callback_) {
    callback_.tell(bytes, std::move(buffer), true);
    return;
  }
  ReceivedMessage message(std::move(buffer), room_);
  const int payload = static_cast<int>(message.payload().size());
  message_callback_.tell(payload, std::move(message), true);
}

void RepeatedReceive::end(int result) {
  if (step_ == Step::kNoBuffer) group_->stop_waiting(*this);
  if (buffer_ != kNone) group_->give_back(static_cast<std::uint16_t>(std::exchange(buffer_, kNone)));
  step_ = Step::kRequest;
  refused_ = false;
  source_ = {};
  // Kept until the callback has run, which may destroy the last handle of the pool.
  // So it is while an earlier call has destroyed the backend, and its buffers are still told.
  std::shared_ptr<PooledBuffers> group;
  if (!callback_.running() && !message_callback_.running()) group = std::move(group_);
  if (message_callback_) {
    message_callback_.end(result, ReceivedMessage{}, false);
  } else {
    callback_.end(result, ProvidedBuffer{}, false);
  }
  pool_.give_back(*this);
}

}  // namespace assay::internal
