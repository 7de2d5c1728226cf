#include "assay/backend/sq_group.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <mutex>
#include <utility>

namespace assay::internal {
namespace {

using GroupKey = std::pair<const Kernel*, std::string>;

/// The rings of one poll thread, by their descriptors.
using Subgroup = std::vector<int>;

/// All groups of the process. A group without rings is none, so nothing is left of a Kernel that is gone.
struct Groups {
  std::mutex mutex;
  std::map<GroupKey, std::vector<Subgroup>> by_name;
};

Groups& groups() {
  // Never destroyed: backends may be ended by destructors of static objects.
  static auto* const all = new Groups;
  return *all;
}

void pin(RingOptions& ring_options, const std::vector<unsigned>& cpus, std::size_t thread) {
  if (cpus.empty()) return;
  ring_options.setup_flags |= IORING_SETUP_SQ_AFF;
  ring_options.sq_thread_cpu = cpus[thread % cpus.size()];
}

}  // namespace

struct SqGroupPlace::Membership {
  Membership(GroupKey key, std::size_t index, int fd) : group(std::move(key)), subgroup(index), ring_fd(fd) {}
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;
  ~Membership() {
    Groups& all = groups();
    const std::lock_guard lock(all.mutex);
    std::vector<Subgroup>& subgroups = all.by_name.at(group);
    Subgroup& rings = subgroups[subgroup];
    rings.erase(std::find(rings.begin(), rings.end(), ring_fd));
    if (std::all_of(subgroups.begin(), subgroups.end(), [](const Subgroup& each) { return each.empty(); })) {
      all.by_name.erase(group);
    }
  }

  const GroupKey group;
  const std::size_t subgroup;
  const int ring_fd;
};

SqGroupPlace::SqGroupPlace() noexcept = default;
SqGroupPlace::SqGroupPlace(SqGroupPlace&& other) noexcept = default;
SqGroupPlace& SqGroupPlace::operator=(SqGroupPlace&& other) noexcept = default;
SqGroupPlace::~SqGroupPlace() = default;

Result<Ring> SqGroupPlace::set_up(Kernel& kernel, const SqGroupOptions& options, RingOptions ring_options,
                                  SqGroupPlace* place) {
  if (options.name.empty()) {
    pin(ring_options, options.cpus, 0);
    return Ring::create(kernel, ring_options);
  }
  const GroupKey key{&kernel, options.name};
  Groups& all = groups();
  // Held while the kernel sets the ring up, so that the one that it attaches to is not closed meanwhile.
  std::unique_lock lock(all.mutex);
  std::vector<Subgroup>& subgroups = all.by_name[key];
  if (subgroups.size() < options.threads) subgroups.resize(options.threads);
  if (subgroups.empty()) subgroups.resize(1);
  const auto least = std::min_element(subgroups.begin(), subgroups.end(),
                                      [](const Subgroup& a, const Subgroup& b) { return a.size() < b.size(); });
  const auto index = static_cast<std::size_t>(least - subgroups.begin());
  if (least->empty()) {
    pin(ring_options, options.cpus, index);
  } else {
    ring_options.attach_wq_fd = least->front();
  }
  Result<Ring> ring = Ring::create(kernel, ring_options);
  if (ring) {
    least->push_back(ring->fd());
    auto membership = std::make_unique<Membership>(key, index, ring->fd());
    lock.unlock();
    place->membership_ = std::move(membership);
  } else if (std::all_of(subgroups.begin(), subgroups.end(), [](const Subgroup& each) { return each.empty(); })) {
    all.by_name.erase(key);
  }
  return ring;
}

}  // namespace assay::internal
