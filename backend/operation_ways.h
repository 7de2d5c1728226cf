#pragma once

#include "assay/backend/kept_arguments.h"
#include "assay/backend/kernel_support.h"
#include "assay/backend/uapi.h"

namespace assay::internal {

/// Flags of futex2(2) and its requests (6.7), which have no names in older headers: FUTEX2_SIZE_U32, FUTEX2_PRIVATE.
inline constexpr int kFutex2Size32 = 2;
inline constexpr int kFutex2Private = 128;

/// Makes of the SQE one that this kernel has and that does the same: READV for READ, SENDMSG for SEND, SEND for
/// SEND_ZC. False when it has none; the SQE is the first one's then.
bool take_older_opcode(io_uring_sqe& sqe, const KernelSupport& support, KeptArguments& kept);

/// The poll(2) events of its file that end the wait of the SQE's operation; 0 when it never waits for its file, or was
/// told not to wait (MSG_DONTWAIT, SPLICE_F_NONBLOCK). For a splice those of the file that is read.
unsigned readiness_of(const io_uring_sqe& sqe);

/// True when the descriptor may not be ready and can say when it is: a pipe, a socket, a device, an eventfd.
bool can_wait_for_readiness(int fd);

/// Carries out what the SQE says by the plain system call, and returns its result in the kernel's form; -ENOTSUP where
/// there is none. The SQE's descriptors must be plain ones. Does not wait for a socket or a pipe: -EAGAIN, or
/// -EINPROGRESS for a connect(2) that goes on (see `connect_result`).
///
/// Two calls have no way of their own not to wait. For the time of a connect(2) the socket is made O_NONBLOCK, which
/// another thread that uses it may see. An accept4(2) is made right after poll(2) has said that there is a connection:
/// where somebody else accepts it in between and the socket is not O_NONBLOCK, the call waits for the next one.
int call_plainly(const io_uring_sqe& sqe);

/// Whether `call_plainly` has a call for it.
bool has_plain_call(std::uint8_t opcode);

/// What became of a connect(2) that was in progress, once the socket is writable: 0, a negative errno, or -ENOTCONN
/// when none was begun.
int connect_result(int fd);

}  // namespace assay::internal
