/* formats/civil_time.h: a TIMESTAMP as year, month, day and time of day, to write it as text. Pure; any thread.
 */
#ifndef WR_FORMATS_CIVIL_TIME_H
#define WR_FORMATS_CIVIL_TIME_H

#include "weir/types.h"

struct wr_civil_time {
  int64_t year;
  unsigned month, day; /* from 1 */
  unsigned hour, minute, second, nanosecond;
};

/* In the Gregorian calendar, also before it was begun, as Flink's LocalDateTime. */
struct wr_civil_time wr_civil_time_of(struct weir_timestamp time);

enum { WR_TIMESTAMP_TEXT_BYTES = 96 };
/* "2026-01-02 03:04:05.123456789", as databases read it; returns its length. */
int wr_timestamp_text(struct weir_timestamp time, char *out_text);

#endif
