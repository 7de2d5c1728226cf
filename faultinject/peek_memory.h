#pragma once

#include <cstddef>

namespace assay {

/// Copies `bytes` of this process's memory, asked of the kernel, so that a pointer which a program got wrong stays the
/// program's mistake (the kernel will say -EFAULT) and does not become a crash of whoever looks on. False where it
/// cannot be read in full. Leaves errno alone.
bool peek_memory(const void* from, void* to, std::size_t bytes);

}  // namespace assay
