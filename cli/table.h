#pragma once

#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

namespace assay::cli {

/// How many columns the terminal has; 100 where standard output is none.
std::size_t terminal_columns();

/// A table of left-aligned columns, two spaces apart. The last column is wrapped to the width; a continued line is
/// indented to its column.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}

  /// As many cells as the header has.
  void add_row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  void print(std::ostream& out, std::size_t columns = terminal_columns()) const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace assay::cli
