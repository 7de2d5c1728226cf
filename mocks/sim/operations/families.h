#pragma once

#include "assay/mocks/sim/operations/operation.h"

/// The operations, family by family, as table.cc refers to them.
namespace assay::internal {

// nop.cc
int prepare_nop(SimRing& ring, Request& request);
Outcome issue_nop(SimRing& ring, Request& request);

// read_write.cc
int prepare_single_buffer(SimRing& ring, Request& request);
int prepare_vectored(SimRing& ring, Request& request);
int prepare_registered_vector(SimRing& ring, Request& request);
Outcome issue_read(SimRing& ring, Request& request);
Outcome issue_write(SimRing& ring, Request& request);

// registered_buffers.cc
int prepare_registered_buffer(SimRing& ring, Request& request);

// sync.cc
int prepare_fsync(SimRing& ring, Request& request);
Outcome issue_fsync(SimRing& ring, Request& request);

int prepare_sync_file_range(SimRing& ring, Request& request);
Outcome issue_sync_file_range(SimRing& ring, Request& request);

// allocate.cc
int prepare_fallocate(SimRing& ring, Request& request);
Outcome issue_fallocate(SimRing& ring, Request& request);
int prepare_ftruncate(SimRing& ring, Request& request);
Outcome issue_ftruncate(SimRing& ring, Request& request);

// advise.cc
int prepare_fadvise(SimRing& ring, Request& request);
Outcome issue_fadvise(SimRing& ring, Request& request);
int prepare_madvise(SimRing& ring, Request& request);
Outcome issue_madvise(SimRing& ring, Request& request);

// directories.cc
int prepare_renameat(SimRing& ring, Request& request);
Outcome issue_renameat(SimRing& ring, Request& request);
int prepare_unlinkat(SimRing& ring, Request& request);
Outcome issue_unlinkat(SimRing& ring, Request& request);
int prepare_mkdirat(SimRing& ring, Request& request);
Outcome issue_mkdirat(SimRing& ring, Request& request);
int prepare_symlinkat(SimRing& ring, Request& request);
Outcome issue_symlinkat(SimRing& ring, Request& request);
int prepare_linkat(SimRing& ring, Request& request);
Outcome issue_linkat(SimRing& ring, Request& request);

// statx.cc
int prepare_statx(SimRing& ring, Request& request);
Outcome issue_statx(SimRing& ring, Request& request);

// xattr.cc
int prepare_fsetxattr(SimRing& ring, Request& request);
Outcome issue_fsetxattr(SimRing& ring, Request& request);
int prepare_setxattr(SimRing& ring, Request& request);
Outcome issue_setxattr(SimRing& ring, Request& request);
int prepare_fgetxattr(SimRing& ring, Request& request);
Outcome issue_fgetxattr(SimRing& ring, Request& request);
int prepare_getxattr(SimRing& ring, Request& request);
Outcome issue_getxattr(SimRing& ring, Request& request);

// open_close.cc
int prepare_openat(SimRing& ring, Request& request);
Outcome issue_openat(SimRing& ring, Request& request);
int prepare_openat2(SimRing& ring, Request& request);
Outcome issue_openat2(SimRing& ring, Request& request);
int prepare_close(SimRing& ring, Request& request);
Outcome issue_close(SimRing& ring, Request& request);

// read_provided.cc
Outcome read_into_provided(SimRing& ring, Request& request, Outcome (*read)(SimRing& ring, Request& request));
int prepare_read_multishot(SimRing& ring, Request& request);
Outcome issue_read_multishot(SimRing& ring, Request& request);

// provide_buffers.cc
int prepare_provide_buffers(SimRing& ring, Request& request);
Outcome issue_provide_buffers(SimRing& ring, Request& request);
int prepare_remove_buffers(SimRing& ring, Request& request);
Outcome issue_remove_buffers(SimRing& ring, Request& request);

// accept.cc
int prepare_accept(SimRing& ring, Request& request);
Outcome issue_accept(SimRing& ring, Request& request);

// connect.cc, whose preparation is that of BIND too
int prepare_address(SimRing& ring, Request& request);
Outcome issue_connect(SimRing& ring, Request& request);

// socket.cc
int prepare_socket(SimRing& ring, Request& request);
Outcome issue_socket(SimRing& ring, Request& request);
Outcome issue_bind(SimRing& ring, Request& request);
int prepare_listen(SimRing& ring, Request& request);
Outcome issue_listen(SimRing& ring, Request& request);
int prepare_shutdown(SimRing& ring, Request& request);
Outcome issue_shutdown(SimRing& ring, Request& request);

// send.cc
int prepare_send(SimRing& ring, Request& request);
Outcome issue_send(SimRing& ring, Request& request);

// receive.cc
int prepare_receive(SimRing& ring, Request& request);
Outcome issue_receive(SimRing& ring, Request& request);

// zero_copy.cc
int prepare_send_zero_copy(SimRing& ring, Request& request);
Outcome issue_send_zero_copy(SimRing& ring, Request& request);
void settle_send_zero_copy(SimRing& ring, Request& request);

// socket_command.cc
int prepare_socket_command(SimRing& ring, Request& request);
Outcome issue_socket_command(SimRing& ring, Request& request);

// socket_message.cc
void settle_transfer(SimRing& ring, Request& request);

// install.cc
int prepare_fixed_fd_install(SimRing& ring, Request& request);
Outcome issue_fixed_fd_install(SimRing& ring, Request& request);

// pipe.cc
int prepare_pipe(SimRing& ring, Request& request);
Outcome issue_pipe(SimRing& ring, Request& request);

// splice.cc
int prepare_splice(SimRing& ring, Request& request);
Outcome issue_splice(SimRing& ring, Request& request);
int prepare_tee(SimRing& ring, Request& request);
Outcome issue_tee(SimRing& ring, Request& request);

// epoll.cc
int prepare_epoll_ctl(SimRing& ring, Request& request);
Outcome issue_epoll_ctl(SimRing& ring, Request& request);
int prepare_epoll_wait(SimRing& ring, Request& request);
Outcome issue_epoll_wait(SimRing& ring, Request& request);

// waitid.cc
int prepare_waitid(SimRing& ring, Request& request);
Outcome issue_waitid(SimRing& ring, Request& request);
bool revisit_waitid(SimRing& ring, Request& request, bool before_sleep, std::int32_t* result);

// futex.cc
int prepare_futex(SimRing& ring, Request& request);
int prepare_futex_waitv(SimRing& ring, Request& request);
Outcome issue_futex_wait(SimRing& ring, Request& request);
Outcome issue_futex_waitv(SimRing& ring, Request& request);
Outcome issue_futex_wake(SimRing& ring, Request& request);
bool revisit_futex(SimRing& ring, Request& request, bool before_sleep, std::int32_t* result);

// poll.cc
int prepare_poll_add(SimRing& ring, Request& request);
Outcome issue_poll_add(SimRing& ring, Request& request);
int prepare_poll_remove(SimRing& ring, Request& request);
Outcome issue_poll_remove(SimRing& ring, Request& request);

// timeout.cc
int prepare_timeout(SimRing& ring, Request& request);
Outcome issue_timeout(SimRing& ring, Request& request);
int prepare_link_timeout(SimRing& ring, Request& request);
Outcome issue_link_timeout(SimRing& ring, Request& request);
int prepare_timeout_remove(SimRing& ring, Request& request);
Outcome issue_timeout_remove(SimRing& ring, Request& request);

// cancel.cc
int prepare_async_cancel(SimRing& ring, Request& request);
Outcome issue_async_cancel(SimRing& ring, Request& request);

// files_update.cc
int prepare_files_update(SimRing& ring, Request& request);
Outcome issue_files_update(SimRing& ring, Request& request);

// msg_ring.cc
int prepare_msg_ring(SimRing& ring, Request& request);
Outcome issue_msg_ring(SimRing& ring, Request& request);

}  // namespace assay::internal
