#include "assay/faultinject/trace_text.h"

#include <array>
#include <cstdio>

#include "assay/backend/uapi_names.h"
#include "assay/faultinject/fault_plan.h"
#include "assay/faultinject/peek_memory.h"

namespace assay {
namespace {

// Below this no user-space pointer lies on the machines that io_uring runs on.
constexpr std::uint64_t kLeastPointer = std::uint64_t{1} << 32;

std::string named(std::map<std::uint64_t, std::size_t>& names, std::uint64_t value, const char* kind) {
  const std::size_t number = names.emplace(value, names.size() + 1).first->second;
  return kind + std::to_string(number);
}

std::string hexadecimal(std::uint64_t value) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(value));
  return text.data();
}

// Requests whose `addr` is the user_data of another request.
bool names_another_request(std::uint8_t opcode) {
  return opcode == IORING_OP_POLL_REMOVE || opcode == IORING_OP_TIMEOUT_REMOVE || opcode == IORING_OP_ASYNC_CANCEL;
}

// Requests whose `off` is the address of a second thing (`addr2`).
bool has_second_address(std::uint8_t opcode) {
  switch (opcode) {
    case IORING_OP_ACCEPT:
    case IORING_OP_OPENAT2:
    case IORING_OP_STATX:
    case IORING_OP_RENAMEAT:
    case IORING_OP_SYMLINKAT:
    case IORING_OP_LINKAT:
    case IORING_OP_SETXATTR:
    case IORING_OP_FSETXATTR:
    case IORING_OP_GETXATTR:
    case IORING_OP_FGETXATTR:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string TraceNames::address(std::uint64_t value) { return value == 0 ? "0" : named(addresses_, value, "buffer"); }

std::string TraceNames::user_data(std::uint64_t value) {
  if (value == uapi::kUserDataTimeout) return "timeout";
  return value < kLeastPointer ? std::to_string(value) : named(user_data_, value, "data");
}

std::string trace_sqe(const io_uring_sqe& sqe, TraceNames& names) {
  std::string text = uapi_name(UapiClass::kOpcode, sqe.opcode);
  const auto append = [&text](const char* key, const std::string& value) {
    text += ' ';
    text += key;
    text += '=';
    text += value;
  };
  const bool plain_nop = sqe.opcode == IORING_OP_NOP;
  const bool timer =
      sqe.opcode == IORING_OP_TIMEOUT || sqe.opcode == IORING_OP_TIMEOUT_REMOVE || sqe.opcode == IORING_OP_LINK_TIMEOUT;
  // A NOP's fd says nothing, whether programs leave 0 or -1 there; nor does that of a timer.
  if (!plain_nop && !timer) append("fd", std::to_string(sqe.fd));
  if (has_second_address(sqe.opcode)) {
    append("addr2", names.address(sqe.off));
  } else if (!plain_nop && (sqe.off != 0 || sqe.opcode == IORING_OP_READ || sqe.opcode == IORING_OP_WRITE)) {
    append("off", std::to_string(static_cast<std::int64_t>(sqe.off)));
  }
  if (names_another_request(sqe.opcode)) {
    append("target", names.user_data(sqe.addr));
  } else if (sqe.addr != 0) {
    append("addr", names.address(sqe.addr));
  }
  if (sqe.len != 0) append("len", std::to_string(sqe.len));
  if (sqe.rw_flags != 0) append("op_flags", hexadecimal(static_cast<std::uint32_t>(sqe.rw_flags)));
  if (sqe.ioprio != 0) append("ioprio", hexadecimal(sqe.ioprio));
  if (sqe.buf_index != 0) append("buf", std::to_string(sqe.buf_index));
  if (sqe.personality != 0) append("personality", std::to_string(sqe.personality));
  if (sqe.file_index != 0) append("file_index", std::to_string(sqe.file_index));
  append("user_data", names.user_data(sqe.user_data));
  if (sqe.flags != 0) append("flags", uapi_flags(UapiClass::kSqeFlag, sqe.flags));
  return text;
}

std::string trace_cqe(const io_uring_cqe& cqe, TraceNames& names) {
  constexpr std::uint32_t kBufferIdMask = 0xffffu << IORING_CQE_BUFFER_SHIFT;
  std::string text = "user_data=" + names.user_data(cqe.user_data) + " res=" + trace_result(cqe.res);
  const bool has_buffer = (cqe.flags & IORING_CQE_F_BUFFER) != 0;
  const std::uint32_t flags = has_buffer ? cqe.flags & ~kBufferIdMask : cqe.flags;
  if (flags != 0) text += " flags=" + uapi_flags(UapiClass::kCqeFlag, flags);
  if (has_buffer) text += " buffer=" + std::to_string(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
  return text;
}

std::string trace_result(int result) { return result < 0 ? "-" + errno_name(result) : std::to_string(result); }

std::string trace_offset(std::uint64_t offset) {
  switch (offset) {
    case IORING_OFF_SQ_RING:
      return "SQ_RING";
    case IORING_OFF_CQ_RING:
      return "CQ_RING";
    case IORING_OFF_SQES:
      return "SQES";
    default:
      return hexadecimal(offset);
  }
}

std::string trace_time(const timespec* time) {
  if (time == nullptr) return "none";
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%lld.%09ld", static_cast<long long>(time->tv_sec), time->tv_nsec);
  return text.data();
}

std::string trace_enter_arg(unsigned flags, const void* arg, std::size_t arg_bytes) {
  if (arg == nullptr) return {};
  if ((flags & uapi::kEnterExtArgReg) != 0) return "arg=registered";
  if ((flags & IORING_ENTER_EXT_ARG) == 0) return "sigmask";
  if (arg_bytes != sizeof(io_uring_getevents_arg)) return "arg_bytes=" + std::to_string(arg_bytes);
  io_uring_getevents_arg wait{};
  if (!peek_memory(arg, &wait, sizeof(wait))) return "arg=unreadable";
  std::string text;
  if (wait.ts != 0) {
    __kernel_timespec kernel_time{};
    const bool readable = peek_memory(reinterpret_cast<const void*>(wait.ts), &kernel_time, sizeof(kernel_time));
    const timespec time{.tv_sec = static_cast<time_t>(kernel_time.tv_sec),
                        .tv_nsec = static_cast<long>(kernel_time.tv_nsec)};
    text = "timeout=" + (readable ? trace_time(&time) : "unreadable");
  }
  if (wait.sigmask != 0) text += text.empty() ? "sigmask" : " sigmask";
  return text;
}

}  // namespace assay
