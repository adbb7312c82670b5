/* bench/bare_count.c: a count per key as a bare loop in C: the floor under every engine that does the same.
 *
 * One thread. Per batch of 4,096 rows: the generator fills a key column, the table counts, and an output of key and new
 * count per row (an upsert stream) is written and forgotten. No NULLs, no key groups, no exchange, no snapshots, no
 * growth: the table is made for the number of keys. Names: bare_count_<type>_<keys>, million rows per CPU second.
 *
 * BIGINT: slots of key and count, empty where the count is 0. STRING: views as in a batch, "app123" within the view,
 * long_string "customer-number-123" outside it; hashed by XXH3; slots of hash, bytes and count. Linear probing, at most
 * 60 % full, prefetched within a batch.
 */
#include "common.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/random.h"
#include "data/batch.h"

enum { RUNS = 5, ROWS = WR_BATCH_ROWS_MAX, PREFETCH_AHEAD = 16, STRING_BYTES_MAX = 44 };

static void *must_zeroed(size_t count, size_t bytes) {
  void *block = calloc(count, bytes);
  if (block != NULL) return block;
  fprintf(stderr, "no memory for %zu bytes\n", count * bytes);
  exit(1);
}

/* Slots for `keys`, a power of two. */
static uint64_t slots_for(uint64_t keys) {
  uint64_t slots = 1024;
  while (slots * 6 < keys * 10)
    slots *= 2;
  return slots;
}

static void must_sum(uint64_t sum, uint64_t rows) {
  if (sum == rows) return;
  fprintf(stderr, "counted %" PRIu64 " of %" PRIu64 " rows\n", sum, rows);
  exit(1);
}

/* ---- BIGINT ---- */

struct number_slot {
  int64_t key, count;
};
struct number_loop {
  struct number_slot *slots;
  uint64_t mask;
  int64_t keys[ROWS]; /* the input */
  uint64_t at[ROWS];
  int64_t out_keys[ROWS], out_counts[ROWS];
};

static void count_numbers(struct number_loop *loop, struct wr_random *random, uint64_t key_count) {
  struct number_slot *slots = loop->slots;
  uint64_t mask = loop->mask;
  for (int i = 0; i < ROWS; i++)
    loop->keys[i] = (int64_t)wr_random_below(random, key_count);
  for (int i = 0; i < ROWS; i++)
    loop->at[i] = wr_hash_index_u64((uint64_t)loop->keys[i], 0x5eed) & mask;
  for (int i = 0; i < ROWS; i++) {
    if (i + PREFETCH_AHEAD < ROWS) __builtin_prefetch(&slots[loop->at[i + PREFETCH_AHEAD]], 1);
    int64_t key = loop->keys[i];
    uint64_t at = loop->at[i];
    while (slots[at].count != 0 && slots[at].key != key)
      at = (at + 1) & mask;
    slots[at].key = key;
    loop->out_keys[i] = key;
    loop->out_counts[i] = ++slots[at].count;
  }
}

static void measure_numbers(const char *name, uint64_t key_count, uint64_t batches) {
  static struct number_loop loop;
  struct bench_runs runs = {.count = 0};
  loop.mask = slots_for(key_count) - 1;
  loop.slots = must_zeroed(loop.mask + 1, sizeof *loop.slots);
  struct wr_random random = wr_random_of(1);
  uint64_t rows = 0, sum = 0;
  for (int run = 0; run <= RUNS; run++) { /* the first one fills the table */
    double begin_s = bench_cpu_s();
    for (uint64_t b = 0; b < batches; b++) {
      count_numbers(&loop, &random, key_count);
      BENCH_KEEP(&loop);
    }
    if (run != 0) bench_add(&runs, (double)batches * ROWS / (bench_cpu_s() - begin_s) / 1e6);
    rows += batches * ROWS;
  }
  for (uint64_t i = 0; i <= loop.mask; i++)
    sum += (uint64_t)loop.slots[i].count;
  must_sum(sum, rows);
  free(loop.slots);
  bench_row_best(name, &runs, BENCH_HIGHER, "M_rows/s");
}

/* ---- STRING ---- */

struct string_slot {
  uint64_t hash;
  int64_t count;
  int32_t length;
  char bytes[STRING_BYTES_MAX];
};
struct string_loop {
  struct string_slot *slots;
  uint64_t mask;
  const char *prefix;        /* of every key; then come the digits of its number */
  struct wr_view keys[ROWS]; /* the input: views, long ones into `heap` */
  char heap[ROWS * STRING_BYTES_MAX];
  uint64_t hashes[ROWS];
  struct wr_view out_keys[ROWS];
  int64_t out_counts[ROWS];
};

