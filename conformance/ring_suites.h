#pragma once

#include <vector>

#include "assay/conformance/behaviour.h"

/// The ring suites, one function a source file. They are called by name so that no linker can leave one out.
namespace assay::conformance {

std::vector<Behaviour> ring_setup_behaviours();
std::vector<Behaviour> ring_submission_behaviours();
std::vector<Behaviour> ring_overflow_behaviours();
std::vector<Behaviour> ring_enter_behaviours();
std::vector<Behaviour> ring_read_write_behaviours();
std::vector<Behaviour> ring_files_behaviours();
std::vector<Behaviour> ring_poll_behaviours();
std::vector<Behaviour> ring_timeout_behaviours();
std::vector<Behaviour> ring_cancel_behaviours();
std::vector<Behaviour> ring_link_behaviours();
std::vector<Behaviour> ring_registration_behaviours();
std::vector<Behaviour> ring_lifetime_behaviours();
std::vector<Behaviour> ring_directories_behaviours();
std::vector<Behaviour> ring_direct_descriptors_behaviours();
std::vector<Behaviour> ring_files_update_behaviours();
std::vector<Behaviour> ring_fixed_fd_install_behaviours();
std::vector<Behaviour> ring_pipe_behaviours();
std::vector<Behaviour> ring_splice_behaviours();
std::vector<Behaviour> ring_file_length_behaviours();
std::vector<Behaviour> ring_advice_behaviours();
std::vector<Behaviour> ring_sync_behaviours();
std::vector<Behaviour> ring_statx_behaviours();
std::vector<Behaviour> ring_openat2_behaviours();
std::vector<Behaviour> ring_open_fifo_behaviours();
std::vector<Behaviour> ring_xattr_behaviours();
std::vector<Behaviour> ring_registered_buffers_behaviours();
std::vector<Behaviour> ring_fixed_transfers_behaviours();
std::vector<Behaviour> ring_cloned_buffers_behaviours();
std::vector<Behaviour> ring_tagged_files_behaviours();
std::vector<Behaviour> ring_epoll_behaviours();
std::vector<Behaviour> ring_futex_behaviours();
std::vector<Behaviour> ring_waitid_behaviours();
std::vector<Behaviour> ring_accept_behaviours();
std::vector<Behaviour> ring_connect_behaviours();
std::vector<Behaviour> ring_send_receive_behaviours();
std::vector<Behaviour> ring_messages_behaviours();
std::vector<Behaviour> ring_provided_buffers_behaviours();
std::vector<Behaviour> ring_bad_files_behaviours();
std::vector<Behaviour> ring_buffer_rings_behaviours();
std::vector<Behaviour> ring_recv_multishot_behaviours();
std::vector<Behaviour> ring_bundles_behaviours();
std::vector<Behaviour> ring_zero_copy_behaviours();
std::vector<Behaviour> ring_restrictions_behaviours();
std::vector<Behaviour> ring_personality_behaviours();
std::vector<Behaviour> ring_workers_behaviours();
std::vector<Behaviour> ring_clock_behaviours();
std::vector<Behaviour> ring_query_behaviours();
std::vector<Behaviour> ring_message_behaviours();
std::vector<Behaviour> ring_updates_behaviours();
std::vector<Behaviour> ring_locked_memory_behaviours();
std::vector<Behaviour> ring_nop_behaviours();
std::vector<Behaviour> ring_resize_behaviours();
std::vector<Behaviour> ring_memory_region_behaviours();
std::vector<Behaviour> ring_sqpoll_behaviours();
std::vector<Behaviour> ring_sqe_sizes_behaviours();
std::vector<Behaviour> ring_single_issuer_behaviours();
std::vector<Behaviour> ring_sync_cancel_behaviours();
std::vector<Behaviour> ring_user_memory_behaviours();
std::vector<Behaviour> ring_priority_behaviours();

}  // namespace assay::conformance
