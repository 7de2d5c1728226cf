// Which way the backend takes, by what the kernel has. To add one: a member of KernelSupport for the code that takes
// it, and a row here.

#include "assay/backend/kernel_ways.h"

#include <array>
#include <string_view>

#include "assay/backend/kept_arguments.h"
#include "assay/backend/operation_ways.h"
#include "assay/backend/uapi.h"

namespace assay::internal {
namespace {

using Support = KernelSupport;

// One way to do a thing. The first of its row that this kernel can go is taken, and sets the member.
struct Choice {
  std::string_view way;
  std::string_view why;
  KernelVersion since{5, 1};
  bool (*possible)(const Support&) = nullptr;
  bool Support::*taken = nullptr;
};

constexpr std::size_t kMostChoices = 3;

// The last choice of a row needs nothing.
struct Row {
  std::string_view what;
  std::array<Choice, kMostChoices> choices;
};

// All of these features, and this request.
template <unsigned features>
bool has_features(const Support& support) {
  return (support.features & features) == features;
}
template <unsigned opcode, unsigned features = 0>
bool has_request(const Support& support) {
  return support.has(opcode) && has_features<features>(support);
}

bool can_take_timeouts_back(const Support& support) {
  return support.has(IORING_OP_TIMEOUT) && support.has(IORING_OP_TIMEOUT_REMOVE);
}

// clang-format off
const Row kRows[] = {
    {"persistent events",
     {{{"multishot poll", "IORING_FEAT_RSRC_TAGS, of the same release, and NODROP", {5, 13}, has_features<IORING_FEAT_RSRC_TAGS | IORING_FEAT_NODROP>, &Support::multishot_poll},
       {"oneshot poll", "armed again after each time it was told"}}}},
    {"timers",
     {{{"the wait's own timeout", "IORING_FEAT_EXT_ARG", {5, 11}, has_features<IORING_FEAT_EXT_ARG>, &Support::limits_waits},
       {"poll(2) of the ring after submitting", "a wait takes no limit"}}}},
    {"operation timeout",
     {{{"TIMEOUT", "IORING_OP_TIMEOUT_REMOVE, of the same release as those that count nothing", {5, 5}, can_take_timeouts_back, &Support::plain_timeouts},
       {"a timer of the loop", "no TIMEOUT that can be taken back"}}}},
    {"waits for batches",
     {{{"one wait with deferred task work, else two", "IORING_FEAT_MIN_TIMEOUT", {6, 12}, has_features<uapi::kFeatMinTimeout>, &Support::waits_for_batches},
       {"two waits", "IORING_FEAT_EXT_ARG", {5, 11}, has_features<IORING_FEAT_EXT_ARG>},
       {"none: a wait ends at the first completion", "a wait takes no limit"}}}},
    {"wake and post", {{{"an eventfd, polled in the ring", "IORING_OP_POLL_ADD"}}}},
    {"nesting in another loop",
     {{{"a registered eventfd, and a TIMEOUT that is moved", "IORING_FEAT_EXT_ARG, of the same release", {5, 11}, has_request<IORING_OP_TIMEOUT_REMOVE, IORING_FEAT_EXT_ARG>, &Support::moves_timeouts},
       {"a registered eventfd, and a TIMEOUT", "IORING_OP_TIMEOUT", {5, 4}, has_request<IORING_OP_TIMEOUT>, &Support::nests},
       {"refused: ENOTSUP", "no IORING_OP_TIMEOUT"}}}},
    {"cancelation",
     {{{"ASYNC_CANCEL by user_data, without a reply", "IORING_FEAT_CQE_SKIP", {5, 17}, has_request<IORING_OP_ASYNC_CANCEL, IORING_FEAT_CQE_SKIP>, &Support::skips_success_cqes},
       {"ASYNC_CANCEL by user_data", "IORING_OP_ASYNC_CANCEL", {5, 5}, has_request<IORING_OP_ASYNC_CANCEL>},
       {"POLL_REMOVE; ENOTSUP for all but polls", "no IORING_OP_ASYNC_CANCEL"}}}},
    {"transfers that would block",
     {{{"the request waits for readiness", "IORING_FEAT_FAST_POLL", {5, 7}, has_features<IORING_FEAT_FAST_POLL>, &Support::waits_for_readiness},
       {"a poll first", "a worker of the kernel would block"}}}},
    {"O_NONBLOCK sockets",
     {{{"as they are: the request waits", "IORING_FEAT_LINKED_FILE, of the same release", {5, 18}, has_features<IORING_FEAT_LINKED_FILE>},
       {"a poll after -EAGAIN, and once more", "the request does not wait"}}}},
    {"a file's own position",
     {{{"offset -1", "IORING_FEAT_RW_CUR_POS", {5, 6}, has_features<IORING_FEAT_RW_CUR_POS>, &Support::knows_current_position},
       {"offset 0 for what has none, else refused by the kernel", "-1 is an offset like others"}}}},
    {"accepting each",
     {{{"multishot ACCEPT", "IORING_OP_SOCKET, of the same release, and FAST_POLL", {5, 19}, has_request<IORING_OP_SOCKET, IORING_FEAT_FAST_POLL>, &Support::multishot_accept},
       {"one ACCEPT after the other", "IORING_OP_ACCEPT", {5, 5}, has_request<IORING_OP_ACCEPT>},
       {"polls and accept4(2)", "no IORING_OP_ACCEPT"}}}},
    {"registered files",
     {{{"a table with empty slots, filled as they come", "IORING_FEAT_NODROP, of the same release", {5, 5}, has_features<IORING_FEAT_NODROP>, &Support::updates_files},
       {"never: the descriptors do", "a table that cannot be changed"}}}},
    {"buffers of a pool",
     {{{"a ring that the kernel picks them from, multishot RECV", "IORING_OP_SEND_ZC, of the same release", {6, 0}, has_request<IORING_OP_SEND_ZC>, &Support::picks_buffers},
       {"a poll, and a buffer for what is ready", "no multishot RECV"}}}},
    {"reading each into a pool",
     {{{"multishot READ", "IORING_OP_READ_MULTISHOT", {6, 7}, has_request<uapi::kOpReadMultishot>, &Support::multishot_read},
       {"one READ after the other, its buffer picked by the kernel", "IORING_OP_SEND_ZC, as for pools", {6, 0}, has_request<IORING_OP_SEND_ZC>},
       {"a poll, and a read into a buffer for what is ready", "no multishot RECV"}}}},
    {"several buffers a completion",
     {{{"bundles", "IORING_FEAT_RECVSEND_BUNDLE", {6, 10}, has_features<uapi::kFeatRecvsendBundle>, &Support::bundles},
       {"never", "no IORING_RECVSEND_BUNDLE"}}}},
    {"receiving each into own memory",
     {{{"one request after the other", "IORING_FEAT_FAST_POLL", {5, 7}, has_features<IORING_FEAT_FAST_POLL>},
       {"a poll, and memory for what is ready", "a worker of the kernel would block"}}}},
    {"a full CQ",
     {{{"the kernel keeps what has no room", "IORING_FEAT_NODROP", {5, 5}, has_features<IORING_FEAT_NODROP>, &Support::keeps_overflow},
       {"never: three quarters of it bound what is in flight", "completions would be lost"}}}},
    {"an overflow backlog",
     {{{"seen in the ring's flags", "IORING_FEAT_POLL_32BITS, a release later", {5, 9}, has_features<IORING_FEAT_POLL_32BITS>, &Support::says_that_it_overflows},
       {"asked for by entering", "no flag tells of it"}}}},
    {"dropped completions",
     {{{"told by -EBADR", "IORING_OP_SOCKET, of the same release", {5, 19}, has_request<IORING_OP_SOCKET>, &Support::says_that_it_dropped},
       {"seen by the ring's counter", "io_uring_enter does not say so"}}}},
    {"deferred task work",
     {{{"where asked for", "IORING_OP_SENDMSG_ZC, of the same release", {6, 1}, has_request<IORING_OP_SENDMSG_ZC>},
       {"never", "no IORING_SETUP_DEFER_TASKRUN"}}}},
    {"a poll thread",
     {{{"where asked for", "IORING_FEAT_SQPOLL_NONFIXED", {5, 11}, has_features<IORING_FEAT_SQPOLL_NONFIXED>},
       {"never", "it would serve registered files only"}}}},
    {"the ring's descriptor",
     {{{"registered where asked for", "IORING_FEAT_LINKED_FILE, of the same release", {5, 18}, has_features<IORING_FEAT_LINKED_FILE>},
       {"as it is", "no IORING_REGISTER_RING_FDS"}}}},
};
// clang-format on

const Choice& choice_of(const Row& row, const Support& support) {
  for (const Choice& choice : row.choices) {
    if (choice.possible == nullptr || choice.possible(support)) return choice;
  }
  return row.choices.back();
}

// The operations of a Backend that not every kernel has, by their requests.
struct NamedOperation {
  std::string_view name;
  std::uint8_t opcode;
};
constexpr NamedOperation kOperations[] = {
    {"read", IORING_OP_READ},           {"write", IORING_OP_WRITE},
    {"openat", IORING_OP_OPENAT},       {"openat2", IORING_OP_OPENAT2},
    {"close", IORING_OP_CLOSE},         {"statx", IORING_OP_STATX},
    {"fallocate", IORING_OP_FALLOCATE}, {"ftruncate", uapi::kOpFtruncate},
    {"splice", IORING_OP_SPLICE},       {"renameat", IORING_OP_RENAMEAT},
    {"unlinkat", IORING_OP_UNLINKAT},   {"mkdirat", IORING_OP_MKDIRAT},
    {"socket", IORING_OP_SOCKET},       {"bind", uapi::kOpBind},
    {"listen", uapi::kOpListen},        {"connect", IORING_OP_CONNECT},
    {"accept", IORING_OP_ACCEPT},       {"shutdown", IORING_OP_SHUTDOWN},
    {"send", IORING_OP_SEND},           {"recv", IORING_OP_RECV},
    {"sendmsg", IORING_OP_SENDMSG},     {"recvmsg", IORING_OP_RECVMSG},
    {"send_zc", IORING_OP_SEND_ZC},     {"sendmsg_zc", IORING_OP_SENDMSG_ZC},
    {"msg_ring", IORING_OP_MSG_RING},   {"futex_wait", uapi::kOpFutexWait},
    {"futex_wake", uapi::kOpFutexWake},
};

KernelVersion release_of(std::uint8_t opcode) {
  const NamedValue* named = find_uapi(UapiClass::kOpcode, opcode);
  return named != nullptr ? named->since : KernelVersion{5, 1};
}

KernelWay way_of(const NamedOperation& operation, const Support& support) {
  KernelWay taken{.what = "operation " + std::string(operation.name), .way = {}, .why = {}, .since = {5, 1}};
  const std::string name = uapi_name(UapiClass::kOpcode, operation.opcode);
  if (support.has(operation.opcode)) {
    taken.way = name;
    taken.why = "IORING_OP_" + name;
    taken.since = release_of(operation.opcode);
    return taken;
  }
  taken.why = "no IORING_OP_" + name;
  io_uring_sqe sqe{};
  sqe.opcode = operation.opcode;
  KeptArguments kept;
  if (take_older_opcode(sqe, support, kept)) {
    taken.way = "as " + uapi_name(UapiClass::kOpcode, sqe.opcode);
    taken.since = release_of(sqe.opcode);
  } else if (sqe.opcode == IORING_OP_MSG_RING) {
    taken.way = "posted to the other loop";
  } else if (!has_plain_call(sqe.opcode)) {
    taken.way = "refused: ENOTSUP";
  } else {
    taken.way = readiness_of(sqe) != 0 ? "a poll, and the system call" : "the system call";
  }
  return taken;
}

}  // namespace

void choose_ways(KernelSupport& support) {
  for (const Row& row : kRows) {
    if (bool Support::*const taken = choice_of(row, support).taken) support.*taken = true;
  }
  // Whoever can move a TIMEOUT has one.
  support.nests = support.nests || support.moves_timeouts;
}

std::vector<KernelWay> ways_taken(const KernelSupport& support) {
  std::vector<KernelWay> ways;
  for (const Row& row : kRows) {
    const Choice& choice = choice_of(row, support);
    ways.push_back({std::string(row.what), std::string(choice.way), std::string(choice.why), choice.since});
  }
  for (const NamedOperation& operation : kOperations) ways.push_back(way_of(operation, support));
  return ways;
}

}  // namespace assay::internal
