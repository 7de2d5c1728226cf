#pragma once

#include <cstdint>
#include <ostream>
#include <string>

#include <gmock/gmock.h>

#include "assay/backend/uapi.h"
#include "assay/backend/uapi_names.h"

// Found by GoogleTest through the arguments' namespace, which is the global one: the structures are C's.

/// How a failing expectation shows an SQE: by opcode and fields, without bytes.
inline void PrintTo(const io_uring_sqe& sqe, std::ostream* out) {
  *out << assay::uapi_name(assay::UapiClass::kOpcode, sqe.opcode) << " fd=" << sqe.fd << " off=" << sqe.off
       << " addr=" << sqe.addr << " len=" << sqe.len << " op_flags=" << sqe.rw_flags << " user_data=" << sqe.user_data
       << " flags=" << assay::uapi_flags(assay::UapiClass::kSqeFlag, sqe.flags);
}

/// How a failing expectation shows a CQE.
inline void PrintTo(const io_uring_cqe& cqe, std::ostream* out) {
  *out << "user_data=" << cqe.user_data << " res=" << cqe.res
       << " flags=" << assay::uapi_flags(assay::UapiClass::kCqeFlag, cqe.flags);
}

namespace assay {

namespace internal {

inline std::string flags_text(const io_uring_sqe& sqe) { return uapi_flags(UapiClass::kSqeFlag, sqe.flags); }
inline std::string flags_text(const io_uring_cqe& cqe) { return uapi_flags(UapiClass::kCqeFlag, cqe.flags); }

}  // namespace internal

// Matchers for SQEs (io_uring_sqe) and CQEs (io_uring_cqe), by value, reference or through testing::Pointee.

/// An SQE of this opcode.
MATCHER_P(HasOpcode, opcode,
          (negation ? "has another opcode than " : "has opcode ") +
              uapi_name(UapiClass::kOpcode, static_cast<std::uint32_t>(opcode))) {
  *result_listener << "whose opcode is " << uapi_name(UapiClass::kOpcode, arg.opcode);
  return arg.opcode == static_cast<std::uint8_t>(opcode);
}

/// An SQE on this fd.
MATCHER_P(HasFd, fd, std::string(negation ? "has another fd than " : "has fd ") + testing::PrintToString(fd)) {
  *result_listener << "whose fd is " << arg.fd;
  return arg.fd == fd;
}

/// An SQE or CQE with this user_data.
MATCHER_P(HasUserData, user_data,
          std::string(negation ? "has another user_data than " : "has user_data ") +
              testing::PrintToString(user_data)) {
  *result_listener << "whose user_data is " << arg.user_data;
  return arg.user_data == static_cast<std::uint64_t>(user_data);
}

/// An SQE that has all of these IOSQE_* flags, or a CQE that has all of these IORING_CQE_F_*; others may be set too.
MATCHER_P(HasFlags, flags,
          std::string(negation ? "lacks one of the flags " : "has the flags ") + testing::PrintToString(flags)) {
  *result_listener << "whose flags are " << internal::flags_text(arg);
  return (static_cast<std::uint32_t>(arg.flags) & static_cast<std::uint32_t>(flags)) ==
         static_cast<std::uint32_t>(flags);
}

/// An SQE that transfers, or whose meaning of `len` is, this much.
MATCHER_P(HasLength, len, std::string(negation ? "has another len than " : "has len ") + testing::PrintToString(len)) {
  *result_listener << "whose len is " << arg.len;
  return arg.len == static_cast<std::uint32_t>(len);
}

/// A CQE with this result.
MATCHER_P(HasResult, res, std::string(negation ? "has another res than " : "has res ") + testing::PrintToString(res)) {
  *result_listener << "whose res is " << arg.res;
  return arg.res == res;
}

/// An SQE of this opcode, and on this fd.
inline auto SqeIs(int opcode) { return testing::Matcher<const io_uring_sqe&>(HasOpcode(opcode)); }
template <typename Fd>
auto SqeIs(int opcode, Fd fd) {
  return testing::AllOf(HasOpcode(opcode), testing::Field("fd", &io_uring_sqe::fd, fd));
}
/// An SQE of this opcode, on this fd, with this user_data. `fd` may be a matcher, such as testing::_.
template <typename Fd>
auto SqeIs(int opcode, Fd fd, std::uint64_t user_data) {
  return testing::AllOf(SqeIs(opcode, fd), HasUserData(user_data));
}

/// A CQE with this user_data and result; and with exactly these flags, where given. `res` may be a matcher.
template <typename Res>
auto CqeIs(std::uint64_t user_data, Res res) {
  return testing::AllOf(HasUserData(user_data), testing::Field("res", &io_uring_cqe::res, res));
}
template <typename Res>
auto CqeIs(std::uint64_t user_data, Res res, std::uint32_t flags) {
  return testing::AllOf(CqeIs(user_data, res), testing::Field("flags", &io_uring_cqe::flags, flags));
}

}  // namespace assay
