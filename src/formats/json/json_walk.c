/* formats/json/json_walk.c: see json_walk.h.
 *
 * What always holds: expected bytes begin at a token, outside of all strings, and were once walked as a comma (or the
 * first brace), a sound name and a colon. So where they stand again at a token, their three tokens are those of the
 * index, and the next one is the value's.
 */
#include "formats/json/json_walk.h"

#include "formats/json/json_digits.h"
#include "formats/json/json_text.h"

enum { TABLE_MIN = 64, WORD_BYTES = sizeof(uint64_t) };

/* ---- names ---- */

static uint64_t load(const char *text, size_t width) {
  uint64_t value = 0;
  memcpy(&value, text, width);
  return value;
}

/* Spreads names by their length and up to 16 of their bytes. */
static uint32_t name_hash(const char *name, size_t length) {
  uint64_t a = 0, b = 0;
  if (length >= 8) {
    a = load(name, 8);
    b = load(name + length - 8, 8);
  } else if (length >= 4) {
    a = load(name, 4);
    b = load(name + length - 4, 4);
  } else if (length > 0) {
    a = (uint64_t)(unsigned char)name[0] << 16 | (uint64_t)(unsigned char)name[length / 2] << 8 |
        (unsigned char)name[length - 1];
  }
  uint64_t mixed = (a ^ (b << 23 | b >> 41) ^ length) * 0x9e3779b97f4a7c15ull;
  return (uint32_t)(mixed >> 40);
}

/* The field of a name; field_count: none. */
static uint32_t find_field(const struct wr_json_walker *walker, const char *name, size_t length) {
  for (uint32_t at = name_hash(name, length);; at++) {
    uint32_t entry = walker->table[at & walker->table_mask];
    if (entry == 0) return walker->schema->field_count;
    if (walker->name_lengths[entry - 1] == length && memcmp(walker->schema->fields[entry - 1].name, name, length) == 0)
      return entry - 1;
  }
}

static void fill_table(struct wr_json_walker *walker) {
  for (uint32_t i = 0; i < walker->schema->field_count; i++) {
    walker->name_lengths[i] = (uint32_t)strlen(walker->schema->fields[i].name);
    uint32_t at = name_hash(walker->schema->fields[i].name, walker->name_lengths[i]);
    while (walker->table[at & walker->table_mask] != 0)
      at++;
    walker->table[at & walker->table_mask] = (uint16_t)(i + 1);
  }
}

/* ---- life ---- */

bool wr_json_walker_init(struct wr_json_walker *walker, struct wr_memory *memory, const struct weir_schema *schema) {
  uint32_t count = schema->field_count, table_size = TABLE_MIN;
  while (table_size < 4 * count)
    table_size *= 2;
  *walker = (struct wr_json_walker){.memory = memory, .schema = schema, .table_mask = table_size - 1};
  wr_bytes_init(&walker->scratch, memory, WR_MEMORY_SOURCE);
  walker->name_lengths = wr_alloc_zeroed(memory, count, sizeof(uint32_t), WR_MEMORY_SOURCE);
  walker->table = wr_alloc_zeroed(memory, table_size, sizeof(uint16_t), WR_MEMORY_SOURCE);
  walker->places = wr_alloc_zeroed(memory, count + 1, sizeof(struct wr_json_place), WR_MEMORY_SOURCE);
  walker->expected = wr_alloc_zeroed(memory, WR_JSON_EXPECTED_MAX, sizeof *walker->expected, WR_MEMORY_SOURCE);
  if (walker->name_lengths == NULL || walker->table == NULL || walker->places == NULL || walker->expected == NULL)
    return false;
  fill_table(walker);
  return true;
}

void wr_json_walker_deinit(struct wr_json_walker *walker) {
  if (walker->memory == NULL) return;
  wr_bytes_deinit(&walker->scratch);
  wr_free(walker->memory, walker->expected);
  wr_free(walker->memory, walker->places);
  wr_free(walker->memory, walker->table);
  wr_free(walker->memory, walker->name_lengths);
}

/* ---- tokens ---- */

/* The first byte of a token; 0 where the record has no more. */
static inline char peek(const struct wr_json_walk *walk, const uint32_t *token) {
  return *token < walk->end ? walk->text[*token] : 0;
}

