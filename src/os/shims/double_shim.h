/* os/shims/double_shim.h: the shortest decimal digits of a double, of the C++ standard library, for C. Pure; any
 * thread. */
#ifndef WR_OS_DOUBLE_SHIM_H
#define WR_OS_DOUBLE_SHIM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { WR_DOUBLE_DIGITS_BYTES = 32 };

/* Writes a finite double as "d.ddde+XX" or "de+XX", '-' in front where its sign is set: the fewest digits that read
 * back as the same number, and of those the nearest to it. No zero behind them; returns the length. */
size_t wr_double_digits(double value, char out[WR_DOUBLE_DIGITS_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
