/* data/gather.h: values of chosen rows, one column at a time. Pure; any thread. */
#ifndef WR_DATA_GATHER_H
#define WR_DATA_GATHER_H

#include <stdint.h>

/* out[i] = values[rows[i]], for values of `width` bytes: 1, 4, 8 or 16. `out` overlaps nothing. A view (16 bytes) goes
 * on naming the heaps of the batch that it comes from. */
void wr_gather_values(void *out, const void *values, uint32_t width, const uint16_t *rows, uint32_t count);

#endif
