#include "assay/conformance/needs.h"

#include <linux/capability.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "assay/backend/ring.h"
#include "assay/backend/uapi.h"
#include "assay/backend/uapi_names.h"
#include "assay/mocks/sim/capabilities.h"

namespace assay::conformance {
namespace {

using Words = std::vector<std::string>;

std::string join(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string full_name(UapiClass which, std::uint32_t value) {
  return std::string(uapi_prefix(which)) + uapi_name(which, value);
}

/// The single bits of `mask`, each by its full name.
void add_bits(UapiClass which, std::uint32_t mask, std::string_view verb, Words& words) {
  for (unsigned bit = 0; bit < 32; ++bit) {
    const std::uint32_t value = 1u << bit;
    if ((mask & value) != 0) words.push_back(std::string(verb) + full_name(which, value));
  }
}

std::string version_text(const KernelVersion& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor);
}

std::string_view switch_name(bool Semantics::*member) {
  for (const Switch& row : switch_table()) {
    if (row.member == member) return row.name;
  }
  return "an unnamed switch";
}

/// A flag that is refused unless others come with it is tried together with them.
std::uint32_t with_companions(std::uint32_t setup_flag) {
  switch (setup_flag) {
    case IORING_SETUP_SQ_AFF:
      return setup_flag | IORING_SETUP_SQPOLL;
    case IORING_SETUP_TASKRUN_FLAG:
      return setup_flag | IORING_SETUP_COOP_TASKRUN;
    case IORING_SETUP_DEFER_TASKRUN:
      return setup_flag | IORING_SETUP_SINGLE_ISSUER;
    default:
      return setup_flag;
  }
}

bool accepts_setup_flag(Kernel& kernel, std::uint32_t flag) {
  // Rings in the caller's memory need more than a flag, and without it EINVAL would prove nothing; EFAULT proves that
  // the flag is known.
  io_uring_params params{};
  params.flags = with_companions(flag);
  if (flag == IORING_SETUP_CQSIZE) params.cq_entries = 8;
  const int fd = kernel.setup(4, &params);
  if (fd >= 0) kernel.close(fd);
  return fd >= 0 || fd == -EFAULT;
}

bool carries_out(Ring& ring, std::uint8_t opcode) {
  // A request of nothing but its opcode: a kernel that has the opcode finds other things wrong with it (a bad file, bad
  // flags), so only those answers count that an unknown opcode never gets.
  io_uring_sqe* sqe = ring.get_sqe();
  if (sqe == nullptr) return false;
  std::memset(sqe, 0, sizeof *sqe);
  sqe->opcode = opcode;
  sqe->fd = -1;
  io_uring_cqe* cqe = nullptr;
  if (ring.submit_and_wait(1) != 1 || (cqe = ring.peek_cqe()) == nullptr) return false;
  const int result = cqe->res;
  ring.cqe_seen(cqe);
  return result != -EINVAL && result != -EOPNOTSUPP;
}

}  // namespace

std::string missing_needs(const Needs& needs, const Profile& profile) {
  Words words;
  for (const std::uint8_t opcode : needs.opcodes) {
    if (!profile.opcodes[opcode]) words.push_back("needs " + full_name(UapiClass::kOpcode, opcode));
  }
  add_bits(UapiClass::kFeature, needs.features & ~profile.features, "needs ", words);
  add_bits(UapiClass::kFeature, needs.without_features & profile.features, "needs a kernel without ", words);
  add_bits(UapiClass::kSetupFlag, needs.setup_flags & ~profile.setup_flags, "needs ", words);
  add_bits(UapiClass::kEnterFlag, needs.enter_flags & ~profile.enter_flags, "needs ", words);
  if ((needs.setup_flags & IORING_SETUP_SQPOLL) != 0) {
    const bool admin = internal::has_capability(CAP_SYS_ADMIN);
    if (profile.semantics.sqpoll_needs_admin && !admin) words.push_back("needs CAP_SYS_ADMIN");
    if (profile.semantics.sqpoll_needs_nice && !admin && !internal::has_capability(CAP_SYS_NICE)) {
      words.push_back("needs CAP_SYS_NICE");
    }
  }
  for (const std::uint32_t op : needs.register_ops) {
    if (!profile.register_ops[op]) words.push_back("needs " + full_name(UapiClass::kRegisterOp, op));
  }
  for (const auto member : needs.switches_on) {
    if (!(profile.semantics.*member)) words.push_back("needs " + std::string(switch_name(member)));
  }
  for (const auto member : needs.switches_off) {
    if (profile.semantics.*member) words.push_back("needs a kernel without " + std::string(switch_name(member)));
  }
  const KernelVersion none{};
  if (needs.since != none || needs.until != none) {
    // Distributions backport: what counts is the release whose io_uring it is, not what uname says.
    const KernelVersion version = effective_version(profile);
    if (needs.since != none && version < needs.since) {
      words.push_back("needs Linux " + version_text(needs.since));
    }
    if (needs.until != none && version >= needs.until) {
      words.push_back("needs a Linux before " + version_text(needs.until));
    }
  }
  return join(words);
}

std::string contradicted_needs(const Needs& needs, const Profile& profile, Kernel& kernel) {
  Words words;
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return "it cannot set up a ring: " + ring.error().message();
  add_bits(UapiClass::kFeature, needs.features & ~profile.features & ring->features(), "it offers ", words);
  add_bits(UapiClass::kFeature, needs.without_features & profile.features & ~ring->features(), "it lacks ", words);
  for (unsigned bit = 0; bit < 32; ++bit) {
    const std::uint32_t flag = needs.setup_flags & ~profile.setup_flags & (1u << bit);
    if (flag != 0 && accepts_setup_flag(kernel, flag)) {
      words.push_back("it accepts " + full_name(UapiClass::kSetupFlag, flag));
    }
  }
  for (const std::uint8_t opcode : needs.opcodes) {
    if (!profile.opcodes[opcode] && carries_out(*ring, opcode)) {
      words.push_back("it carries out " + full_name(UapiClass::kOpcode, opcode));
    }
  }
  return join(words);
}

}  // namespace assay::conformance
