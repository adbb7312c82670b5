/* formats/json/json_decoder.c: see json_decoder.h.
 *
 * How it works. simdjson's first stage lists where tokens begin (os/shims/simdjson_shim.h), for a window of many lines
 * at once. Then each record is walked over its tokens, every one of them (json_walk.h). A field that the job wants
 * leaves its place behind; a name that comes again overwrites it. Only when the record has proved sound are the places
 * turned into values of the builder.
 *
 * A window in which the first stage finds a fault is done again line by line, so that the fault meets its own record
 * only. A record that fails is scanned once more, byte by byte, to say where and why (json_text.h).
 *
 * Records that come one by one are copied into such a window, with a newline behind each; where each ends is known, so
 * one may have newlines inside.
 *
 * What always holds: a window ends with a newline (or the input does), and no string of a window that was indexed holds
 * one, so a line's tokens are its own. Between two records all places are empty. One thread per decoder.
 */
#include "formats/json/json_decoder.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "formats/json/json_digits.h"
#include "formats/json/json_text.h"
#include "formats/json/json_value.h"
#include "formats/json/json_walk.h"
#include "os/shims/simdjson_shim.h"

#include <stdio.h>

/* Small enough for the second level cache together with its index; large enough to make a call cost nothing. */
enum { WINDOW_BYTES = 32 * 1024, GATHERED_MAX = 1024 };

/* Records that were copied to be decoded together; those before `next` are done. */
struct gathered {
  uint32_t count, next;
  enum { NOT_INDEXED, INDEXED, EACH_BY_ITSELF } state;
  struct wr_json_walk walk; /* INDEXED: its token is the first of the next record */
  bool has_escapes;
  uint32_t ends[GATHERED_MAX]; /* of each, in `text`; a newline is there */
  char text[WINDOW_BYTES];
};

struct wr_json_decoder {
  struct wr_memory *memory;
  struct wr_calls *calls; /* NULL: simdjson's handle was not adopted */
  struct wr_simdjson *index;
  struct weir_schema *schema; /* own copy */
  uint32_t *columns;          /* per field: the builder's column */
  struct wr_json_walker walker;
  struct gathered *gathered;   /* NULL: nothing was gathered yet */
  struct wr_bytes scratch;     /* a string with its escapes decoded */
  struct wr_json_fault *fault; /* the caller's, during a call */
  struct weir_error *error;    /* likewise */
};

/* ---- life ---- */

static bool allocate(struct wr_json_decoder *decoder, const struct weir_schema *schema) {
  decoder->schema = wr_schema_copy(decoder->memory, schema);
  decoder->columns = wr_alloc_zeroed(decoder->memory, schema->field_count, sizeof(uint32_t), WR_MEMORY_SOURCE);
  decoder->index = wr_simdjson_new();
  if (decoder->index != NULL && decoder->calls != NULL)
    decoder->calls->adopt(decoder->calls, decoder->index, wr_simdjson_free);
  return decoder->schema != NULL && decoder->columns != NULL && decoder->index != NULL &&
         wr_json_walker_init(&decoder->walker, decoder->memory, decoder->schema);
}

