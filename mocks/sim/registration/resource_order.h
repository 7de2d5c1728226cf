#pragma once

#include <memory>
#include <utility>
#include <vector>

namespace assay::internal {

/// In which order registered files and buffers that were taken out of their tables go away, and with them their tags
/// are told.
///
/// Since 6.13 each goes with the last request that uses it. Before, a request kept all of them that were there when it
/// began, and what was taken out went in the order in which it was taken out (struct io_rsrc_node of 5.13 to 6.12).
class ResourceOrder {
 public:
  /// `counts` is whether anybody asks `in_use`.
  ResourceOrder(bool keeps_order, bool counts) : keeps_order_(keeps_order) {
    if (keeps_order || counts) current_ = std::make_shared<Period>();
  }

  /// A request begins to use one. Where order is kept, it keeps the present period too.
  template <typename Resource>
  std::shared_ptr<Resource> use(std::shared_ptr<Resource> resource) {
    if (!current_ || !resource) return resource;
    auto* const address = resource.get();
    return {std::make_shared<Use<Resource>>(Use<Resource>{std::move(resource), current_}), address};
  }

  /// Whether any request uses any of them.
  bool in_use() const { return current_ && current_.use_count() > 1; }

  /// One is taken out of its table.
  void retire(std::shared_ptr<void> resource) {
    // Nobody else knows of the period where no request uses anything.
    if (!keeps_order_ || !resource || current_.use_count() == 1) return;
    current_->retired.push_back(std::move(resource));
    current_->next = std::make_shared<Period>();
    current_ = current_->next;
  }

 private:
  /// The time from one retirement to the next. It keeps those that follow, so they end in their order.
  struct Period {
    Period() = default;
    Period(const Period&) = delete;
    Period& operator=(const Period&) = delete;
    ~Period() {
      retired.clear();
      // Not by recursion: there may be many.
      while (next && next.use_count() == 1) {
        next->retired.clear();
        next = std::exchange(next->next, nullptr);
      }
    }
    std::vector<std::shared_ptr<void>> retired;
    std::shared_ptr<Period> next;
  };
  template <typename Resource>
  struct Use {
    std::shared_ptr<Resource> resource;
    std::shared_ptr<Period> period;
  };

  const bool keeps_order_;
  std::shared_ptr<Period> current_;
};

}  // namespace assay::internal
