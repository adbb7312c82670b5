/* bench/json.c: decoding NDJSON into batches, parsing alone: no files, no stream.
 *
 *   json_records      bytes of the records, on average
 *   json_index        simdjson's first stage over windows as the decoder's: UTF-8, strings, token positions. The
 * ceiling json_app          every record validated whole, one STRING field taken out json_all          every record
 * validated whole, all six fields taken out
 *
 * Rows give million records per CPU second of one thread, `_bytes` the same in GB/s of text.
 */
#include "bench/common.h"
#include "base/random.h"
#include "formats/json/json_decoder.h"
#include "os/shims/simdjson_shim.h"

enum { RUNS = 5, RECORDS = 200000, RECORD_BYTES_MAX = 256, WINDOW_BYTES = 32 * 1024 };

static const struct weir_field all_fields[] = {
    {"user_id", WEIR_TYPE_BIGINT, true}, {"app_id", WEIR_TYPE_STRING, true}, {"ts", WEIR_TYPE_TIMESTAMP, true},
    {"url", WEIR_TYPE_STRING, true},     {"score", WEIR_TYPE_DOUBLE, true},  {"mobile", WEIR_TYPE_BOOLEAN, true}};
static const struct weir_schema all_schema = {all_fields, 6};
static const struct weir_field app_fields[] = {{"app_id", WEIR_TYPE_STRING, true}};
static const struct weir_schema app_schema = {app_fields, 1};

struct text {
  char *bytes;
  size_t length;
};

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static struct text make_text(void) {
  struct text text = {.bytes = malloc((size_t)RECORDS * RECORD_BYTES_MAX)};
  if (text.bytes == NULL) fail("no memory for the text");
  struct wr_random random = wr_random_of(1);
  for (int i = 0; i < RECORDS; i++) {
    uint64_t page = wr_random_below(&random, 100000), score = wr_random_below(&random, 10000);
    text.length += (size_t)snprintf(
        text.bytes + text.length, RECORD_BYTES_MAX,
        "{\"user_id\":%" PRIu64 ",\"app_id\":\"app%" PRIu64 "\",\"ts\":\"2026-01-02 03:%02d:%02d.%03d\","
        "\"url\":\"https://example.com/page/%" PRIu64 "\",\"score\":%" PRIu64 ".%02" PRIu64 ",\"mobile\":%s}\n",
        wr_random_below(&random, 1000000000), wr_random_below(&random, 1000), i / 60000 % 60, i / 1000 % 60, i % 1000,
        page, score / 100, score % 100, page % 2 == 0 ? "true" : "false");
  }
  return text;
}

static void add_rows(const char *name, const struct bench_runs *seconds, const struct text *text) {
  struct bench_runs records = {.count = 0}, bytes = {.count = 0};
  char bytes_name[64];
  for (uint32_t i = 0; i < seconds->count; i++) {
    bench_add(&records, RECORDS / seconds->values[i] / 1e6);
    bench_add(&bytes, (double)text->length / seconds->values[i] / 1e9);
  }
  snprintf(bytes_name, sizeof bytes_name, "%s_bytes", name);
  bench_row_best(name, &records, BENCH_HIGHER, "M_records/s");
  bench_row_best(bytes_name, &bytes, BENCH_HIGHER, "GB/s");
}

/* Windows end with a line, as the decoder's do. */
static size_t window_of(const struct text *text, size_t at) {
  size_t length = text->length - at < WINDOW_BYTES ? text->length - at : WINDOW_BYTES;
  while (text->bytes[at + length - 1] != '\n')
    length--;
  return length;
}

static void measure_index(const struct text *text) {
  struct wr_simdjson *handle = wr_simdjson_new();
  if (handle == NULL) fail("no memory for simdjson");
  struct bench_runs seconds = {.count = 0};
  for (int run = 0; run <= RUNS; run++) {
    double begin_s = bench_cpu_s();
    uint64_t tokens = 0;
    for (size_t at = 0, length; at < text->length; at += length) {
      const uint32_t *positions;
      uint32_t count;
      length = window_of(text, at);
      if (wr_simdjson_index(handle, text->bytes + at, length, &positions, &count) != WR_SIMDJSON_OK)
        fail("simdjson refuses the text");
      tokens += count;
    }
    if (run != 0) bench_add(&seconds, bench_cpu_s() - begin_s);
    if (tokens != (uint64_t)RECORDS * 25) fail("simdjson found another number of tokens than 25 a record");
  }
  wr_simdjson_free(handle);
  add_rows("json_index", &seconds, text);
}

/* Decodes everything once; the rows. */
static uint64_t decode(struct wr_json_decoder *decoder, struct wr_batch_builder *builder, const struct text *text) {
  struct wr_json_lines lines = {.text = text->bytes, .length = text->length, .ends = true};
  struct wr_json_fault fault;
  struct weir_error error = {0};
  uint64_t rows = 0;
  while (lines.length != 0) {
    if (wr_batch_builder_begin(builder, &error) != WEIR_OK) fail(error.message);
    enum weir_code code = wr_json_decode_lines(decoder, &lines, builder, &fault, &error);
    if (code != WEIR_OK) fail(code == WEIR_BAD_RECORD ? fault.sentence : error.message);
    struct wr_batch *batch = wr_batch_builder_take(builder);
    if (batch == NULL) fail("the decoder made no row");
    rows += batch->row_count;
    wr_batch_unref(batch);
  }
  return rows;
}

static void measure_decode(const char *name, const struct weir_schema *schema, const struct text *text) {
  struct wr_heap_memory heap;
  struct wr_json_decoder *decoder = NULL;
  struct wr_batch_builder builder;
  struct weir_error error = {0};
  struct bench_runs seconds = {.count = 0};
  wr_heap_memory_init(&heap, 0);
  if (wr_json_decoder_new(&heap.memory, NULL, schema, NULL, &decoder, &error) != WEIR_OK) fail(error.message);
  wr_batch_builder_init(&builder, &heap.memory, schema, false);
  for (int run = 0; run <= RUNS; run++) {
    double begin_s = bench_cpu_s();
    if (decode(decoder, &builder, text) != RECORDS) fail("records were lost");
    if (run != 0) bench_add(&seconds, bench_cpu_s() - begin_s);
  }
  wr_batch_builder_deinit(&builder);
  wr_json_decoder_free(decoder);
  add_rows(name, &seconds, text);
}

int main(void) {
  bench_print_machine();
  struct text text = make_text();
  bench_row("json_records", (double)text.length / RECORDS, "bytes");
  measure_index(&text);
  measure_decode("json_app", &app_schema, &text);
  measure_decode("json_all", &all_schema, &text);
  free(text.bytes);
  return 0;
}