enum weir_code wr_json_decoder_new(struct wr_memory *memory, struct wr_calls *calls, const struct weir_schema *schema,
                                   const uint32_t *field_map, struct wr_json_decoder **out_decoder,
                                   struct weir_error *error) {
  *out_decoder = NULL;
  WR_TRY(wr_schema_check(schema, error));
  struct wr_json_decoder *decoder = wr_alloc_zeroed(memory, 1, sizeof *decoder, WR_MEMORY_SOURCE);
  if (decoder == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a JSON decoder");
  decoder->memory = memory;
  decoder->calls = calls;
  wr_bytes_init(&decoder->scratch, memory, WR_MEMORY_SOURCE);
  if (!allocate(decoder, schema)) {
    wr_json_decoder_free(decoder);
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a JSON decoder of %u fields", schema->field_count);
  }
  for (uint32_t i = 0; i < schema->field_count; i++)
    decoder->columns[i] = field_map == NULL ? i : field_map[i];
  *out_decoder = decoder;
  return WEIR_OK;
}

void wr_json_decoder_free(struct wr_json_decoder *decoder) {
  if (decoder == NULL) return;
  if (decoder->index != NULL && decoder->calls != NULL) decoder->calls->disown(decoder->calls, decoder->index);
  wr_simdjson_free(decoder->index);
  wr_bytes_deinit(&decoder->scratch);
  wr_free(decoder->memory, decoder->gathered);
  wr_json_walker_deinit(&decoder->walker);
  wr_free(decoder->memory, decoder->columns);
  wr_free(decoder->memory, decoder->schema);
  wr_free(decoder->memory, decoder);
}

/* ---- values ---- */

static enum weir_code fail_field(struct wr_json_decoder *decoder, uint32_t field, enum wr_json_fault_kind kind,
                                 size_t position, const char *what) {
  struct wr_json_fault *fault = decoder->fault;
  fault->kind = kind;
  fault->position = (uint32_t)position;
  fault->field = decoder->schema->fields[field].name;
  snprintf(fault->sentence, sizeof fault->sentence, "field \"%.64s\" %s", fault->field, what);
  return WEIR_BAD_RECORD;
}

/* What a field of a type has to look like, for the message. */
static const char *const expectations[] = {
    [WEIR_TYPE_BOOLEAN] = "is not true or false, as a BOOLEAN is",
    [WEIR_TYPE_INT] = "is not a whole number in the range of an INT",
    [WEIR_TYPE_BIGINT] = "is not a whole number in the range of a BIGINT",
    [WEIR_TYPE_DOUBLE] = "is not a number in the range of a DOUBLE",
    [WEIR_TYPE_STRING] = "is not a string",
    [WEIR_TYPE_BYTES] = "is not a string in base64, as BYTES are",
    [WEIR_TYPE_TIMESTAMP] = "is not a TIMESTAMP, a string like \"2024-02-29 12:34:56.789\"",
};

/* The bytes of a string, its escapes decoded (into the scratch, where it has some, or where `own` asks for a copy). */
static enum weir_code string_of(struct wr_json_decoder *decoder, const struct wr_json_walk *walk,
                                struct wr_json_place place, bool own, const char **out_bytes, size_t *out_length) {
  *out_bytes = walk->text + place.start + 1;
  *out_length = place.end - place.start - 2;
  if (!own && (!walk->has_escapes || memchr(*out_bytes, '\\', *out_length) == NULL)) return WEIR_OK;
  wr_bytes_clear(&decoder->scratch);
  char *room = (char *)wr_bytes_reserve(&decoder->scratch, *out_length + 1);
  if (room == NULL) return wr_bytes_check(&decoder->scratch, decoder->error);
  *out_length = (size_t)wr_json_unescape(*out_bytes, *out_length, room);
  *out_bytes = room;
  return WEIR_OK;
}

/* A number as a whole one in the range of a BIGINT. */
static inline bool whole_of(const struct wr_json_walk *walk, struct wr_json_place place, int64_t *out_value) {
  const char *text = walk->text + place.start;
  const size_t length = place.end - place.start;
  if (*text != '-' && (*text < '0' || *text > '9')) return false;
  if (!wr_json_is_whole(text, length, walk->text_end - place.start)) return wr_json_to_bigint(text, length, out_value);
  *out_value = (int64_t)wr_json_whole_value(text, length);
  return true;
}

static bool double_of(const struct wr_json_walk *walk, struct wr_json_place place, double *out_value) {
  const char *text = walk->text + place.start;
  if (*text != '-' && (*text < '0' || *text > '9')) return false;
  return wr_json_to_double(text, place.end - place.start, out_value);
}

/* Sets a field whose value is a number or a word. False: the value is not of its type. */
static inline bool set_plain(const struct wr_json_walk *walk, struct wr_json_place place, enum weir_type type,
                             const struct wr_column *column, uint32_t row) {
  const char first = walk->text[place.start];
  int64_t whole = 0;
  switch (type) {
  case WEIR_TYPE_BOOLEAN:
    if (first != 't' && first != 'f') return false;
    ((uint8_t *)column->values)[row] = first == 't';
    return true;
  case WEIR_TYPE_INT:
    if (!whole_of(walk, place, &whole) || whole < INT32_MIN || whole > INT32_MAX) return false;
    ((int32_t *)column->values)[row] = (int32_t)whole;
    return true;
  case WEIR_TYPE_BIGINT:
    return whole_of(walk, place, &((int64_t *)column->values)[row]);
  default:
    return double_of(walk, place, &((double *)column->values)[row]);
  }
}

/* Sets a short string without escapes as a view, if 16 bytes can be read where its bytes begin. Its length is hard to
 * foresee, so nothing branches on it: what lies behind the string is masked, by a mask that is read from `keep` at the
 * right distance. */
static inline bool set_short(const struct wr_json_walk *walk, struct wr_json_place place, struct wr_view *view) {
  static const uint8_t keep[WR_VIEW_INLINE_MAX + sizeof *view] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                                  0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  const uint32_t length = place.end - place.start - 2;
  const char *bytes = walk->text + place.start + 1;
  if (length > WR_VIEW_INLINE_MAX || walk->has_escapes || walk->text_end - place.start < 1 + sizeof *view) return false;
  uint64_t words[2], masks[2];
  memcpy(words, bytes, sizeof words);
  memcpy(masks, keep + WR_VIEW_INLINE_MAX - length, sizeof masks);
  words[0] &= masks[0];
  words[1] &= masks[1];
  view->length = (int32_t)length;
  memcpy(view->bytes, words, sizeof view->bytes);
  return true;
}

/* Sets a field whose value is a string. */
static enum weir_code set_string(struct wr_json_decoder *decoder, const struct wr_json_walk *walk,
                                 struct wr_json_place place, struct wr_batch_builder *builder, uint32_t field,
                                 bool *out_fits) {
  const char *bytes = NULL;
  size_t length = 0;
  struct weir_timestamp time;
  enum weir_type type = decoder->schema->fields[field].type;
  WR_TRY(string_of(decoder, walk, place, type == WEIR_TYPE_BYTES, &bytes, &length));
  if (type == WEIR_TYPE_TIMESTAMP) {
    *out_fits = wr_json_to_timestamp(bytes, length, &time);
    if (*out_fits) wr_batch_builder_set_timestamp(builder, decoder->columns[field], time);
    return WEIR_OK;
  }
  if (type == WEIR_TYPE_BYTES) *out_fits = wr_json_to_bytes(bytes, length, (char *)decoder->scratch.data, &length);
  if (!*out_fits) return WEIR_OK;
  return wr_batch_builder_set_bytes(builder, decoder->columns[field], bytes, length, decoder->error);
}

static inline void mark_set(const struct wr_column *column, uint32_t row) {
  if (column->validity != NULL) column->validity[row / 64] |= 1ull << (row % 64);
}

/* Turns the places of a sound record, which begins at `start` of the text, into the values of the builder's row, and
 * empties them; after a failure some are left. */
static enum weir_code set_fields(struct wr_json_decoder *decoder, const struct wr_json_walk *walk, uint32_t start,
                                 struct wr_batch_builder *builder) {
  const uint32_t row = builder->batch->row_count, count = decoder->schema->field_count;
  for (uint32_t i = 0; i < count; i++) {
    const struct weir_field *field = &decoder->schema->fields[i];
    const struct wr_column *column = &builder->batch->columns[decoder->columns[i]];
    struct wr_json_place place = decoder->walker.places[i];
    decoder->walker.places[i].end = 0;
    if (place.end == 0 || walk->text[place.start] == 'n') {
      if (field->nullable) continue;
      size_t position = place.end == 0 ? walk->end - start : place.start - start;
      return fail_field(decoder, i, WR_JSON_FIELD_MISSING, position, place.end == 0 ? "is missing" : "is null");
    }
    bool fits;
    if (field->type < WEIR_TYPE_STRING) {
      fits = set_plain(walk, place, field->type, column, row);
      mark_set(column, row);
    } else {
      fits = walk->text[place.start] == '"';
      if (fits && field->type == WEIR_TYPE_STRING && set_short(walk, place, &((struct wr_view *)column->values)[row]))
        mark_set(column, row);
      else if (fits)
        WR_TRY(set_string(decoder, walk, place, builder, i, &fits));
    }
    if (!fits) return fail_field(decoder, i, WR_JSON_FIELD_TYPE, place.start - start, expectations[field->type]);
  }
  return WEIR_OK;
}

/* ---- records ---- */

static enum weir_code fail_no_memory(struct wr_json_decoder *decoder, size_t length) {
  return WR_FAIL(decoder->error, WEIR_NO_MEMORY, "out of memory for a JSON record of %zu bytes", length);
}

/* Says what is wrong with a record that the walk or the index refused. */
static enum weir_code diagnose(struct wr_json_decoder *decoder, const char *text, size_t length) {
  struct wr_json_scan scan = wr_json_scan(text, length);
  struct wr_json_fault *fault = decoder->fault;
  if (scan.reason == NULL && scan.is_object)
    return WR_FAIL(decoder->error, WEIR_INTERNAL, "a JSON record of %zu bytes was refused, but is sound", length);
  fault->kind = scan.reason == NULL ? WR_JSON_NOT_OBJECT : WR_JSON_NOT_JSON;
  fault->position = scan.reason == NULL ? 0 : (uint32_t)scan.position;
  fault->field = NULL;
  snprintf(fault->sentence, sizeof fault->sentence, "%s", scan.reason == NULL ? "it is not an object" : scan.reason);
  return WEIR_BAD_RECORD;
}

/* Decodes the record [start, walk->end) of an indexed text into the builder's row. */
static enum weir_code decode_record(struct wr_json_decoder *decoder, struct wr_json_walk *walk, uint32_t start,
                                    struct wr_batch_builder *builder) {
  const size_t length = walk->end - start;
  enum wr_json_walk_result result = wr_json_walk_record(&decoder->walker, walk);
  enum weir_code code;
  if (result == WR_JSON_WALK_SOUND)
    code = set_fields(decoder, walk, start, builder);
  else
    code = result == WR_JSON_WALK_NO_MEMORY ? fail_no_memory(decoder, length)
                                            : diagnose(decoder, walk->text + start, length);
  if (code == WEIR_OK) return code;
  wr_json_walker_clear(&decoder->walker);
  wr_batch_builder_cancel_row(builder);
  decoder->fault->record_bytes = length;
  return code;
}

static enum weir_code fail_too_long(struct wr_json_fault *fault, size_t length) {
  *fault = (struct wr_json_fault){.kind = WR_JSON_TOO_LONG, .position = WR_RECORD_BYTES_MAX, .record_bytes = length};
  snprintf(fault->sentence, sizeof fault->sentence, "it has %zu bytes; a record has at most %d", length,
           WR_RECORD_BYTES_MAX);
  return WEIR_BAD_RECORD;
}

/* Indexes and decodes a line; with `blank_is_fine` *out_is_blank says that it was one, and that nothing was done. */
static enum weir_code decode_line(struct wr_json_decoder *decoder, const char *text, size_t length,
                                  struct wr_batch_builder *builder, bool *out_is_blank) {
  const uint32_t *tokens = NULL;
  uint32_t count = 0;
  if (length > WR_RECORD_BYTES_MAX) return fail_too_long(decoder->fault, length);
  enum wr_simdjson_result result = wr_simdjson_index(decoder->index, text, length, &tokens, &count);
  if (result == WR_SIMDJSON_NO_MEMORY) return fail_no_memory(decoder, length);
  decoder->fault->record_bytes = length;
  if (result == WR_SIMDJSON_INVALID) return diagnose(decoder, text, length);
  *out_is_blank = count == 0;
  if (count == 0) return WEIR_OK;
  struct wr_json_walk walk = {.text = text, .token = tokens, .end = (uint32_t)length, .text_end = (uint32_t)length};
  walk.has_escapes = memchr(text, '\\', length) != NULL;
  return decode_record(decoder, &walk, 0, builder);
}

enum weir_code wr_json_decode(struct wr_json_decoder *decoder, const char *text, size_t length,
                              struct wr_batch_builder *builder, struct wr_json_fault *fault, struct weir_error *error) {
  bool is_blank = false;
  decoder->fault = fault;
  decoder->error = error;
  WR_TRY(wr_batch_builder_begin(builder, error));
  WR_TRY(decode_line(decoder, text, length, builder, &is_blank));
  return is_blank ? diagnose(decoder, text, length) : WEIR_OK;
}

/* ---- records that were gathered ---- */

bool wr_json_gather(struct wr_json_decoder *decoder, const char *text, size_t length) {
  struct gathered *gathered = decoder->gathered;
  if (gathered == NULL) {
    gathered = wr_alloc(decoder->memory, sizeof *gathered, WR_MEMORY_SOURCE);
    if (gathered == NULL) return false; /* one by one, then */
    gathered->count = gathered->next = 0;
    decoder->gathered = gathered;
  }
  if (gathered->next == gathered->count) {
    gathered->count = gathered->next = 0;
    gathered->state = NOT_INDEXED;
  }
  uint32_t start = gathered->count == 0 ? 0 : gathered->ends[gathered->count - 1] + 1;
  if (gathered->state != NOT_INDEXED || gathered->count == GATHERED_MAX || length >= WINDOW_BYTES - start) return false;
  memcpy(gathered->text + start, text, length);
  gathered->text[start + length] = '\n';
  gathered->ends[gathered->count++] = start + (uint32_t)length;
  return true;
}

uint32_t wr_json_gathered(const struct wr_json_decoder *decoder) {
  return decoder->gathered == NULL ? 0 : decoder->gathered->count - decoder->gathered->next;
}

void wr_json_forget_gathered(struct wr_json_decoder *decoder) {
  if (decoder->gathered != NULL) decoder->gathered->next = decoder->gathered->count;
}

static enum weir_code index_gathered(struct wr_json_decoder *decoder) {
  struct gathered *gathered = decoder->gathered;
  const uint32_t *tokens = NULL;
  uint32_t count = 0, length = gathered->ends[gathered->count - 1] + 1;
  enum wr_simdjson_result result = wr_simdjson_index(decoder->index, gathered->text, length, &tokens, &count);
  if (result == WR_SIMDJSON_NO_MEMORY) return fail_no_memory(decoder, length);
  gathered->state = result == WR_SIMDJSON_OK ? INDEXED : EACH_BY_ITSELF;
  gathered->walk = (struct wr_json_walk){.text = gathered->text, .token = tokens, .text_end = length};
  gathered->has_escapes = memchr(gathered->text, '\\', length) != NULL;
  return WEIR_OK;
}

static enum weir_code decode_indexed(struct wr_json_decoder *decoder, struct gathered *gathered, uint32_t start,
                                     uint32_t end, struct wr_batch_builder *builder, bool *out_is_blank) {
  struct wr_json_walk *walk = &gathered->walk;
  const uint32_t *first = walk->token;
  walk->end = end;
  walk->has_escapes = gathered->has_escapes && memchr(gathered->text + start, '\\', end - start) != NULL;
  *out_is_blank = *first >= end;
  if (*out_is_blank) return WEIR_OK;
  enum weir_code code = decode_record(decoder, walk, start, builder);
  if (code == WEIR_OK) return code;
  /* The walk may have ended before the record did, or one token behind it. */
  walk->token = first;
  while (*walk->token < end)
    walk->token++;
  return code;
}

enum weir_code wr_json_decode_gathered(struct wr_json_decoder *decoder, struct wr_batch_builder *builder,
                                       struct wr_json_fault *fault, struct weir_error *error) {
  struct gathered *gathered = decoder->gathered;
  bool is_blank = false;
  decoder->fault = fault;
  decoder->error = error;
  if (gathered->state == NOT_INDEXED) WR_TRY(index_gathered(decoder));
  uint32_t start = gathered->next == 0 ? 0 : gathered->ends[gathered->next - 1] + 1;
  uint32_t end = gathered->ends[gathered->next++];
  WR_TRY(wr_batch_builder_begin(builder, error));
  WR_TRY(gathered->state == INDEXED ? decode_indexed(decoder, gathered, start, end, builder, &is_blank)
                                    : decode_line(decoder, gathered->text + start, end - start, builder, &is_blank));
  fault->record_bytes = end - start;
  return is_blank ? diagnose(decoder, gathered->text + start, end - start) : WEIR_OK;
}

/* ---- lines ---- */

/* The length of the line at the beginning of the text, its newline included; 0: there is no whole line. */
static size_t whole_line(const struct wr_json_lines *lines) {
  const char *newline = lines->length == 0 ? NULL : memchr(lines->text, '\n', lines->length);
  if (newline != NULL) return (size_t)(newline - lines->text) + 1;
  return lines->ends ? lines->length : 0;
}

/* The length of the whole lines to index together. */
static size_t find_window(const struct wr_json_lines *lines) {
  size_t most = lines->length < WINDOW_BYTES ? lines->length : WINDOW_BYTES;
  const char *newline = most == 0 ? NULL : memrchr(lines->text, '\n', most);
  if (newline != NULL) return (size_t)(newline - lines->text) + 1;
  return whole_line(lines);
}

static void take_line(struct wr_json_lines *lines, size_t length) {
  lines->text += length;
  lines->length -= length;
  lines->line_count++;
}

static void end_row(struct wr_json_lines *lines, struct wr_batch_builder *builder) {
  if (lines->row_lines != NULL) lines->row_lines[builder->batch->row_count] = lines->line_count;
  wr_batch_builder_end_row(builder, WEIR_INSERT);
}

bool wr_json_skip_line(struct wr_json_lines *lines) {
  size_t length = whole_line(lines);
  if (length != 0) take_line(lines, length);
  return length != 0;
}

/* The lines of a window, each by itself. */
static enum weir_code decode_singly(struct wr_json_decoder *decoder, struct wr_json_lines *lines, size_t window,
                                    struct wr_batch_builder *builder) {
  const char *window_end = lines->text + window;
  while (lines->text != window_end && !wr_batch_builder_is_full(builder)) {
    size_t length = whole_line(lines);
    bool is_blank = false, has_newline = lines->text[length - 1] == '\n';
    WR_TRY(wr_batch_builder_begin(builder, decoder->error));
    WR_TRY(decode_line(decoder, lines->text, length - has_newline, builder, &is_blank));
    if (!is_blank) end_row(lines, builder);
    take_line(lines, length);
  }
  return WEIR_OK;
}

/* The lines of a window that is indexed as a whole. */
static enum weir_code decode_window(struct wr_json_decoder *decoder, struct wr_json_lines *lines, size_t window,
                                    const uint32_t *tokens, struct wr_batch_builder *builder) {
  const char *text = lines->text, *window_end = text + window;
  bool has_escapes = memchr(text, '\\', window) != NULL;
  struct wr_json_walk walk = {.text = text, .token = tokens, .text_end = (uint32_t)window};
  while (lines->text != window_end && !wr_batch_builder_is_full(builder)) {
    const char *newline = memchr(lines->text, '\n', (size_t)(window_end - lines->text));
    const char *end = newline == NULL ? window_end : newline;
    walk.end = (uint32_t)(end - text);
    if (*walk.token < walk.end) {
      walk.has_escapes = has_escapes && memchr(lines->text, '\\', (size_t)(end - lines->text)) != NULL;
      if (builder->batch == NULL) WR_TRY(wr_batch_builder_begin(builder, decoder->error));
      WR_TRY(decode_record(decoder, &walk, (uint32_t)(lines->text - text), builder));
      end_row(lines, builder);
    }
    take_line(lines, (size_t)(end - lines->text) + (newline != NULL));
  }
  return WEIR_OK;
}

enum weir_code wr_json_decode_lines(struct wr_json_decoder *decoder, struct wr_json_lines *lines,
                                    struct wr_batch_builder *builder, struct wr_json_fault *fault,
                                    struct weir_error *error) {
  decoder->fault = fault;
  decoder->error = error;
  while (!wr_batch_builder_is_full(builder)) {
    size_t window = find_window(lines);
    if (window == 0) return WEIR_OK;
    const uint32_t *tokens = NULL;
    uint32_t count = 0;
    enum wr_simdjson_result result = WR_SIMDJSON_INVALID;
    if (window <= WR_RECORD_BYTES_MAX) result = wr_simdjson_index(decoder->index, lines->text, window, &tokens, &count);
    if (result == WR_SIMDJSON_NO_MEMORY) return fail_no_memory(decoder, window);
    if (result == WR_SIMDJSON_OK)
      WR_TRY(decode_window(decoder, lines, window, tokens, builder));
    else
      WR_TRY(decode_singly(decoder, lines, window, builder));
  }
  return WEIR_OK;
}
