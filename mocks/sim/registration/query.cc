// Follows io_uring/query.c.

#include "assay/mocks/sim/registration/query.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "assay/backend/uapi.h"
#include "assay/mocks/profile.h"
#include "assay/mocks/sim/ring_memory.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

constexpr std::uint64_t kCacheLine = 64;
constexpr unsigned kMaxQueries = 1000;  // a list may be a circle

std::uint32_t count_of(const std::bitset<256>& known) {
  std::uint32_t end = 0;
  for (unsigned value = 0; value < known.size(); ++value) {
    if (known[value]) end = value + 1;
  }
  return end;
}

uapi::QueryOpcodes what_there_is(const Profile& profile) {
  uapi::QueryOpcodes answer{};
  answer.request_opcodes = count_of(profile.opcodes);
  answer.register_opcodes = count_of(profile.register_ops);
  answer.features = profile.features;
  answer.setup_flags = profile.setup_flags;
  answer.enter_flags = profile.enter_flags;
  answer.sqe_flags = profile.sqe_flags;
  const KernelVersion version = effective_version(profile);
  answer.query_opcodes = version >= KernelVersion{7, 2} ? 4 : version >= KernelVersion{6, 19} ? 3 : 1;
  return answer;
}

union Answer {
  uapi::QueryOpcodes opcodes;
  uapi::QueryRingHeader header;
};

/// Fills in the answer, of which `*bytes` are told. 0 or -EOPNOTSUPP. (Of zero-copy receive, which is not modelled,
/// nothing is told either.)
int find_answer(const Profile& profile, std::uint32_t question, Answer* answer, std::uint32_t* bytes) {
  switch (question) {
    case uapi::kQueryOpcodes:
      answer->opcodes = what_there_is(profile);
      *bytes = sizeof answer->opcodes;
      return 0;
    case uapi::kQueryRingHeader:
      if (effective_version(profile) < KernelVersion{6, 19}) return -EOPNOTSUPP;
      answer->header = {RingMemory::kHeaderBytes, kCacheLine};
      *bytes = sizeof answer->header;
      return 0;
    default:
      return -EOPNOTSUPP;
  }
}

/// One question. 0, or the errno that ends the whole list.
int answer_query(const Profile& profile, std::uint64_t address, std::uint64_t* next) {
  uapi::Query query{};
  if (!copy_from_user(&query, address, sizeof query)) return -EFAULT;
  const std::uint32_t room = query.size;
  const bool reserved_used =
      std::any_of(std::begin(query.resv), std::end(query.resv), [](auto word) { return word != 0; });

  Answer answer{};
  std::uint32_t bytes = 0;
  const int known = find_answer(profile, query.query_op, &answer, &bytes);
  if (known == 0 && (reserved_used || query.result != 0 || room == 0)) {
    query.result = -EINVAL;
    bytes = 0;
  } else {
    query.result = known;
  }
  query.size = std::min(room, bytes);
  // Room that the answer does not need is cleared.
  auto* const told = reinterpret_cast<unsigned char*>(query.query_data);
  if (!is_user_memory(told, room, Access::kWrite)) return -EFAULT;
  if (room != 0) {
    std::memset(told, 0, room);
    std::memcpy(told, &answer, query.size);
  }
  if (!copy_to_user(address, &query, sizeof query)) return -EFAULT;
  *next = query.next_entry;
  return 0;
}

}  // namespace

int answer_queries(const Profile& profile, void* first, unsigned nr_args) {
  if (nr_args != 0) return -EINVAL;
  unsigned answered = 0;
  for (auto next = reinterpret_cast<std::uint64_t>(first); next != 0;) {
    if (const int error = answer_query(profile, next, &next); error != 0) return error;
    if (++answered >= kMaxQueries) return -ERANGE;
  }
  return 0;
}

}  // namespace assay::internal
