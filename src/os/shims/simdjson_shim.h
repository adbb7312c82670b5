/* os/shims/simdjson_shim.h: simdjson's first stage for C.
 *
 * The first stage goes over a text with SIMD and lists the positions where tokens begin: each of {}[]:, outside
 * strings, the opening quote of each string, and the first byte of everything else that is not white space. It has then
 * proved that the text is UTF-8, that every string is closed, and that no control character is inside a string. The
 * rest of the grammar is the caller's, over the tokens (formats/json). simdjson's own second stages do not fit:
 * on-demand does not validate what it skips, and the DOM refuses valid numbers that fit no machine number, although
 * nobody asks for them.
 *
 * Memory: simdjson takes its own (4 bytes for each byte of text), not from the memory seam; who may be dropped as a
 * whole adopts the handle (os/seams.h). One thread per handle. The text needs no padding.
 */
#ifndef WR_OS_SIMDJSON_SHIM_H
#define WR_OS_SIMDJSON_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct wr_simdjson;

enum wr_simdjson_result {
  WR_SIMDJSON_OK,
  WR_SIMDJSON_INVALID, /* not UTF-8, an open string, or a control character inside one; where is not said */
  WR_SIMDJSON_NO_MEMORY
};

struct wr_simdjson *wr_simdjson_new(void); /* NULL: no memory */
/* `handle` is a struct wr_simdjson, or NULL. */
void wr_simdjson_free(void *handle);
/* positions[0..count) ascending, and positions[count] = length as a stop; they hold until the next call. At most 1 GiB.
 */
enum wr_simdjson_result wr_simdjson_index(struct wr_simdjson *handle, const char *text, size_t length,
                                          const uint32_t **out_positions, uint32_t *out_count);
/* The double nearest to a JSON number; infinite when it is too large. Exact, but not fast. */
double wr_simdjson_double(const char *text, size_t length);

#ifdef __cplusplus
}
#endif

#endif
