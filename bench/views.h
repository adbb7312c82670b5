/* bench/views.h: page views as JSON, some 92 bytes each, of 100,000 apps, of which few get most. Header only. */
#ifndef BENCH_VIEWS_H
#define BENCH_VIEWS_H

#include "base/random.h"
#include "weir/weir.h"

#include <inttypes.h>
#include <stdio.h>

enum { VIEW_APPS = 100000, VIEW_BYTES_MAX = 200 };

static const struct weir_field view_fields[] = {{"app_id", WEIR_TYPE_STRING, false}};
static const struct weir_schema view_schema = {view_fields, 1};

/* Writes a line of at most VIEW_BYTES_MAX - 1 bytes, and says how long it is. */
static inline size_t view_put(char *out, struct wr_random *random, int number) {
  double draw = (double)wr_random_below(random, 1 << 20) / (1 << 20);
  return (size_t)snprintf(out, VIEW_BYTES_MAX,
                          "{\"user_id\":%" PRIu64 ",\"app_id\":\"app%d\",\"ts\":\"2026-01-02 03:%02d:%02d.%03d\","
                          "\"page\":\"/item/%" PRIu64 "\"}\n",
                          wr_random_below(random, 1000000000), (int)(draw * draw * draw * VIEW_APPS),
                          number / 60000 % 60, number / 1000 % 60, number % 1000, wr_random_below(random, 100000));
}

#endif