/* Where the scalar that begins at a token ends, white space trimmed. */
static inline uint32_t scalar_end(const struct wr_json_walk *walk, const uint32_t *token) {
  uint32_t start = token[0], end = token[1] < walk->end ? token[1] : walk->end;
  while (end > start + 1 && wr_json_is_space(walk->text[end - 1]))
    end--;
  return end;
}

/* The index has proved that the string is closed, so only what ends there can be its closing quote. */
static inline bool string_is_sound(const struct wr_json_walk *walk, uint32_t start, uint32_t end) {
  if (end < start + 2 || walk->text[end - 1] != '"') return false;
  return !walk->has_escapes || wr_json_unescape(walk->text + start + 1, end - start - 2, NULL) >= 0;
}

static inline bool number_is_sound(const struct wr_json_walk *walk, uint32_t start, uint32_t end) {
  const char *text = walk->text + start, *after = walk->text + end;
  const bool negative = *text == '-';
  if (wr_json_is_whole(text + negative, end - start - negative, walk->text_end - start - negative)) return true;
  return wr_json_number_end(text, after) == after;
}

static inline bool word_is_sound(const char *text, size_t length) {
  if (*text == 'f') return length == 5 && memcmp(text, "false", 5) == 0;
  return length == 4 && (memcmp(text, "true", 4) == 0 || memcmp(text, "null", 4) == 0);
}

/* Checks the scalar at a token whole. */
static inline bool take_scalar(const struct wr_json_walk *walk, const uint32_t *token,
                               struct wr_json_place *out_place) {
  uint32_t start = *token, end = scalar_end(walk, token);
  char first = walk->text[start];
  *out_place = (struct wr_json_place){.start = start, .end = end};
  if (first == '"') return string_is_sound(walk, start, end);
  if (first == 't' || first == 'f' || first == 'n') return word_is_sound(walk->text + start, end - start);
  return number_is_sound(walk, start, end);
}

/* Checks a name at a token, and its colon. */
static inline bool take_name(const struct wr_json_walk *walk, const uint32_t *token, struct wr_json_place *out_place) {
  return peek(walk, token) == '"' && take_scalar(walk, token, out_place) && peek(walk, token + 1) == ':';
}

/* Checks the container at a token with all that is in it; `depth` are open around it. The open ones are bits, the
 * newest lowest: 1 is an array. Gives the token behind it; NULL: it is not sound. */
static const uint32_t *take_container(const struct wr_json_walk *walk, const uint32_t *token, uint32_t depth) {
  uint64_t arrays = 0;
  uint32_t outside = depth;
  struct wr_json_place place;
  for (;;) {
    char c = peek(walk, token);
    if (c == '{' || c == '[') {
      if (depth == WR_JSON_DEPTH_MAX) return NULL;
      token++;
      depth++;
      arrays = arrays << 1 | (c == '[');
      if (peek(walk, token) != (c == '[' ? ']' : '}')) {
        if (c == '[') continue;
        if (!take_name(walk, token, &place)) return NULL;
        token += 2;
        continue;
      }
    } else {
      if (c == 0 || !take_scalar(walk, token, &place)) return NULL;
      token++;
    }
    while (peek(walk, token) == ((arrays & 1) != 0 ? ']' : '}')) {
      token++;
      arrays >>= 1;
      if (--depth == outside) return token;
    }
    if (peek(walk, token) != ',') return NULL;
    token++;
    if ((arrays & 1) != 0) continue;
    if (!take_name(walk, token, &place)) return NULL;
    token += 2;
  }
}

/* ---- members ---- */

/* Does the member whose brace or comma is the token begin as expected? Then its value is three tokens on. */
static inline bool is_expected(const char *text, uint32_t text_end, const uint32_t *token,
                               const struct wr_json_expected *expected) {
  const uint32_t begin = token[0], length = expected->length;
  if (text_end - begin < sizeof expected->words) return false;
  uint64_t different = ((load(text + begin, WORD_BYTES) ^ expected->words[0]) & expected->masks[0]) |
                       ((load(text + begin + WORD_BYTES, WORD_BYTES) ^ expected->words[1]) & expected->masks[1]);
  for (uint32_t i = 2; i * WORD_BYTES < length; i++)
    different |= (load(text + begin + i * WORD_BYTES, WORD_BYTES) ^ expected->words[i]) & expected->masks[i];
  return different == 0 && length != 0;
}

