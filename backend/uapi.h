#pragma once

#include <cstdint>
#include <cstring>

#include <liburing.h>

/// Constants of io_uring's ABI that are newer than liburing 2.3's header, which is the oldest that Assay builds with.
/// They have names of our own because a newer header defines the kernel's; the values are the kernel's
/// (include/uapi/linux/io_uring.h). All others are used under the kernel's names.
namespace assay::uapi {

// Opcodes (io_uring_sqe::opcode).
inline constexpr std::uint8_t kOpReadMultishot = 49;
inline constexpr std::uint8_t kOpWaitid = 50;
inline constexpr std::uint8_t kOpFutexWait = 51;
inline constexpr std::uint8_t kOpFutexWake = 52;
inline constexpr std::uint8_t kOpFutexWaitv = 53;
inline constexpr std::uint8_t kOpFixedFdInstall = 54;
inline constexpr std::uint8_t kOpFtruncate = 55;
inline constexpr std::uint8_t kOpBind = 56;
inline constexpr std::uint8_t kOpListen = 57;
inline constexpr std::uint8_t kOpRecvZc = 58;
inline constexpr std::uint8_t kOpEpollWait = 59;
inline constexpr std::uint8_t kOpReadvFixed = 60;
inline constexpr std::uint8_t kOpWritevFixed = 61;
inline constexpr std::uint8_t kOpPipe = 62;
inline constexpr std::uint8_t kOpNop128 = 63;
inline constexpr std::uint8_t kOpUringCmd128 = 64;

// io_uring_setup(2) flags.
inline constexpr std::uint32_t kSetupNoMmap = 1u << 14;
inline constexpr std::uint32_t kSetupRegisteredFdOnly = 1u << 15;
inline constexpr std::uint32_t kSetupNoSqarray = 1u << 16;
inline constexpr std::uint32_t kSetupHybridIopoll = 1u << 17;
inline constexpr std::uint32_t kSetupCqeMixed = 1u << 18;
inline constexpr std::uint32_t kSetupSqeMixed = 1u << 19;
inline constexpr std::uint32_t kSetupSqRewind = 1u << 20;

// io_uring_params::features.
inline constexpr std::uint32_t kFeatRegRegRing = 1u << 13;
inline constexpr std::uint32_t kFeatRecvsendBundle = 1u << 14;
inline constexpr std::uint32_t kFeatMinTimeout = 1u << 15;
inline constexpr std::uint32_t kFeatRwAttr = 1u << 16;
inline constexpr std::uint32_t kFeatNoIowait = 1u << 17;

// io_uring_enter(2) flags.
inline constexpr std::uint32_t kEnterAbsTimer = 1u << 5;
inline constexpr std::uint32_t kEnterExtArgReg = 1u << 6;
inline constexpr std::uint32_t kEnterNoIowait = 1u << 7;

// io_uring_register(2) opcodes, and the flag that lets the ring be named by its registered index (6.3).
inline constexpr std::uint32_t kRegisterPbufStatus = 26;
inline constexpr std::uint32_t kRegisterNapi = 27;
inline constexpr std::uint32_t kUnregisterNapi = 28;
inline constexpr std::uint32_t kRegisterClock = 29;
inline constexpr std::uint32_t kRegisterCloneBuffers = 30;
inline constexpr std::uint32_t kRegisterSendMsgRing = 31;
inline constexpr std::uint32_t kRegisterZcrxIfq = 32;
inline constexpr std::uint32_t kRegisterResizeRings = 33;
inline constexpr std::uint32_t kRegisterMemRegion = 34;
inline constexpr std::uint32_t kRegisterQuery = 35;
inline constexpr std::uint32_t kRegisterZcrxCtrl = 36;
inline constexpr std::uint32_t kRegisterBpfFilter = 37;
inline constexpr std::uint32_t kRegisterUseRegisteredRing = 1u << 31;

// Per-operation flags.
inline constexpr std::uint32_t kTimeoutMultishot = 1u << 6;
inline constexpr std::uint32_t kTimeoutImmediateArg = 1u << 7;
inline constexpr std::uint32_t kAsyncCancelUserdata = 1u << 4;
inline constexpr std::uint32_t kAsyncCancelOp = 1u << 5;
inline constexpr std::uint32_t kNopInjectResult = 1u << 0;
inline constexpr std::uint32_t kNopFile = 1u << 1;  // 6.13, with the next two
inline constexpr std::uint32_t kNopFixedFile = 1u << 2;
inline constexpr std::uint32_t kNopFixedBuffer = 1u << 3;
inline constexpr std::uint32_t kNopTaskWork = 1u << 4;  // 6.17
inline constexpr std::uint32_t kNopCqe32 = 1u << 5;     // 6.18
inline constexpr std::uint32_t kMsgRingCqeSkip = 1u << 0;
inline constexpr std::uint32_t kMsgRingFlagsPass = 1u << 1;  // 6.3
inline constexpr std::uint64_t kMsgData = 0;                 // io_uring_sqe::addr of MSG_RING
inline constexpr std::uint64_t kMsgSendFd = 1;
inline constexpr std::uint32_t kRecvsendBundle = 1u << 4;       // io_uring_sqe::ioprio of SEND and RECV
inline constexpr std::uint32_t kSendZcReportUsage = 1u << 3;    // of SEND_ZC and SENDMSG_ZC
inline constexpr std::uint32_t kNotifUsageZcCopied = 1u << 31;  // io_uring_cqe::res of their notification
inline constexpr std::uint32_t kSendVectorized = 1u << 5;       // of SEND and SEND_ZC
inline constexpr std::uint32_t kAcceptDontwait = 1u << 1;       // of ACCEPT
inline constexpr std::uint32_t kAcceptPollFirst = 1u << 2;

// Provided-buffer rings: io_uring_buf_reg::flags (2.3's header calls that member `pad`), and where they are mapped.
inline constexpr std::uint16_t kPbufRingMmap = 1u << 0;
inline constexpr std::uint16_t kPbufRingInc = 1u << 1;
inline std::uint16_t pbuf_flags(const io_uring_buf_reg& request) {
  std::uint16_t flags;
  std::memcpy(&flags, &request.bgid + 1, sizeof flags);
  return flags;
}
inline void set_pbuf_flags(io_uring_buf_reg& request, std::uint16_t flags) {
  std::memcpy(&request.bgid + 1, &flags, sizeof flags);
}
// io_uring_buf_reg::min_left, in the first half of what older headers call resv[0].
inline std::uint32_t pbuf_min_left(const io_uring_buf_reg& request) {
  std::uint32_t min_left;
  std::memcpy(&min_left, &request.resv[0], sizeof min_left);
  return min_left;
}
inline void set_pbuf_min_left(io_uring_buf_reg& request, std::uint32_t min_left) {
  std::memcpy(&request.resv[0], &min_left, sizeof min_left);
}
inline constexpr std::uint64_t kOffPbufRing = 0x80000000;
inline constexpr unsigned kOffPbufShift = 16;

/// The argument of IORING_REGISTER_PBUF_STATUS (struct io_uring_buf_status).
struct BufferStatus {
  std::uint32_t buf_group;
  std::uint32_t head;
  std::uint32_t resv[8];
};

/// The argument of IORING_REGISTER_CLOCK (struct io_uring_clock_register).
struct ClockRegister {
  std::uint32_t clockid;
  std::uint32_t resv[3];
};

/// The argument of IORING_REGISTER_NAPI and its counterpart (struct io_uring_napi). `opcode` and `op_param` were
/// padding until 6.13.
struct Napi {
  std::uint32_t busy_poll_to;  // microseconds
  std::uint8_t prefer_busy_poll;
  std::uint8_t opcode;
  std::uint8_t pad[2];
  std::uint32_t op_param;
  std::uint32_t resv;
};

/// The argument of IORING_REGISTER_MEM_REGION (struct io_uring_mem_region_reg), its flag, and what it points to (struct
/// io_uring_region_desc) with its flag.
struct MemRegion {
  std::uint64_t region;
  std::uint64_t flags;
  std::uint64_t resv[2];
};
inline constexpr std::uint64_t kMemRegionWaitArg = 1u << 0;
struct RegionDescription {
  std::uint64_t user_addr;
  std::uint64_t size;
  std::uint32_t flags;
  std::uint32_t id;
  std::uint64_t mmap_offset;
  std::uint64_t resv[4];
};
inline constexpr std::uint32_t kRegionOfUser = 1u << 0;
inline constexpr std::uint64_t kOffParamRegion = 0x20000000;

/// What lies in such a region for IORING_ENTER_EXT_ARG_REG (struct io_uring_reg_wait), and its flag.
struct RegisteredWait {
  __kernel_timespec ts;
  std::uint32_t min_wait_usec;
  std::uint32_t flags;
  std::uint64_t sigmask;
  std::uint32_t sigmask_sz;
  std::uint32_t pad[3];
  std::uint64_t pad2[2];
};
inline constexpr std::uint32_t kRegisteredWaitTs = 1u << 0;

/// The argument of IORING_REGISTER_QUERY (struct io_uring_query_hdr), and the answer to its first question (struct
/// io_uring_query_opcode).
struct Query {
  std::uint64_t next_entry;
  std::uint64_t query_data;
  std::uint32_t query_op;
  std::uint32_t size;
  std::int32_t result;
  std::uint32_t resv[3];
};
inline constexpr std::uint32_t kQueryOpcodes = 0;
struct QueryOpcodes {
  std::uint32_t request_opcodes;
  std::uint32_t register_opcodes;
  std::uint64_t features;
  std::uint64_t setup_flags;
  std::uint64_t enter_flags;
  std::uint64_t sqe_flags;
  std::uint32_t query_opcodes;
  std::uint32_t pad;
};
/// What the memory that the SQ and the CQ begin with needs (6.19).
inline constexpr std::uint32_t kQueryRingHeader = 2;
struct QueryRingHeader {
  std::uint64_t bytes;
  std::uint64_t alignment;
};

/// The argument of IORING_REGISTER_SYNC_CANCEL as 6.6 has it; before, `opcode` was padding.
struct SyncCancel {
  std::uint64_t addr;
  std::int32_t fd;
  std::uint32_t flags;
  __kernel_timespec timeout;
  std::uint8_t opcode;
  std::uint8_t pad[7];
  std::uint64_t pad2[3];
};

// What URING_CMD does to a socket (io_uring_sqe::cmd_op).
inline constexpr std::uint32_t kSocketOpSiocinq = 0;
inline constexpr std::uint32_t kSocketOpSiocoutq = 1;
inline constexpr std::uint32_t kSocketOpGetsockopt = 2;
inline constexpr std::uint32_t kSocketOpSetsockopt = 3;

inline constexpr std::uint32_t kFixedFdNoCloexec = 1u << 0;  // io_uring_sqe::install_fd_flags

/// The argument of IORING_REGISTER_CLONE_BUFFERS (struct io_uring_clone_buffers), and its flags.
struct CloneBuffers {
  std::uint32_t src_fd;
  std::uint32_t flags;
  std::uint32_t src_off;  // 6.13, with the next two
  std::uint32_t dst_off;
  std::uint32_t nr;
  std::uint32_t pad[3];
};
inline constexpr std::uint32_t kCloneSrcRegistered = 1u << 0;
inline constexpr std::uint32_t kCloneDstReplace = 1u << 1;  // 6.13

// io_uring_cqe::flags.
inline constexpr std::uint32_t kCqeFBufMore = 1u << 4;
inline constexpr std::uint32_t kCqeFSkip = 1u << 5;
inline constexpr std::uint32_t kCqeF32 = 1u << 15;

/// What Ring gives its own TIMEOUT requests as user_data; liburing reserves the same value for the same purpose
/// (LIBURING_UDATA_TIMEOUT). A user's request must not carry it.
inline constexpr std::uint64_t kUserDataTimeout = ~std::uint64_t{0};

}  // namespace assay::uapi
