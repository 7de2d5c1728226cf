#include <sys/epoll.h>

#include <array>

#include "assay/backend/uapi.h"
#include "assay/mocks/sim/operations/families.h"

namespace assay::internal {

namespace {

constexpr std::array<Operation, 64> make_table() {
  std::array<Operation, 64> table{};
  table[IORING_OP_NOP] = {.prepare = prepare_nop, .issue = issue_nop};
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
  return table;
}

constexpr std::array<Operation, 64> kTable = make_table();

}  // namespace

const Operation* find_operation(std::uint8_t opcode) {
  if (opcode >= kTable.size() || kTable[opcode].issue == nullptr) return nullptr;
  return &kTable[opcode];
}

}  // namespace assay::internal
