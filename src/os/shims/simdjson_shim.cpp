/* os/shims/simdjson_shim.cpp: see simdjson_shim.h. Compiled without exceptions: simdjson's own allocations answer with
 * error codes. The index is kept from call to call; one made for a long text is given back with the next short one. */
#include "os/shims/simdjson_shim.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <simdjson.h>
#pragma GCC diagnostic pop

#include <memory>
#include <new>

struct wr_simdjson {
  std::unique_ptr<simdjson::internal::dom_parser_implementation> parser;
  size_t capacity_bytes;
};

namespace {

constexpr size_t least_bytes = size_t{64} << 10;
constexpr size_t kept_bytes = size_t{1} << 20;
constexpr size_t most_bytes = size_t{1} << 30;

/* Makes an index for texts of `length` bytes; the depth is the second stage's, which is not used. */
bool make_parser(wr_simdjson &handle, size_t length) {
  size_t capacity = least_bytes;
  while (capacity < length)
    capacity *= 2;
  handle.parser.reset();
  handle.capacity_bytes = 0;
  auto error = simdjson::get_active_implementation()->create_dom_parser_implementation(capacity, 1, handle.parser);
  if (error != simdjson::SUCCESS) {
    handle.parser.reset();
    return false;
  }
  handle.capacity_bytes = capacity;
  return true;
}

} // namespace

extern "C" struct wr_simdjson *wr_simdjson_new(void) {
  auto *handle = new (std::nothrow) wr_simdjson{nullptr, 0};
  if (handle != nullptr && !make_parser(*handle, 0)) {
    delete handle;
    return nullptr;
  }
  return handle;
}

extern "C" void wr_simdjson_free(void *handle) {
  delete static_cast<wr_simdjson *>(handle);
}

extern "C" enum wr_simdjson_result wr_simdjson_index(struct wr_simdjson *handle, const char *text, size_t length,
                                                     const uint32_t **out_positions, uint32_t *out_count) {
  *out_positions = nullptr;
  *out_count = 0;
  if (length > most_bytes) return WR_SIMDJSON_NO_MEMORY;
  bool too_small = length > handle->capacity_bytes;
  bool too_large = handle->capacity_bytes > kept_bytes && length <= least_bytes;
  if ((too_small || too_large) && !make_parser(*handle, length)) return WR_SIMDJSON_NO_MEMORY;
  auto &parser = *handle->parser;
  *out_positions = parser.structural_indexes.get();
  if (length == 0) {
    parser.structural_indexes[0] = 0;
    return WR_SIMDJSON_OK;
  }
  auto error = parser.stage1(reinterpret_cast<const uint8_t *>(text), length, simdjson::stage1_mode::regular);
  if (error == simdjson::EMPTY) {
    parser.structural_indexes[0] = static_cast<uint32_t>(length);
    return WR_SIMDJSON_OK;
  }
  if (error != simdjson::SUCCESS) return WR_SIMDJSON_INVALID;
  *out_count = parser.n_structural_indexes;
  parser.structural_indexes[*out_count] = static_cast<uint32_t>(length);
  return WR_SIMDJSON_OK;
}

extern "C" double wr_simdjson_double(const char *text, size_t length) {
  return simdjson::internal::from_chars(text, text + length);
}
