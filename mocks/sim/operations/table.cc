#include <array>

#include "assay/backend/uapi.h"
#include "assay/mocks/sim/operations/operation.h"

// A row for each opcode, and the operation that its file in this folder defines. What has no row is not modelled:
// `-EINVAL`, as in a kernel that does not have it.
#define ASSAY_OPERATIONS(ROW)                     \
  ROW(IORING_OP_NOP, kNop)                        \
  ROW(IORING_OP_READV, kReadv)                    \
  ROW(IORING_OP_WRITEV, kWritev)                  \
  ROW(IORING_OP_FSYNC, kFsync)                    \
  ROW(IORING_OP_READ_FIXED, kReadFixed)           \
  ROW(IORING_OP_WRITE_FIXED, kWriteFixed)         \
  ROW(IORING_OP_POLL_ADD, kPollAdd)               \
  ROW(IORING_OP_POLL_REMOVE, kPollRemove)         \
  ROW(IORING_OP_SYNC_FILE_RANGE, kSyncFileRange)  \
  ROW(IORING_OP_SENDMSG, kSendmsg)                \
  ROW(IORING_OP_RECVMSG, kReceive)                \
  ROW(IORING_OP_TIMEOUT, kTimeout)                \
  ROW(IORING_OP_TIMEOUT_REMOVE, kTimeoutRemove)   \
  ROW(IORING_OP_ACCEPT, kAccept)                  \
  ROW(IORING_OP_ASYNC_CANCEL, kAsyncCancel)       \
  ROW(IORING_OP_LINK_TIMEOUT, kLinkTimeout)       \
  ROW(IORING_OP_CONNECT, kConnect)                \
  ROW(IORING_OP_FALLOCATE, kFallocate)            \
  ROW(IORING_OP_OPENAT, kOpenat)                  \
  ROW(IORING_OP_CLOSE, kClose)                    \
  ROW(IORING_OP_FILES_UPDATE, kFilesUpdate)       \
  ROW(IORING_OP_STATX, kStatx)                    \
  ROW(IORING_OP_READ, kRead)                      \
  ROW(IORING_OP_WRITE, kWrite)                    \
  ROW(IORING_OP_FADVISE, kFadvise)                \
  ROW(IORING_OP_MADVISE, kMadvise)                \
  ROW(IORING_OP_SEND, kSend)                      \
  ROW(IORING_OP_RECV, kReceive)                   \
  ROW(IORING_OP_OPENAT2, kOpenat2)                \
  ROW(IORING_OP_EPOLL_CTL, kEpollCtl)             \
  ROW(IORING_OP_SPLICE, kSplice)                  \
  ROW(IORING_OP_PROVIDE_BUFFERS, kProvideBuffers) \
  ROW(IORING_OP_REMOVE_BUFFERS, kRemoveBuffers)   \
  ROW(IORING_OP_TEE, kTee)                        \
  ROW(IORING_OP_SHUTDOWN, kShutdown)              \
  ROW(IORING_OP_RENAMEAT, kRenameat)              \
  ROW(IORING_OP_UNLINKAT, kUnlinkat)              \
  ROW(IORING_OP_MKDIRAT, kMkdirat)                \
  ROW(IORING_OP_SYMLINKAT, kSymlinkat)            \
  ROW(IORING_OP_LINKAT, kLinkat)                  \
  ROW(IORING_OP_MSG_RING, kMsgRing)               \
  ROW(IORING_OP_FSETXATTR, kFsetxattr)            \
  ROW(IORING_OP_SETXATTR, kSetxattr)              \
  ROW(IORING_OP_FGETXATTR, kFgetxattr)            \
  ROW(IORING_OP_GETXATTR, kGetxattr)              \
  ROW(IORING_OP_SOCKET, kSocket)                  \
  ROW(IORING_OP_URING_CMD, kSocketCommand)        \
  ROW(IORING_OP_SEND_ZC, kSendZeroCopy)           \
  ROW(IORING_OP_SENDMSG_ZC, kSendZeroCopy)        \
  ROW(uapi::kOpReadMultishot, kReadMultishot)     \
  ROW(uapi::kOpWaitid, kWaitid)                   \
  ROW(uapi::kOpFutexWait, kFutexWait)             \
  ROW(uapi::kOpFutexWake, kFutexWake)             \
  ROW(uapi::kOpFutexWaitv, kFutexWaitv)           \
  ROW(uapi::kOpFixedFdInstall, kFixedFdInstall)   \
  ROW(uapi::kOpFtruncate, kFtruncate)             \
  ROW(uapi::kOpBind, kBind)                       \
  ROW(uapi::kOpListen, kListen)                   \
  ROW(uapi::kOpEpollWait, kEpollWait)             \
  ROW(uapi::kOpReadvFixed, kReadvFixed)           \
  ROW(uapi::kOpWritevFixed, kWritevFixed)         \
  ROW(uapi::kOpPipe, kPipe)                       \
  ROW(uapi::kOpNop128, kNop128)

namespace assay::internal {

#define ASSAY_DECLARE(opcode, operation) extern const Operation operation;
ASSAY_OPERATIONS(ASSAY_DECLARE)
#undef ASSAY_DECLARE

namespace {

constexpr std::array<const Operation*, 256> make_table() {
  std::array<const Operation*, 256> table{};
#define ASSAY_ENTER(opcode, operation) table[opcode] = &operation;
  ASSAY_OPERATIONS(ASSAY_ENTER)
#undef ASSAY_ENTER
  return table;
}

constexpr std::array<const Operation*, 256> kTable = make_table();

}  // namespace

const Operation* find_operation(std::uint8_t opcode) { return kTable[opcode]; }

}  // namespace assay::internal
