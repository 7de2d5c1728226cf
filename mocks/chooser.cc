#include "assay/mocks/chooser.h"

namespace assay {

// SplitMix64: every seed gives a full-period sequence, and one multiplication-and-shift chain a question is cheap
// enough to ask on each request.
std::uint64_t SeededChooser::next() {
  state_ += 0x9e3779b97f4a7c15u;
  std::uint64_t mixed = state_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 31);
}

std::uint64_t SeededChooser::choose(const Choice& choice) {
  if (!seeded_) return PlainChooser::choose(choice);
  switch (choice.point) {
    case ChoicePoint::kCompletionOrder:
      return choice.limit < 2 ? 0 : next() % choice.limit;
    case ChoicePoint::kCompletionLater:
    case ChoicePoint::kNotificationLater:
      return next() % 4 == 0 ? 1 : 0;  // inline is the rule, later not rare
    default:
      return PlainChooser::choose(choice);
  }
}

}  // namespace assay
