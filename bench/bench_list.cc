#include "assay/bench/bench_list.h"

namespace assay::bench {

std::string BenchName::text() const {
  return chapter + "/" + work + "/" + setup + "/" + path + "/" + size_name + ":" + std::to_string(size);
}

std::string BenchName::row() const {
  return chapter + "/" + work + "/" + setup + "/" + size_name + ":" + std::to_string(size);
}

}  // namespace assay::bench
