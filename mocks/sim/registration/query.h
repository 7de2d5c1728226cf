#pragma once

namespace assay {
struct Profile;
}

namespace assay::internal {

/// IORING_REGISTER_QUERY (6.18): a list of questions about the kernel, which needs no ring. 0 or a negative errno; each
/// question has a result of its own.
int answer_queries(const Profile& profile, void* first, unsigned nr_args);

}  // namespace assay::internal
