#include <sys/epoll.h>

#include <array>

#include "assay/backend/uapi.h"
#include "assay/mocks/sim/operations/families.h"

namespace assay::internal {

namespace {

constexpr std::array<Operation, 64> make_table() {
  std::array<Operation, 64> table{};
  table[IORING_OP_NOP] = {.prepare = prepare_nop, .issue = issue_nop};
  table[uapi::kOpNop128] = {.prepare = prepare_nop, .issue = issue_nop, .large_entry = true};
  table[IORING_OP_READV] = {.prepare = prepare_vectored,
                            .issue = issue_read,
                            .needs_file = true,
                            .uses_ioprio = true,
                            .ready_events = EPOLLIN,
                            .wakes_others = true,
                            .may_be_in_worker = true};
  table[IORING_OP_WRITEV] = {.prepare = prepare_vectored,
                             .issue = issue_write,
                             .needs_file = true,
                             .uses_ioprio = true,
                             .ready_events = EPOLLOUT,
                             .wakes_others = true,
                             .may_be_in_worker = true};
  table[IORING_OP_FSYNC] = {
      .prepare = prepare_fsync, .issue = issue_fsync, .needs_file = true, .always_in_worker = true};
  table[IORING_OP_READ_FIXED] = {.prepare = prepare_registered_buffer,
                                 .issue = issue_read,
                                 .needs_file = true,
                                 .uses_ioprio = true,
                                 .ready_events = EPOLLIN,
                                 .wakes_others = true,
                                 .may_be_in_worker = true};
  table[IORING_OP_WRITE_FIXED] = {.prepare = prepare_registered_buffer,
                                  .issue = issue_write,
                                  .needs_file = true,
                                  .uses_ioprio = true,
                                  .ready_events = EPOLLOUT,
                                  .wakes_others = true,
                                  .may_be_in_worker = true};
  table[IORING_OP_POLL_ADD] = {.prepare = prepare_poll_add, .issue = issue_poll_add, .needs_file = true};
  table[IORING_OP_POLL_REMOVE] = {.prepare = prepare_poll_remove, .issue = issue_poll_remove};
  table[IORING_OP_TIMEOUT] = {.prepare = prepare_timeout, .issue = issue_timeout};
  table[IORING_OP_TIMEOUT_REMOVE] = {.prepare = prepare_timeout_remove, .issue = issue_timeout_remove};
  table[IORING_OP_ASYNC_CANCEL] = {.prepare = prepare_async_cancel, .issue = issue_async_cancel};
  table[IORING_OP_LINK_TIMEOUT] = {.prepare = prepare_link_timeout, .issue = issue_link_timeout};
  table[IORING_OP_OPENAT] = {.prepare = prepare_openat, .issue = issue_openat, .may_be_in_worker = true};
  table[IORING_OP_CLOSE] = {
      .prepare = prepare_close, .issue = issue_close, .wakes_others = true, .may_be_in_worker = true};
  table[IORING_OP_FILES_UPDATE] = {.prepare = prepare_files_update, .issue = issue_files_update};
  table[IORING_OP_READ] = {.prepare = prepare_single_buffer,
                           .issue = issue_read,
                           .needs_file = true,
                           .uses_ioprio = true,
                           .ready_events = EPOLLIN,
                           .wakes_others = true,
                           .may_be_in_worker = true};
  table[IORING_OP_WRITE] = {.prepare = prepare_single_buffer,
                            .issue = issue_write,
                            .needs_file = true,
                            .uses_ioprio = true,
                            .ready_events = EPOLLOUT,
                            .wakes_others = true,
                            .may_be_in_worker = true};
  table[IORING_OP_MSG_RING] = {.prepare = prepare_msg_ring, .issue = issue_msg_ring};
  table[IORING_OP_SYNC_FILE_RANGE] = {
      .prepare = prepare_sync_file_range, .issue = issue_sync_file_range, .needs_file = true, .always_in_worker = true};
  table[IORING_OP_FALLOCATE] = {
      .prepare = prepare_fallocate, .issue = issue_fallocate, .needs_file = true, .always_in_worker = true};
  table[IORING_OP_FADVISE] = {
      .prepare = prepare_fadvise, .issue = issue_fadvise, .needs_file = true, .may_be_in_worker = true};
  table[IORING_OP_MADVISE] = {.prepare = prepare_madvise, .issue = issue_madvise, .always_in_worker = true};
  table[IORING_OP_STATX] = {.prepare = prepare_statx, .issue = issue_statx, .always_in_worker = true};
  table[IORING_OP_RENAMEAT] = {.prepare = prepare_renameat, .issue = issue_renameat, .always_in_worker = true};
  table[IORING_OP_UNLINKAT] = {.prepare = prepare_unlinkat, .issue = issue_unlinkat, .always_in_worker = true};
  table[IORING_OP_MKDIRAT] = {.prepare = prepare_mkdirat, .issue = issue_mkdirat, .always_in_worker = true};
  table[IORING_OP_SYMLINKAT] = {.prepare = prepare_symlinkat, .issue = issue_symlinkat, .always_in_worker = true};
  table[IORING_OP_LINKAT] = {.prepare = prepare_linkat, .issue = issue_linkat, .always_in_worker = true};
  table[IORING_OP_FSETXATTR] = {
      .prepare = prepare_fsetxattr, .issue = issue_fsetxattr, .needs_file = true, .always_in_worker = true};
  table[IORING_OP_SETXATTR] = {.prepare = prepare_setxattr, .issue = issue_setxattr, .always_in_worker = true};
  table[IORING_OP_FGETXATTR] = {
      .prepare = prepare_fgetxattr, .issue = issue_fgetxattr, .needs_file = true, .always_in_worker = true};
  table[IORING_OP_GETXATTR] = {.prepare = prepare_getxattr, .issue = issue_getxattr, .always_in_worker = true};
  table[uapi::kOpFtruncate] = {
      .prepare = prepare_ftruncate, .issue = issue_ftruncate, .needs_file = true, .always_in_worker = true};

  // Sockets.
  table[IORING_OP_ACCEPT] = {.prepare = prepare_accept,
                             .issue = issue_accept,
                             .needs_file = true,
                             .uses_ioprio = true,
                             .ready_events = EPOLLIN,
                             .wakes_others = true};
  table[IORING_OP_CONNECT] = {.prepare = prepare_address,
                              .issue = issue_connect,
                              .needs_file = true,
                              .ready_events = EPOLLOUT,
                              .wakes_others = true};
  table[IORING_OP_SOCKET] = {.prepare = prepare_socket, .issue = issue_socket, .may_be_in_worker = true};
  table[uapi::kOpBind] = {.prepare = prepare_address, .issue = issue_bind, .needs_file = true};
  table[uapi::kOpListen] = {.prepare = prepare_listen, .issue = issue_listen, .needs_file = true};
  table[IORING_OP_SHUTDOWN] = {.prepare = prepare_shutdown,
                               .issue = issue_shutdown,
                               .needs_file = true,
                               .wakes_others = true,
                               .always_in_worker = true};
  table[IORING_OP_SEND] = {.prepare = prepare_send,
                           .issue = issue_send,
                           .needs_file = true,
                           .uses_ioprio = true,
                           .ready_events = EPOLLOUT,
                           .wakes_others = true,
                           .may_be_in_worker = true,
                           .selects_buffers_since = {6, 10},
                           .settle = settle_transfer};
  table[IORING_OP_SENDMSG] = {.prepare = prepare_send,
                              .issue = issue_send,
                              .needs_file = true,
                              .uses_ioprio = true,
                              .ready_events = EPOLLOUT,
                              .wakes_others = true,
                              .may_be_in_worker = true,
                              .settle = settle_transfer};
  table[IORING_OP_RECV] = {.prepare = prepare_receive,
                           .issue = issue_receive,
                           .needs_file = true,
                           .uses_ioprio = true,
                           .ready_events = EPOLLIN,
                           .wakes_others = true,
                           .may_be_in_worker = true,
                           .selects_buffers_since = {5, 7},
                           .settle = settle_transfer};
  table[IORING_OP_RECVMSG] = {.prepare = prepare_receive,
                              .issue = issue_receive,
                              .needs_file = true,
                              .uses_ioprio = true,
                              .ready_events = EPOLLIN,
                              .wakes_others = true,
                              .may_be_in_worker = true,
                              .selects_buffers_since = {5, 7},
                              .settle = settle_transfer};
  table[IORING_OP_SEND_ZC] = {.prepare = prepare_send_zero_copy,
                              .issue = issue_send_zero_copy,
                              .needs_file = true,
                              .uses_ioprio = true,
                              .ready_events = EPOLLOUT,
                              .wakes_others = true,
                              .may_be_in_worker = true,
                              .settle = settle_send_zero_copy};
  table[IORING_OP_SENDMSG_ZC] = table[IORING_OP_SEND_ZC];
  table[IORING_OP_URING_CMD] = {.prepare = prepare_socket_command, .issue = issue_socket_command, .needs_file = true};

  // Provided buffers.
  table[IORING_OP_PROVIDE_BUFFERS] = {.prepare = prepare_provide_buffers, .issue = issue_provide_buffers};
  table[IORING_OP_REMOVE_BUFFERS] = {.prepare = prepare_remove_buffers, .issue = issue_remove_buffers};
  table[uapi::kOpReadMultishot] = {.prepare = prepare_read_multishot,
                                   .issue = issue_read_multishot,
                                   .needs_file = true,
                                   .uses_ioprio = true,
                                   .ready_events = EPOLLIN,
                                   .wakes_others = true,
                                   .selects_buffers_since = {6, 7}};
  table[IORING_OP_READ].selects_buffers_since = {5, 7};
  table[IORING_OP_READV].selects_buffers_since = {5, 7};
  table[IORING_OP_OPENAT2] = {.prepare = prepare_openat2, .issue = issue_openat2, .may_be_in_worker = true};
  table[uapi::kOpFixedFdInstall] = {
      .prepare = prepare_fixed_fd_install, .issue = issue_fixed_fd_install, .needs_file = true};
  table[uapi::kOpPipe] = {.prepare = prepare_pipe, .issue = issue_pipe};
  table[uapi::kOpReadvFixed] = {.prepare = prepare_registered_vector,
                                .issue = issue_read,
                                .needs_file = true,
                                .uses_ioprio = true,
                                .ready_events = EPOLLIN,
                                .wakes_others = true,
                                .may_be_in_worker = true};
  table[uapi::kOpWritevFixed] = {.prepare = prepare_registered_vector,
                                 .issue = issue_write,
                                 .needs_file = true,
                                 .uses_ioprio = true,
                                 .ready_events = EPOLLOUT,
                                 .wakes_others = true,
                                 .may_be_in_worker = true};
  table[IORING_OP_SPLICE] = {.prepare = prepare_splice,
                             .issue = issue_splice,
                             .needs_file = true,
                             .wakes_others = true,
                             .always_in_worker = true};
  table[IORING_OP_TEE] = {
      .prepare = prepare_tee, .issue = issue_tee, .needs_file = true, .wakes_others = true, .always_in_worker = true};
  table[IORING_OP_EPOLL_CTL] = {.prepare = prepare_epoll_ctl, .issue = issue_epoll_ctl, .wakes_others = true};
  table[uapi::kOpEpollWait] = {
      .prepare = prepare_epoll_wait, .issue = issue_epoll_wait, .needs_file = true, .ready_events = EPOLLIN};
  table[uapi::kOpWaitid] = {.prepare = prepare_waitid, .issue = issue_waitid, .revisit = revisit_waitid};
  table[uapi::kOpFutexWait] = {.prepare = prepare_futex, .issue = issue_futex_wait, .revisit = revisit_futex};
  table[uapi::kOpFutexWake] = {.prepare = prepare_futex, .issue = issue_futex_wake};
  table[uapi::kOpFutexWaitv] = {.prepare = prepare_futex_waitv, .issue = issue_futex_waitv, .revisit = revisit_futex};
  return table;
}

constexpr std::array<Operation, 64> kTable = make_table();

}  // namespace

const Operation* find_operation(std::uint8_t opcode) {
  if (opcode >= kTable.size() || kTable[opcode].issue == nullptr) return nullptr;
  return &kTable[opcode];
}

}  // namespace assay::internal
