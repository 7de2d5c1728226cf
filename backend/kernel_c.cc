#include "assay/backend/kernel_c.h"

namespace assay {
namespace {

Kernel& kernel_of(void* self) { return *static_cast<Kernel*>(self); }

}  // namespace

assay_kernel c_table_of(Kernel& kernel) {
  return {
      .self = &kernel,
      .setup = [](void* self, unsigned entries,
                  io_uring_params* params) { return kernel_of(self).setup(entries, params); },
      .enter =
          [](void* self, int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
             size_t arg_bytes) {
            return kernel_of(self).enter(ring_fd, to_submit, min_complete, flags, arg, arg_bytes);
          },
      .register_op = [](void* self, int ring_fd, unsigned opcode, void* arg,
                        unsigned nr_args) { return kernel_of(self).register_op(ring_fd, opcode, arg, nr_args); },
      .map = [](void* self, int ring_fd, uint64_t offset, size_t bytes,
                void** address) { return kernel_of(self).map(ring_fd, offset, bytes, address); },
      .unmap = [](void* self, void* address, size_t bytes) { return kernel_of(self).unmap(address, bytes); },
      .close = [](void* self, int ring_fd) { return kernel_of(self).close(ring_fd); },
      .now = [](void* self, clockid_t clock, timespec* time) { return kernel_of(self).now(clock, time); },
      .wait_readable = [](void* self, int ring_fd,
                          const timespec* timeout) { return kernel_of(self).wait_readable(ring_fd, timeout); },
      .relax = [](void* self, int ring_fd) { kernel_of(self).relax(ring_fd); },
  };
}

}  // namespace assay
