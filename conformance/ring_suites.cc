#include "assay/conformance/ring_suites.h"

namespace assay::conformance {

void register_ring_suites(std::span<const KernelCase> kernels) {
  using Source = std::vector<Behaviour> (*)();
  constexpr Source kSources[] = {ring_setup_behaviours,
                                 ring_submission_behaviours,
                                 ring_overflow_behaviours,
                                 ring_enter_behaviours,
                                 ring_read_write_behaviours,
                                 ring_files_behaviours,
                                 ring_poll_behaviours,
                                 ring_timeout_behaviours,
                                 ring_cancel_behaviours,
                                 ring_link_behaviours,
                                 ring_registration_behaviours,
                                 ring_lifetime_behaviours,
                                 ring_directories_behaviours,
                                 ring_direct_descriptors_behaviours,
                                 ring_splice_behaviours,
                                 ring_file_operations_behaviours,
                                 ring_xattr_behaviours,
                                 ring_registered_buffers_behaviours,
                                 ring_tagged_files_behaviours,
                                 ring_epoll_behaviours,
                                 ring_futex_behaviours,
                                 ring_waitid_behaviours,
                                 ring_accept_behaviours,
                                 ring_connect_behaviours,
                                 ring_send_receive_behaviours,
                                 ring_messages_behaviours,
                                 ring_provided_buffers_behaviours,
                                 ring_buffer_rings_behaviours,
                                 ring_recv_multishot_behaviours,
                                 ring_bundles_behaviours,
                                 ring_zero_copy_behaviours,
                                 ring_restrictions_behaviours,
                                 ring_personality_behaviours,
                                 ring_workers_behaviours,
                                 ring_clock_behaviours,
                                 ring_query_behaviours,
                                 ring_message_behaviours,
                                 ring_updates_behaviours,
                                 ring_locked_memory_behaviours,
                                 ring_nop_behaviours,
                                 ring_resize_behaviours,
                                 ring_memory_region_behaviours,
                                 ring_sqpoll_behaviours,
                                 ring_sqe_sizes_behaviours,
                                 ring_single_issuer_behaviours,
                                 ring_sync_cancel_behaviours,
                                 ring_user_memory_behaviours,
                                 ring_priority_behaviours};
  for (const Source behaviours : kSources) register_behaviours(behaviours(), kernels);
}

}  // namespace assay::conformance
