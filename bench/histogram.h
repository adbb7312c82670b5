/* bench/histogram.h: how often each duration occurred, from 1 ns to 292 years, with an error under 1 %. Header only.
 *
 * Durations below 128 ns have a bucket each; above, every power of two is cut into 64. So a histogram has a fixed
 * size, nothing is dropped, and a quantile is the upper end of its bucket: at most 1.6 % too high, never too low. One
 * thread at a time.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include "bench/common.h"

enum { BENCH_BUCKET_BITS = 6, BENCH_BUCKETS = (64 - BENCH_BUCKET_BITS) << BENCH_BUCKET_BITS };

struct bench_histogram {
  uint64_t count, largest;
  uint64_t buckets[BENCH_BUCKETS];
};

static inline uint32_t bench_bucket_of(uint64_t value) {
  if (value < 2u << BENCH_BUCKET_BITS) return (uint32_t)value;
  uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - BENCH_BUCKET_BITS;
  return (shift << BENCH_BUCKET_BITS) + (uint32_t)(value >> shift);
}

/* The largest value that falls into a bucket. */
static inline uint64_t bench_bucket_end(uint32_t bucket) {
  if (bucket < 2u << BENCH_BUCKET_BITS) return bucket;
  uint32_t shift = (bucket >> BENCH_BUCKET_BITS) - 1;
  uint64_t top = bucket - (shift << BENCH_BUCKET_BITS);
  return ((top + 1) << shift) - 1;
}

static inline void bench_histogram_add(struct bench_histogram *histogram, uint64_t value) {
  histogram->buckets[bench_bucket_of(value)]++;
  histogram->count++;
  if (value > histogram->largest) histogram->largest = value;
}

static inline void bench_histogram_join(struct bench_histogram *into, const struct bench_histogram *from) {
  for (uint32_t i = 0; i < BENCH_BUCKETS; i++)
    into->buckets[i] += from->buckets[i];
  into->count += from->count;
  if (from->largest > into->largest) into->largest = from->largest;
}

/* The duration that `share` of all do not exceed. */
static inline uint64_t bench_histogram_quantile(const struct bench_histogram *histogram, double share) {
  uint64_t wanted = (uint64_t)(share * (double)histogram->count), seen = 0;
  for (uint32_t i = 0; i < BENCH_BUCKETS; i++) {
    seen += histogram->buckets[i];
    if (seen > wanted) return bench_bucket_end(i) < histogram->largest ? bench_bucket_end(i) : histogram->largest;
  }
  return histogram->largest;
}

/* Rows <name>_p50, _p99, _p999, _p9999 and _max, of nanoseconds, in milliseconds. */
static inline void bench_histogram_rows(const char *name, const struct bench_histogram *histogram) {
  static const struct {
    const char *name;
    double share;
  } quantiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}, {"max", 1}};
  for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
    char row[80];
    snprintf(row, sizeof row, "%s_%s", name, quantiles[i].name);
    bench_row(row, (double)bench_histogram_quantile(histogram, quantiles[i].share) / 1e6, "ms");
  }
}

/* The bucket of a value ends at or above it, and the next one begins above it. */
static inline void bench_histogram_check(void) {
  for (uint64_t value = 0; value < UINT64_MAX / 3; value += value / 50 + 1) {
    uint32_t bucket = bench_bucket_of(value);
    uint64_t end = bench_bucket_end(bucket);
    if (bucket >= BENCH_BUCKETS || end < value || end - value > value / 64 || bench_bucket_of(end + 1) != bucket + 1)
      bench_fail("the histogram is wrong");
  }
}

#endif
