#include "assay/cli/table.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>

namespace assay::cli {
namespace {

constexpr std::size_t kGap = 2;
/// Narrower than this a last column is not made, however narrow the terminal.
constexpr std::size_t kLeastLastColumn = 30;

/// Breaks at spaces; a word longer than the width gets a line of its own.
std::vector<std::string> wrap(const std::string& text, std::size_t width) {
  std::vector<std::string> lines(1);
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) lines.emplace_back();
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
    begin = end + 1;
  }
  return lines;
}

void print_row(std::ostream& out, const std::vector<std::string>& cells, const std::vector<std::size_t>& widths,
               std::size_t last_width) {
  std::string begin;
  for (std::size_t i = 0; i + 1 < cells.size(); ++i) {
    begin += cells[i] + std::string(widths[i] + kGap - cells[i].size(), ' ');
  }
  const std::string indent(begin.size(), ' ');
  for (const std::string& end : wrap(cells.back(), last_width)) {
    const std::string line = begin + end;
    out << line.substr(0, line.find_last_not_of(' ') + 1) << '\n';
    begin = indent;
  }
}

}  // namespace

std::size_t terminal_columns() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 100;
}

void Table::print(std::ostream& out, std::size_t columns) const {
  std::vector<std::size_t> widths(header_.size());
  for (std::size_t i = 0; i < header_.size(); ++i) {
    widths[i] = header_[i].size();
    for (const std::vector<std::string>& row : rows_) {
      assert(row.size() == header_.size());
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::size_t taken = 0;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) taken += widths[i] + kGap;
  const std::size_t last_width = columns > taken + kLeastLastColumn ? columns - taken : kLeastLastColumn;
  print_row(out, header_, widths, last_width);
  for (const std::vector<std::string>& row : rows_) print_row(out, row, widths, last_width);
}

}  // namespace assay::cli
