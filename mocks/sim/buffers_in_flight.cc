#include "assay/mocks/sim/buffers_in_flight.h"

#include <sys/epoll.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "assay/backend/uapi_names.h"
#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/poison.h"
#include "assay/mocks/sim/request.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

/// What a transfer has yet to transfer; nothing for other operations.
const std::vector<iovec>& memory_of(const Request& request) {
  const std::vector<iovec>* const own = request.state ? request.state->memory() : nullptr;
  return own != nullptr ? *own : request.buffers;
}

bool selects(const Request& request) { return (request.sqe().flags & IOSQE_BUFFER_SELECT) != 0; }

/// A transfer that waits for input writes memory, and one that waits for output reads it.
bool writes_memory(const Request& request) { return request.operation->ready_events == EPOLLIN; }

bool overlap(const iovec& left, const iovec& right) {
  const auto left_start = reinterpret_cast<std::uintptr_t>(left.iov_base);
  const auto right_start = reinterpret_cast<std::uintptr_t>(right.iov_base);
  return left_start < right_start + right.iov_len && right_start < left_start + left.iov_len;
}

bool overlap(std::span<const iovec> left, std::span<const iovec> right) {
  return std::any_of(left.begin(), left.end(), [&](const iovec& one) {
    return std::any_of(right.begin(), right.end(), [&](const iovec& other) { return overlap(one, other); });
  });
}

bool is_there(std::span<const iovec> memory) {
  return std::all_of(memory.begin(), memory.end(),
                     [](const iovec& part) { return is_user_memory(part.iov_base, part.iov_len); });
}

/// The reads are ordinary ones, so AddressSanitizer sees those of memory that was freed.
std::uint64_t hash_of(std::span<const iovec> memory) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const iovec& part : memory) {
    const auto* const bytes = static_cast<const unsigned char*>(part.iov_base);
    std::size_t index = 0;
    for (; index + sizeof(std::uint64_t) <= part.iov_len; index += sizeof(std::uint64_t)) {
      std::uint64_t word;
      std::memcpy(&word, bytes + index, sizeof word);
      hash = std::rotl((hash ^ word) * 0x9e3779b97f4a7c15, 29);
    }
    for (; index < part.iov_len; ++index) hash = (hash ^ bytes[index]) * 0x100000001b3;
  }
  return hash;
}

void tell(const Request& request, const iovec& part, const char* what) {
  std::fprintf(stderr, "assay: strict mode: %s (user_data %llu): the buffer of %zu bytes at %p %s\n",
               uapi_name(UapiClass::kOpcode, request.opcode()).c_str(),
               static_cast<unsigned long long>(request.sqe().user_data), part.iov_len, part.iov_base, what);
}

}  // namespace

BuffersInFlight::~BuffersInFlight() {
  while (!requests_.empty()) drop(requests_.begin());
}

void BuffersInFlight::hold(const Request& request) {
  if (request.operation == nullptr || selects(request)) return;
  const std::vector<iovec>& memory = memory_of(request);
  // A bad address is the request's own affair: it ends with -EFAULT.
  if (memory.empty() || !is_there(memory)) return;
  const auto [place, added] = requests_.try_emplace(&request);
  if (!added) return;
  Held& held = place->second;
  held.memory = memory;
  held.written = writes_memory(request);
  if (held.written) {
    forget_hashes(memory);
    for (const iovec& part : memory) poison(part);
  } else if (!is_written_by_others(memory)) {
    held.hashed = true;
    held.hash = hash_of(memory);
  }
}

void BuffersInFlight::use(const Request& request) {
  const auto found = requests_.find(&request);
  if (found == requests_.end()) return;
  const Held& held = found->second;
  if (held.written) {
    for (const iovec& part : held.memory) {
      if (is_still_poisoned(part)) continue;
      tell(request, part, "was freed, or went out of scope, before it was written");
      unpoison(part);
      touch(part);
      std::abort();
    }
  } else if (held.hashed) {
    if (!is_there(held.memory)) {
      tell(request, held.memory.front(), "was unmapped before it was read");
      std::abort();
    }
    if (hash_of(held.memory) != held.hash) {
      tell(request, held.memory.front(), "was changed after its submission and before it was read");
      std::abort();
    }
  }
  drop(found);
}

void BuffersInFlight::let_go(const Request& request) {
  if (const auto found = requests_.find(&request); found != requests_.end()) drop(found);
}

void BuffersInFlight::drop(Requests::iterator held) {
  const Held gone = std::move(held->second);
  requests_.erase(held);
  if (!gone.written) return;
  for (const iovec& part : gone.memory) unpoison(part);
  poison_again(gone.memory);
}

/// Two requests may write the same memory; it stays the kernel's until both are over.
void BuffersInFlight::poison_again(std::span<const iovec> memory) {
  for (const auto& [request, held] : requests_) {
    if (!held.written || !overlap(held.memory, memory)) continue;
    for (const iovec& part : held.memory) poison(part);
  }
}

bool BuffersInFlight::is_written_by_others(std::span<const iovec> memory) const {
  return std::any_of(requests_.begin(), requests_.end(),
                     [&](const auto& other) { return other.second.written && overlap(other.second.memory, memory); });
}

void BuffersInFlight::forget_hashes(std::span<const iovec> memory) {
  for (auto& [request, held] : requests_) {
    if (held.hashed && overlap(held.memory, memory)) held.hashed = false;
  }
}

}  // namespace assay::internal
