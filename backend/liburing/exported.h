#pragma once

#include <sched.h>
#include <sys/types.h>
#include <csignal>
#include <cstddef>
#include <cstdint>

#include <liburing.h>

/// Everything that liburing's library exports, up to 2.15, by the release that brought it.
///
/// A program is compiled against whichever header of liburing it has: these declarations are ours alone, so they agree
/// with none and clash with none. The assembler name is what the linker sees, and both sides use the C convention.
/// Structures that 2.3's header does not have are passed as `void`, which they are to whoever only hands them on.
namespace assay::liburing {

#define ASSAY_EXPORTED(name) noexcept __asm__(#name)

/// The release that the drop-in acts as.
inline constexpr int kMajorVersion = 2;
inline constexpr int kMinorVersion = 15;

// struct io_uring has kept its layout from 2.3 to 2.15: `sqes_sz` took the place of padding (2.14).
static_assert(sizeof(io_uring) == 216 && sizeof(io_uring_sq) == 104 && sizeof(io_uring_cq) == 88);

extern "C" {

// 2.0: setup (setup.cc), probe (probe.cc)
int queue_init(unsigned entries, io_uring* ring, unsigned flags) ASSAY_EXPORTED(io_uring_queue_init);
int queue_init_params(unsigned entries, io_uring* ring, io_uring_params* params)
    ASSAY_EXPORTED(io_uring_queue_init_params);
int queue_mmap(int fd, io_uring_params* params, io_uring* ring) ASSAY_EXPORTED(io_uring_queue_mmap);
void queue_exit(io_uring* ring) ASSAY_EXPORTED(io_uring_queue_exit);
int ring_dontfork(io_uring* ring) ASSAY_EXPORTED(io_uring_ring_dontfork);
io_uring_probe* get_probe() ASSAY_EXPORTED(io_uring_get_probe);
io_uring_probe* get_probe_ring(io_uring* ring) ASSAY_EXPORTED(io_uring_get_probe_ring);
void free_probe(io_uring_probe* probe) ASSAY_EXPORTED(io_uring_free_probe);

// 2.0: submission (submit.cc) and completion (wait.cc)
io_uring_sqe* get_sqe(io_uring* ring) ASSAY_EXPORTED(io_uring_get_sqe);
int submit(io_uring* ring) ASSAY_EXPORTED(io_uring_submit);
int submit_and_wait(io_uring* ring, unsigned wait_nr) ASSAY_EXPORTED(io_uring_submit_and_wait);
int sqring_wait(io_uring* ring) ASSAY_EXPORTED(__io_uring_sqring_wait);
unsigned peek_batch_cqe(io_uring* ring, io_uring_cqe** cqes, unsigned count) ASSAY_EXPORTED(io_uring_peek_batch_cqe);
int get_cqe(io_uring* ring, io_uring_cqe** cqe, unsigned submit, unsigned wait_nr, sigset_t* sigmask)
    ASSAY_EXPORTED(__io_uring_get_cqe);
int wait_cqes(io_uring* ring, io_uring_cqe** cqe, unsigned wait_nr, __kernel_timespec* timeout, sigset_t* sigmask)
    ASSAY_EXPORTED(io_uring_wait_cqes);
int wait_cqe_timeout(io_uring* ring, io_uring_cqe** cqe, __kernel_timespec* timeout)
    ASSAY_EXPORTED(io_uring_wait_cqe_timeout);

// 2.0: registration (register.cc)
int register_buffers(io_uring* ring, const iovec* buffers, unsigned count) ASSAY_EXPORTED(io_uring_register_buffers);
int unregister_buffers(io_uring* ring) ASSAY_EXPORTED(io_uring_unregister_buffers);
int register_files(io_uring* ring, const int* fds, unsigned count) ASSAY_EXPORTED(io_uring_register_files);
int register_files_update(io_uring* ring, unsigned offset, const int* fds, unsigned count)
    ASSAY_EXPORTED(io_uring_register_files_update);
int unregister_files(io_uring* ring) ASSAY_EXPORTED(io_uring_unregister_files);
int register_eventfd(io_uring* ring, int fd) ASSAY_EXPORTED(io_uring_register_eventfd);
int register_eventfd_async(io_uring* ring, int fd) ASSAY_EXPORTED(io_uring_register_eventfd_async);
int unregister_eventfd(io_uring* ring) ASSAY_EXPORTED(io_uring_unregister_eventfd);
int register_probe(io_uring* ring, io_uring_probe* probe, unsigned ops) ASSAY_EXPORTED(io_uring_register_probe);
int register_personality(io_uring* ring) ASSAY_EXPORTED(io_uring_register_personality);
int unregister_personality(io_uring* ring, int id) ASSAY_EXPORTED(io_uring_unregister_personality);

// 2.1
ssize_t mlock_size(unsigned entries, unsigned flags) ASSAY_EXPORTED(io_uring_mlock_size);
ssize_t mlock_size_params(unsigned entries, io_uring_params* params) ASSAY_EXPORTED(io_uring_mlock_size_params);
int register_buffers_tags(io_uring* ring, const iovec* buffers, const __u64* tags, unsigned count)
    ASSAY_EXPORTED(io_uring_register_buffers_tags);
int register_buffers_update_tag(io_uring* ring, unsigned offset, const iovec* buffers, const __u64* tags,
                                unsigned count) ASSAY_EXPORTED(io_uring_register_buffers_update_tag);
int register_files_tags(io_uring* ring, const int* fds, const __u64* tags, unsigned count)
    ASSAY_EXPORTED(io_uring_register_files_tags);
int register_files_update_tag(io_uring* ring, unsigned offset, const int* fds, const __u64* tags, unsigned count)
    ASSAY_EXPORTED(io_uring_register_files_update_tag);
int register_iowq_aff(io_uring* ring, std::size_t bytes, const cpu_set_t* cpus)
    ASSAY_EXPORTED(io_uring_register_iowq_aff);
int unregister_iowq_aff(io_uring* ring) ASSAY_EXPORTED(io_uring_unregister_iowq_aff);
int register_iowq_max_workers(io_uring* ring, unsigned* values) ASSAY_EXPORTED(io_uring_register_iowq_max_workers);

// 2.2
int submit_and_wait_timeout(io_uring* ring, io_uring_cqe** cqe, unsigned wait_nr, __kernel_timespec* timeout,
                            sigset_t* sigmask) ASSAY_EXPORTED(io_uring_submit_and_wait_timeout);
int register_ring_fd(io_uring* ring) ASSAY_EXPORTED(io_uring_register_ring_fd);
int unregister_ring_fd(io_uring* ring) ASSAY_EXPORTED(io_uring_unregister_ring_fd);
int register_files_sparse(io_uring* ring, unsigned count) ASSAY_EXPORTED(io_uring_register_files_sparse);
int register_buffers_sparse(io_uring* ring, unsigned count) ASSAY_EXPORTED(io_uring_register_buffers_sparse);
int register_buf_ring(io_uring* ring, io_uring_buf_reg* request, unsigned flags)
    ASSAY_EXPORTED(io_uring_register_buf_ring);
int unregister_buf_ring(io_uring* ring, int group) ASSAY_EXPORTED(io_uring_unregister_buf_ring);

// 2.3: among them the system calls (calls.cc)
int register_sync_cancel(io_uring* ring, io_uring_sync_cancel_reg* request)
    ASSAY_EXPORTED(io_uring_register_sync_cancel);
int register_file_alloc_range(io_uring* ring, unsigned offset, unsigned count)
    ASSAY_EXPORTED(io_uring_register_file_alloc_range);
int enter(unsigned fd, unsigned to_submit, unsigned min_complete, unsigned flags, sigset_t* sigmask)
    ASSAY_EXPORTED(io_uring_enter);
int enter2(unsigned fd, unsigned to_submit, unsigned min_complete, unsigned flags, void* arg, std::size_t arg_bytes)
    ASSAY_EXPORTED(io_uring_enter2);
int setup(unsigned entries, io_uring_params* params) ASSAY_EXPORTED(io_uring_setup);
int register_op(unsigned fd, unsigned opcode, const void* arg, unsigned nr_args) ASSAY_EXPORTED(io_uring_register);
int get_events(io_uring* ring) ASSAY_EXPORTED(io_uring_get_events);
int submit_and_get_events(io_uring* ring) ASSAY_EXPORTED(io_uring_submit_and_get_events);

// 2.4. enable_rings and register_restrictions were declared before, and forgotten in the library's list.
int major_version() ASSAY_EXPORTED(io_uring_major_version);
int minor_version() ASSAY_EXPORTED(io_uring_minor_version);
bool check_version(int major, int minor) ASSAY_EXPORTED(io_uring_check_version);
int close_ring_fd(io_uring* ring) ASSAY_EXPORTED(io_uring_close_ring_fd);
int enable_rings(io_uring* ring) ASSAY_EXPORTED(io_uring_enable_rings);
int register_restrictions(io_uring* ring, io_uring_restriction* restrictions, unsigned count)
    ASSAY_EXPORTED(io_uring_register_restrictions);
io_uring_buf_ring* setup_buf_ring(io_uring* ring, unsigned entries, int group, unsigned flags, int* error)
    ASSAY_EXPORTED(io_uring_setup_buf_ring);
int free_buf_ring(io_uring* ring, io_uring_buf_ring* buffers, unsigned entries, int group)
    ASSAY_EXPORTED(io_uring_free_buf_ring);

// 2.5
int queue_init_mem(unsigned entries, io_uring* ring, io_uring_params* params, void* memory, std::size_t bytes)
    ASSAY_EXPORTED(io_uring_queue_init_mem);

// 2.6
int buf_ring_head(io_uring* ring, int group, std::uint16_t* head) ASSAY_EXPORTED(io_uring_buf_ring_head);
int register_napi(io_uring* ring, void* napi) ASSAY_EXPORTED(io_uring_register_napi);
int unregister_napi(io_uring* ring, void* napi) ASSAY_EXPORTED(io_uring_unregister_napi);

// 2.8
int register_clock(io_uring* ring, void* clock) ASSAY_EXPORTED(io_uring_register_clock);
int submit_and_wait_min_timeout(io_uring* ring, io_uring_cqe** cqe, unsigned wait_nr, __kernel_timespec* timeout,
                                unsigned min_wait_us, sigset_t* sigmask)
    ASSAY_EXPORTED(io_uring_submit_and_wait_min_timeout);
int wait_cqes_min_timeout(io_uring* ring, io_uring_cqe** cqe, unsigned wait_nr, __kernel_timespec* timeout,
                          unsigned min_wait_us, sigset_t* sigmask) ASSAY_EXPORTED(io_uring_wait_cqes_min_timeout);
int clone_buffers(io_uring* to, io_uring* from) ASSAY_EXPORTED(io_uring_clone_buffers);

// 2.9
int resize_rings(io_uring* ring, io_uring_params* params) ASSAY_EXPORTED(io_uring_resize_rings);
int register_wait_reg(io_uring* ring, void* waits, int count) ASSAY_EXPORTED(io_uring_register_wait_reg);
int submit_and_wait_reg(io_uring* ring, io_uring_cqe** cqe, unsigned wait_nr, int index)
    ASSAY_EXPORTED(io_uring_submit_and_wait_reg);
int clone_buffers_offset(io_uring* to, io_uring* from, unsigned to_offset, unsigned from_offset, unsigned count,
                         unsigned flags) ASSAY_EXPORTED(io_uring_clone_buffers_offset);
int register_region(io_uring* ring, void* region) ASSAY_EXPORTED(io_uring_register_region);

// 2.10
int register_ifq(io_uring* ring, void* queue) ASSAY_EXPORTED(io_uring_register_ifq);
int set_iowait(io_uring* ring, bool enable) ASSAY_EXPORTED(io_uring_set_iowait);
int clone_buffers_flags(io_uring* to, io_uring* from, unsigned flags) ASSAY_EXPORTED(__io_uring_clone_buffers);
int clone_buffers_offset_flags(io_uring* to, io_uring* from, unsigned to_offset, unsigned from_offset, unsigned count,
                               unsigned flags) ASSAY_EXPORTED(__io_uring_clone_buffers_offset);

// 2.11
ssize_t memory_size(unsigned entries, unsigned flags) ASSAY_EXPORTED(io_uring_memory_size);
ssize_t memory_size_params(unsigned entries, io_uring_params* params) ASSAY_EXPORTED(io_uring_memory_size_params);
int register_sync_msg(io_uring_sqe* sqe) ASSAY_EXPORTED(io_uring_register_sync_msg);

// 2.15
int register_bpf_filter(io_uring* ring, void* filter) ASSAY_EXPORTED(io_uring_register_bpf_filter);
int register_bpf_filter_task(void* filter) ASSAY_EXPORTED(io_uring_register_bpf_filter_task);
int register_zcrx_ctrl(io_uring* ring, void* control) ASSAY_EXPORTED(io_uring_register_zcrx_ctrl);
int register_query(void* query) ASSAY_EXPORTED(io_uring_register_query);

}  // extern "C"

#undef ASSAY_EXPORTED

}  // namespace assay::liburing
