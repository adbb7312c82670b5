/* os/shims/double_shim.cpp: see double_shim.h. */
#include "os/shims/double_shim.h"

#include <charconv>

extern "C" size_t wr_double_digits(double value, char out[WR_DOUBLE_DIGITS_BYTES]) {
  return static_cast<size_t>(
      std::to_chars(out, out + WR_DOUBLE_DIGITS_BYTES, value, std::chars_format::scientific).ptr - out);
}