static const char *view_bytes(const struct string_loop *loop, const struct wr_view *view) {
  return view->length <= WR_VIEW_INLINE_MAX ? view->bytes : &loop->heap[view->offset];
}

static void make_strings(struct string_loop *loop, struct wr_random *random, uint64_t key_count) {
  size_t prefix_bytes = strlen(loop->prefix);
  uint32_t used = 0;
  for (uint32_t i = 0; i < ROWS; i++) {
    char digits[20];
    size_t digit_count = 0;
    for (uint64_t n = wr_random_below(random, key_count), more = 1; more != 0; more = n, digit_count++, n /= 10)
      digits[sizeof digits - 1 - digit_count] = (char)('0' + n % 10);
    size_t length = prefix_bytes + digit_count;
    struct wr_view view = {.length = (int32_t)length};
    char *bytes = length <= WR_VIEW_INLINE_MAX ? view.bytes : &loop->heap[used];
    memcpy(bytes, loop->prefix, prefix_bytes);
    memcpy(bytes + prefix_bytes, digits + sizeof digits - digit_count, digit_count);
    if (length > WR_VIEW_INLINE_MAX) {
      memcpy(view.prefix, bytes, sizeof view.prefix);
      view.offset = used;
      used += (uint32_t)length;
    }
    loop->keys[i] = view;
  }
}

static void count_strings(struct string_loop *loop) {
  struct string_slot *slots = loop->slots;
  uint64_t mask = loop->mask;
  for (int i = 0; i < ROWS; i++)
    loop->hashes[i] = wr_hash_index(view_bytes(loop, &loop->keys[i]), (size_t)loop->keys[i].length, 0x5eed);
  for (int i = 0; i < ROWS; i++) {
    if (i + PREFETCH_AHEAD < ROWS) __builtin_prefetch(&slots[loop->hashes[i + PREFETCH_AHEAD] & mask], 1);
    const char *bytes = view_bytes(loop, &loop->keys[i]);
    int32_t length = loop->keys[i].length;
    uint64_t hash = loop->hashes[i], at = hash & mask;
    while (slots[at].count != 0 && (slots[at].hash != hash || slots[at].length != length ||
                                    memcmp(slots[at].bytes, bytes, (size_t)length) != 0))
      at = (at + 1) & mask;
    if (slots[at].count == 0) {
      slots[at].hash = hash;
      slots[at].length = length;
      memcpy(slots[at].bytes, bytes, (size_t)length);
    }
    loop->out_keys[i] = loop->keys[i];
    loop->out_counts[i] = ++slots[at].count;
  }
}

static void measure_strings(const char *name, const char *prefix, uint64_t key_count, uint64_t batches) {
  static struct string_loop loop;
  struct bench_runs runs = {.count = 0};
  loop.prefix = prefix;
  loop.mask = slots_for(key_count) - 1;
  loop.slots = must_zeroed(loop.mask + 1, sizeof *loop.slots);
  struct wr_random random = wr_random_of(1);
  uint64_t rows = 0, sum = 0;
  for (int run = 0; run <= RUNS; run++) {
    double begin_s = bench_cpu_s();
    for (uint64_t b = 0; b < batches; b++) {
      make_strings(&loop, &random, key_count);
      count_strings(&loop);
      BENCH_KEEP(&loop);
    }
    if (run != 0) bench_add(&runs, (double)batches * ROWS / (bench_cpu_s() - begin_s) / 1e6);
    rows += batches * ROWS;
  }
  for (uint64_t i = 0; i <= loop.mask; i++)
    sum += (uint64_t)loop.slots[i].count;
  must_sum(sum, rows);
  free(loop.slots);
  bench_row_best(name, &runs, BENCH_HIGHER, "M_rows/s");
}

int main(void) {
  bench_print_machine();
  measure_numbers("bare_count_bigint_1k", 1000, 12000);
  measure_numbers("bare_count_bigint_100k", 100000, 12000);
  measure_numbers("bare_count_bigint_10m", 10000000, 6000);
  measure_strings("bare_count_string_1k", "app", 1000, 2500);
  measure_strings("bare_count_string_100k", "app", 100000, 2500);
  measure_strings("bare_count_long_string_100k", "customer-number-", 100000, 2500);
  return 0;
}
