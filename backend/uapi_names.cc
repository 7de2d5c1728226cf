#include "assay/backend/uapi_names.h"

#include <array>
#include <cstdio>

namespace assay {
namespace {

// io_uring_sqe::opcode
constexpr NamedValue kOpcodes[] = {
    {"IORING_OP_NOP", 0, {5, 1}},
    {"IORING_OP_READV", 1, {5, 1}},
    {"IORING_OP_WRITEV", 2, {5, 1}},
    {"IORING_OP_FSYNC", 3, {5, 1}},
    {"IORING_OP_READ_FIXED", 4, {5, 1}},
    {"IORING_OP_WRITE_FIXED", 5, {5, 1}},
    {"IORING_OP_POLL_ADD", 6, {5, 1}},
    {"IORING_OP_POLL_REMOVE", 7, {5, 1}},
    {"IORING_OP_SYNC_FILE_RANGE", 8, {5, 2}},
    {"IORING_OP_SENDMSG", 9, {5, 3}},
    {"IORING_OP_RECVMSG", 10, {5, 3}},
    {"IORING_OP_TIMEOUT", 11, {5, 4}},
    {"IORING_OP_TIMEOUT_REMOVE", 12, {5, 5}},
    {"IORING_OP_ACCEPT", 13, {5, 5}},
    {"IORING_OP_ASYNC_CANCEL", 14, {5, 5}},
    {"IORING_OP_LINK_TIMEOUT", 15, {5, 5}},
    {"IORING_OP_CONNECT", 16, {5, 5}},
    {"IORING_OP_FALLOCATE", 17, {5, 6}},
    {"IORING_OP_OPENAT", 18, {5, 6}},
    {"IORING_OP_CLOSE", 19, {5, 6}},
    {"IORING_OP_FILES_UPDATE", 20, {5, 6}},
    {"IORING_OP_STATX", 21, {5, 6}},
    {"IORING_OP_READ", 22, {5, 6}},
    {"IORING_OP_WRITE", 23, {5, 6}},
    {"IORING_OP_FADVISE", 24, {5, 6}},
    {"IORING_OP_MADVISE", 25, {5, 6}},
    {"IORING_OP_SEND", 26, {5, 6}},
    {"IORING_OP_RECV", 27, {5, 6}},
    {"IORING_OP_OPENAT2", 28, {5, 6}},
    {"IORING_OP_EPOLL_CTL", 29, {5, 6}},
    {"IORING_OP_SPLICE", 30, {5, 7}},
    {"IORING_OP_PROVIDE_BUFFERS", 31, {5, 7}},
    {"IORING_OP_REMOVE_BUFFERS", 32, {5, 7}},
    {"IORING_OP_TEE", 33, {5, 8}},
    {"IORING_OP_SHUTDOWN", 34, {5, 11}},
    {"IORING_OP_RENAMEAT", 35, {5, 11}},
    {"IORING_OP_UNLINKAT", 36, {5, 11}},
    {"IORING_OP_MKDIRAT", 37, {5, 15}},
    {"IORING_OP_SYMLINKAT", 38, {5, 15}},
    {"IORING_OP_LINKAT", 39, {5, 15}},
    {"IORING_OP_MSG_RING", 40, {5, 18}},
    {"IORING_OP_FSETXATTR", 41, {5, 19}},
    {"IORING_OP_SETXATTR", 42, {5, 19}},
    {"IORING_OP_FGETXATTR", 43, {5, 19}},
    {"IORING_OP_GETXATTR", 44, {5, 19}},
    {"IORING_OP_SOCKET", 45, {5, 19}},
    {"IORING_OP_URING_CMD", 46, {5, 19}},
    {"IORING_OP_SEND_ZC", 47, {6, 0}},
    {"IORING_OP_SENDMSG_ZC", 48, {6, 1}},
    {"IORING_OP_READ_MULTISHOT", 49, {6, 7}},
    {"IORING_OP_WAITID", 50, {6, 7}},
    {"IORING_OP_FUTEX_WAIT", 51, {6, 7}},
    {"IORING_OP_FUTEX_WAKE", 52, {6, 7}},
    {"IORING_OP_FUTEX_WAITV", 53, {6, 7}},
    {"IORING_OP_FIXED_FD_INSTALL", 54, {6, 8}},
    {"IORING_OP_FTRUNCATE", 55, {6, 9}},
    {"IORING_OP_BIND", 56, {6, 11}},
    {"IORING_OP_LISTEN", 57, {6, 11}},
    {"IORING_OP_RECV_ZC", 58, {6, 15}},
    {"IORING_OP_EPOLL_WAIT", 59, {6, 15}},
    {"IORING_OP_READV_FIXED", 60, {6, 15}},
    {"IORING_OP_WRITEV_FIXED", 61, {6, 15}},
    {"IORING_OP_PIPE", 62, {6, 16}},
    {"IORING_OP_NOP128", 63, {6, 19}},
    {"IORING_OP_URING_CMD128", 64, {6, 19}},
};

// io_uring_params::features
constexpr NamedValue kFeatures[] = {
    {"IORING_FEAT_SINGLE_MMAP", 1u << 0, {5, 4}},       {"IORING_FEAT_NODROP", 1u << 1, {5, 5}},
    {"IORING_FEAT_SUBMIT_STABLE", 1u << 2, {5, 5}},     {"IORING_FEAT_RW_CUR_POS", 1u << 3, {5, 6}},
    {"IORING_FEAT_CUR_PERSONALITY", 1u << 4, {5, 6}},   {"IORING_FEAT_FAST_POLL", 1u << 5, {5, 7}},
    {"IORING_FEAT_POLL_32BITS", 1u << 6, {5, 9}},       {"IORING_FEAT_SQPOLL_NONFIXED", 1u << 7, {5, 11}},
    {"IORING_FEAT_EXT_ARG", 1u << 8, {5, 11}},          {"IORING_FEAT_NATIVE_WORKERS", 1u << 9, {5, 12}},
    {"IORING_FEAT_RSRC_TAGS", 1u << 10, {5, 13}},       {"IORING_FEAT_CQE_SKIP", 1u << 11, {5, 17}},
    {"IORING_FEAT_LINKED_FILE", 1u << 12, {5, 18}},     {"IORING_FEAT_REG_REG_RING", 1u << 13, {6, 3}},
    {"IORING_FEAT_RECVSEND_BUNDLE", 1u << 14, {6, 10}}, {"IORING_FEAT_MIN_TIMEOUT", 1u << 15, {6, 12}},
    {"IORING_FEAT_RW_ATTR", 1u << 16, {6, 14}},         {"IORING_FEAT_NO_IOWAIT", 1u << 17, {6, 15}},
};

// io_uring_params::flags
constexpr NamedValue kSetupFlags[] = {
    {"IORING_SETUP_IOPOLL", 1u << 0, {5, 1}},         {"IORING_SETUP_SQPOLL", 1u << 1, {5, 1}},
    {"IORING_SETUP_SQ_AFF", 1u << 2, {5, 1}},         {"IORING_SETUP_CQSIZE", 1u << 3, {5, 5}},
    {"IORING_SETUP_CLAMP", 1u << 4, {5, 6}},          {"IORING_SETUP_ATTACH_WQ", 1u << 5, {5, 6}},
    {"IORING_SETUP_R_DISABLED", 1u << 6, {5, 10}},    {"IORING_SETUP_SUBMIT_ALL", 1u << 7, {5, 18}},
    {"IORING_SETUP_COOP_TASKRUN", 1u << 8, {5, 19}},  {"IORING_SETUP_TASKRUN_FLAG", 1u << 9, {5, 19}},
    {"IORING_SETUP_SQE128", 1u << 10, {5, 19}},       {"IORING_SETUP_CQE32", 1u << 11, {5, 19}},
    {"IORING_SETUP_SINGLE_ISSUER", 1u << 12, {6, 0}}, {"IORING_SETUP_DEFER_TASKRUN", 1u << 13, {6, 1}},
    {"IORING_SETUP_NO_MMAP", 1u << 14, {6, 5}},       {"IORING_SETUP_REGISTERED_FD_ONLY", 1u << 15, {6, 5}},
    {"IORING_SETUP_NO_SQARRAY", 1u << 16, {6, 6}},    {"IORING_SETUP_HYBRID_IOPOLL", 1u << 17, {6, 13}},
    {"IORING_SETUP_CQE_MIXED", 1u << 18, {6, 18}},    {"IORING_SETUP_SQE_MIXED", 1u << 19, {6, 19}},
    {"IORING_SETUP_SQ_REWIND", 1u << 20, {7, 0}},
};

// io_uring_enter(2) flags
constexpr NamedValue kEnterFlags[] = {
    {"IORING_ENTER_GETEVENTS", 1u << 0, {5, 1}},        {"IORING_ENTER_SQ_WAKEUP", 1u << 1, {5, 1}},
    {"IORING_ENTER_SQ_WAIT", 1u << 2, {5, 10}},         {"IORING_ENTER_EXT_ARG", 1u << 3, {5, 11}},
    {"IORING_ENTER_REGISTERED_RING", 1u << 4, {5, 18}}, {"IORING_ENTER_ABS_TIMER", 1u << 5, {6, 12}},
    {"IORING_ENTER_EXT_ARG_REG", 1u << 6, {6, 13}},     {"IORING_ENTER_NO_IOWAIT", 1u << 7, {6, 15}},
};

// io_uring_register(2) opcodes
constexpr NamedValue kRegisterOps[] = {
    {"IORING_REGISTER_BUFFERS", 0, {5, 1}},
    {"IORING_UNREGISTER_BUFFERS", 1, {5, 1}},
    {"IORING_REGISTER_FILES", 2, {5, 1}},
    {"IORING_UNREGISTER_FILES", 3, {5, 1}},
    {"IORING_REGISTER_EVENTFD", 4, {5, 2}},
    {"IORING_UNREGISTER_EVENTFD", 5, {5, 2}},
    {"IORING_REGISTER_FILES_UPDATE", 6, {5, 5}},
    {"IORING_REGISTER_EVENTFD_ASYNC", 7, {5, 6}},
    {"IORING_REGISTER_PROBE", 8, {5, 6}},
    {"IORING_REGISTER_PERSONALITY", 9, {5, 6}},
    {"IORING_UNREGISTER_PERSONALITY", 10, {5, 6}},
    {"IORING_REGISTER_RESTRICTIONS", 11, {5, 10}},
    {"IORING_REGISTER_ENABLE_RINGS", 12, {5, 10}},
    {"IORING_REGISTER_FILES2", 13, {5, 13}},
    {"IORING_REGISTER_FILES_UPDATE2", 14, {5, 13}},
    {"IORING_REGISTER_BUFFERS2", 15, {5, 13}},
    {"IORING_REGISTER_BUFFERS_UPDATE", 16, {5, 13}},
    {"IORING_REGISTER_IOWQ_AFF", 17, {5, 14}},
    {"IORING_UNREGISTER_IOWQ_AFF", 18, {5, 14}},
    {"IORING_REGISTER_IOWQ_MAX_WORKERS", 19, {5, 15}},
    {"IORING_REGISTER_RING_FDS", 20, {5, 18}},
    {"IORING_UNREGISTER_RING_FDS", 21, {5, 18}},
    {"IORING_REGISTER_PBUF_RING", 22, {5, 19}},
    {"IORING_UNREGISTER_PBUF_RING", 23, {5, 19}},
    {"IORING_REGISTER_SYNC_CANCEL", 24, {6, 0}},
    {"IORING_REGISTER_FILE_ALLOC_RANGE", 25, {6, 0}},
    {"IORING_REGISTER_PBUF_STATUS", 26, {6, 8}},
    {"IORING_REGISTER_NAPI", 27, {6, 9}},
    {"IORING_UNREGISTER_NAPI", 28, {6, 9}},
    {"IORING_REGISTER_CLOCK", 29, {6, 12}},
    {"IORING_REGISTER_CLONE_BUFFERS", 30, {6, 12}},
    {"IORING_REGISTER_SEND_MSG_RING", 31, {6, 13}},
    {"IORING_REGISTER_ZCRX_IFQ", 32, {6, 15}},
    {"IORING_REGISTER_RESIZE_RINGS", 33, {6, 13}},
    {"IORING_REGISTER_MEM_REGION", 34, {6, 13}},
    {"IORING_REGISTER_QUERY", 35, {6, 18}},
    {"IORING_REGISTER_ZCRX_CTRL", 36, {6, 19}},
    {"IORING_REGISTER_BPF_FILTER", 37, {7, 0}},
};

// io_uring_sqe::flags
constexpr NamedValue kSqeFlags[] = {
    {"IOSQE_FIXED_FILE", 1u << 0, {5, 1}},
    {"IOSQE_IO_DRAIN", 1u << 1, {5, 2}},
    {"IOSQE_IO_LINK", 1u << 2, {5, 3}},
    {"IOSQE_IO_HARDLINK", 1u << 3, {5, 5}},
    {"IOSQE_ASYNC", 1u << 4, {5, 6}},
    {"IOSQE_BUFFER_SELECT", 1u << 5, {5, 7}},
    {"IOSQE_CQE_SKIP_SUCCESS", 1u << 6, {5, 17}},
};

// io_uring_cqe::flags
constexpr NamedValue kCqeFlags[] = {
    {"IORING_CQE_F_BUFFER", 1u << 0, {5, 7}},         {"IORING_CQE_F_MORE", 1u << 1, {5, 13}},
    {"IORING_CQE_F_SOCK_NONEMPTY", 1u << 2, {5, 19}}, {"IORING_CQE_F_NOTIF", 1u << 3, {6, 0}},
    {"IORING_CQE_F_BUF_MORE", 1u << 4, {6, 12}},      {"IORING_CQE_F_SKIP", 1u << 5, {6, 18}},
    {"IORING_CQE_F_32", 1u << 15, {6, 18}},
};

// the SQ ring's flags word
constexpr NamedValue kSqRingFlags[] = {
    {"IORING_SQ_NEED_WAKEUP", 1u << 0, {5, 1}},
    {"IORING_SQ_CQ_OVERFLOW", 1u << 1, {5, 8}},
    {"IORING_SQ_TASKRUN", 1u << 2, {5, 19}},
};
struct Table {
  std::string_view prefix;
  std::span<const NamedValue> values;
};

Table table_of(UapiClass which) {
  switch (which) {
    case UapiClass::kOpcode:
      return {"IORING_OP_", kOpcodes};
    case UapiClass::kFeature:
      return {"IORING_FEAT_", kFeatures};
    case UapiClass::kSetupFlag:
      return {"IORING_SETUP_", kSetupFlags};
    case UapiClass::kEnterFlag:
      return {"IORING_ENTER_", kEnterFlags};
    case UapiClass::kRegisterOp:
      return {"IORING_", kRegisterOps};
    case UapiClass::kSqeFlag:
      return {"IOSQE_", kSqeFlags};
    case UapiClass::kCqeFlag:
      return {"IORING_CQE_F_", kCqeFlags};
    case UapiClass::kSqRingFlag:
      return {"IORING_SQ_", kSqRingFlags};
  }
  return {};
}

}  // namespace

std::span<const NamedValue> uapi_table(UapiClass which) { return table_of(which).values; }

std::string_view uapi_prefix(UapiClass which) { return table_of(which).prefix; }

const NamedValue* find_uapi(UapiClass which, std::uint32_t value) {
  for (const NamedValue& entry : uapi_table(which)) {
    if (entry.value == value) return &entry;
  }
  return nullptr;
}

const NamedValue* find_uapi(UapiClass which, std::string_view name) {
  const Table table = table_of(which);
  for (const NamedValue& entry : table.values) {
    if (entry.name == name || entry.name.substr(table.prefix.size()) == name) return &entry;
  }
  return nullptr;
}

std::string uapi_name(UapiClass which, std::uint32_t value) {
  const NamedValue* entry = find_uapi(which, value);
  return entry != nullptr ? std::string(entry->name.substr(uapi_prefix(which).size())) : std::to_string(value);
}

std::string uapi_flags(UapiClass which, std::uint32_t mask) {
  std::string text;
  const auto append = [&text](std::string_view part) {
    if (!text.empty()) text += '|';
    text += part;
  };
  for (const NamedValue& entry : uapi_table(which)) {
    if ((mask & entry.value) == 0) continue;
    append(entry.name.substr(uapi_prefix(which).size()));
    mask &= ~entry.value;
  }
  if (mask != 0) {
    std::array<char, 16> hex{};
    std::snprintf(hex.data(), hex.size(), "0x%x", mask);
    append(hex.data());
  }
  return text.empty() ? "0" : text;
}

}  // namespace assay
