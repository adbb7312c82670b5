/* formats/civil_time.c: see civil_time.h. 400 years have 146,097 days; years are counted from March, so that the
 * leap day is a year's last. */
#include "formats/civil_time.h"

#include <inttypes.h>
#include <stdio.h>

struct wr_civil_time wr_civil_time_of(struct weir_timestamp time) {
  enum { DAY_MS = 86400000, ERA_DAYS = 146097 };
  int64_t days = time.milliseconds / DAY_MS;
  if (time.milliseconds % DAY_MS < 0) days--;
  unsigned in_day = (unsigned)(time.milliseconds - days * DAY_MS);
  days += 719468; /* counted from 0000-03-01 now */
  int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
  unsigned day_of_era = (unsigned)(days - era * ERA_DAYS);
  unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  unsigned month = (5 * day_of_year + 2) / 153; /* from March */
  struct wr_civil_time civil = {.day = day_of_year - (153 * month + 2) / 5 + 1,
                                .month = month < 10 ? month + 3 : month - 9,
                                .hour = in_day / 3600000,
                                .minute = in_day / 60000 % 60,
                                .second = in_day / 1000 % 60,
                                .nanosecond = in_day % 1000 * 1000000 + (unsigned)time.nanoseconds};
  civil.year = (int64_t)year_of_era + era * 400 + (civil.month <= 2);
  return civil;
}

int wr_timestamp_text(struct weir_timestamp time, char *out_text) {
  struct wr_civil_time civil = wr_civil_time_of(time);
  return snprintf(out_text, WR_TIMESTAMP_TEXT_BYTES, "%04" PRId64 "-%02u-%02u %02u:%02u:%02u.%09u", civil.year,
                  civil.month, civil.day, civil.hour, civil.minute, civil.second, civil.nanosecond);
}
