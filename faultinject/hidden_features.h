#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "assay/backend/result.h"
#include "assay/backend/uapi.h"

namespace assay {

/// Features that a kernel can be made to lack from outside: those that announce an offer, which can then be refused as
/// a kernel without it refuses. A feature that says how the kernel behaves (NODROP, LINKED_FILE ...) cannot: the kernel
/// would go on behaving that way.

/// EINVAL with a line that names the feature, where `feature` (an IORING_FEAT_* mask) cannot be hidden.
Result<void> check_hideable(std::uint32_t feature);
/// "CQE_SKIP, CUR_PERSONALITY, ...": those that can.
std::string hideable_features();

// What a kernel without the features in `hidden` answers with -EINVAL.
bool hidden_refuses_enter(std::uint32_t hidden, unsigned flags, const void* arg, std::size_t arg_bytes);
bool hidden_refuses_register(std::uint32_t hidden, unsigned opcode);
bool hidden_refuses_sqe(std::uint32_t hidden, const io_uring_sqe& sqe);

}  // namespace assay
