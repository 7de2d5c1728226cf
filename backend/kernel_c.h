#pragma once

/* The seam for C: the calls of assay::Kernel (kernel.h) as a table of functions. Each returns a value >= 0 or a
 * negative errno; `self` is passed back unchanged. */

#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct io_uring_params;

#ifdef __cplusplus
extern "C" {
#endif

struct assay_kernel {
  void* self;
  int (*setup)(void* self, unsigned entries, struct io_uring_params* params);
  int (*enter)(void* self, int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
               size_t arg_bytes);
  int (*register_op)(void* self, int ring_fd, unsigned opcode, void* arg, unsigned nr_args);
  int (*map)(void* self, int ring_fd, uint64_t offset, size_t bytes, void** address);
  int (*unmap)(void* self, void* address, size_t bytes);
  int (*close)(void* self, int ring_fd);
  int (*now)(void* self, clockid_t clock, struct timespec* time);
  int (*wait_readable)(void* self, int ring_fd, const struct timespec* timeout);
  void (*relax)(void* self, int ring_fd);
};

#ifdef __cplusplus
}  // extern "C"

#include "assay/backend/kernel.h"

namespace assay {

/// A Kernel that forwards to a C table, which must outlive it.
class CKernel final : public Kernel {
 public:
  explicit CKernel(const assay_kernel& table) : table_(&table) {}

  int setup(unsigned entries, io_uring_params* params) override { return table_->setup(table_->self, entries, params); }
  int enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
            std::size_t arg_bytes) override {
    return table_->enter(table_->self, ring_fd, to_submit, min_complete, flags, arg, arg_bytes);
  }
  int register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args) override {
    return table_->register_op(table_->self, ring_fd, opcode, arg, nr_args);
  }
  int map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address) override {
    return table_->map(table_->self, ring_fd, offset, bytes, address);
  }
  int unmap(void* address, std::size_t bytes) override { return table_->unmap(table_->self, address, bytes); }
  int close(int ring_fd) override { return table_->close(table_->self, ring_fd); }
  int now(clockid_t clock, timespec* time) override { return table_->now(table_->self, clock, time); }
  int wait_readable(int ring_fd, const timespec* timeout) override {
    return table_->wait_readable(table_->self, ring_fd, timeout);
  }
  void relax(int ring_fd) override { table_->relax(table_->self, ring_fd); }
  std::string name() const override { return "c"; }

 private:
  const assay_kernel* table_;
};

/// The C table of a Kernel. The Kernel must outlive the table's use.
assay_kernel c_table_of(Kernel& kernel);

}  // namespace assay
#endif
