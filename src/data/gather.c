/* data/gather.c: see gather.h. A loop for each width, which the compiler knows. */
#include "data/gather.h"

#include "data/batch.h"

#define DEFINE_GATHER(name, type)                                                                                      \
  static void name(type *restrict out, const type *restrict values, const uint16_t *restrict rows, uint32_t count) {   \
    for (uint32_t i = 0; i < count; i++)                                                                               \
      out[i] = values[rows[i]];                                                                                        \
  }
DEFINE_GATHER(gather_1, uint8_t)
DEFINE_GATHER(gather_4, uint32_t)
DEFINE_GATHER(gather_8, uint64_t)
DEFINE_GATHER(gather_16, struct wr_view)

void wr_gather_values(void *out, const void *values, uint32_t width, const uint16_t *rows, uint32_t count) {
  switch (width) {
  case 1:
    gather_1(out, values, rows, count);
    break;
  case 4:
    gather_4(out, values, rows, count);
    break;
  case 8:
    gather_8(out, values, rows, count);
    break;
  default:
    WR_ASSERT(width == 16);
    gather_16(out, values, rows, count);
  }
}