/* The next record's member is expected to begin as this one did, up to its colon. */
static void expect(const struct wr_json_walk *walk, const uint32_t *token, uint32_t field,
                   struct wr_json_expected *expected) {
  uint32_t length = token[2] + 1 - token[0];
  if (length > sizeof expected->words) return;
  *expected = (struct wr_json_expected){.length = length, .field = field};
  memcpy(expected->words, walk->text + token[0], length);
  memset(expected->masks, 0xff, length);
}

/* The field of a sound name. False: no memory. */
static bool field_of(struct wr_json_walker *walker, const struct wr_json_walk *walk, struct wr_json_place name,
                     uint32_t *out_field) {
  const char *bytes = walk->text + name.start + 1;
  size_t length = name.end - name.start - 2;
  if (walk->has_escapes && memchr(bytes, '\\', length) != NULL) {
    wr_bytes_clear(&walker->scratch);
    char *room = (char *)wr_bytes_reserve(&walker->scratch, length);
    if (room == NULL) return false;
    length = (size_t)wr_json_unescape(bytes, length, room);
    bytes = room;
  }
  *out_field = find_field(walker, bytes, length);
  return true;
}

/* Reads how the member behind the brace or comma at the token begins, number `member` of its record. */
__attribute__((noinline)) static enum wr_json_walk_result begin_member(struct wr_json_walker *walker,
                                                                       const struct wr_json_walk *walk,
                                                                       const uint32_t *token, uint32_t member,
                                                                       uint32_t *out_field) {
  struct wr_json_place name;
  if (!take_name(walk, token + 1, &name)) return WR_JSON_WALK_BROKEN;
  if (!field_of(walker, walk, name, out_field)) return WR_JSON_WALK_NO_MEMORY;
  if (member < WR_JSON_EXPECTED_MAX) expect(walk, token, *out_field, &walker->expected[member]);
  return WR_JSON_WALK_SOUND;
}

/* Checks the value at a token, of any kind, and gives the token behind it; NULL: it is not sound. */
__attribute__((noinline)) static const uint32_t *take_value(const struct wr_json_walk *walk, const uint32_t *token,
                                                            struct wr_json_place *out_place) {
  char c = peek(walk, token);
  if (c == '{' || c == '[') {
    *out_place = (struct wr_json_place){.start = *token, .end = *token + 1};
    return take_container(walk, token, 1);
  }
  return c != 0 && take_scalar(walk, token, out_place) ? token + 1 : NULL;
}

/* A string or a short whole number with a token directly behind it; what else there is needs take_value. */
static inline bool is_plain_value(const char *text, uint32_t text_end, uint32_t start, uint32_t end) {
  if (text[start] == '"') return text[end - 1] == '"' && end - start >= 2;
  return wr_json_is_whole(text + start, end - start, text_end - start);
}

enum wr_json_walk_result wr_json_walk_record(struct wr_json_walker *walker, struct wr_json_walk *walk) {
  const uint32_t *token = walk->token;
  const char *text = walk->text;
  const uint32_t end = walk->end, text_end = walk->text_end;
  const bool has_escapes = walk->has_escapes;
  struct wr_json_place *places = walker->places;
  const struct wr_json_expected *expected = walker->expected;
  char c = peek(walk, token);
  if (c != '{') return WR_JSON_WALK_BROKEN;
  if (peek(walk, token + 1) == '}') {
    token++;
    c = '}';
  }
  for (uint32_t member = 0; c != '}'; member++, expected++) {
    uint32_t field;
    if (member < WR_JSON_EXPECTED_MAX && is_expected(text, text_end, token, expected)) {
      field = expected->field;
    } else {
      enum wr_json_walk_result result = begin_member(walker, walk, token, member, &field);
      if (result != WR_JSON_WALK_SOUND) return result;
    }
    token += 3;
    if (*token < end && !has_escapes && is_plain_value(text, text_end, token[0], token[1])) {
      places[field] = (struct wr_json_place){.start = token[0], .end = token[1]};
      token++;
    } else {
      struct wr_json_place place;
      token = take_value(walk, token, &place);
      if (token == NULL) return WR_JSON_WALK_BROKEN;
      places[field] = place;
    }
    if (*token >= end) return WR_JSON_WALK_BROKEN;
    c = text[*token];
    if (c != ',' && c != '}') return WR_JSON_WALK_BROKEN;
  }
  walk->token = ++token;
  return *token >= end ? WR_JSON_WALK_SOUND : WR_JSON_WALK_BROKEN;
}
