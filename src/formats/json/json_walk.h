/* formats/json/json_walk.h: one record over the tokens of simdjson's first stage: is it sound, and where do the values
 * of the wanted fields stand? One thread per walker.
 *
 * What stands between two tokens is one number, word or string and white space; every one is checked whole. Records
 * of one source mostly have the same names in the same order, so the walker remembers how each member of a record
 * began, from the comma to the colon, and compares the next record's bytes with it before it looks at a name: equal
 * bytes are the same name, the same tokens and as sound. What is different is read as if nothing was remembered.
 */
#ifndef WR_FORMATS_JSON_WALK_H
#define WR_FORMATS_JSON_WALK_H

#include "base/bytes.h"
#include "weir/types.h"

/* Where a value stands in the text: [start, end); end 0: there is none. Of a container `end` says nothing more. */
struct wr_json_place {
  uint32_t start, end;
};

/* A record under way. Positions are those of the index: from `text`, which may be a window of many records. */
struct wr_json_walk {
  const char *text;
  const uint32_t *token; /* the next token; behind a record's last one comes a position at or behind `end` */
  uint32_t end;          /* of the record */
  uint32_t text_end;     /* of the indexed text, all of which can be read */
  bool has_escapes;      /* a backslash is somewhere in the record */
};

/* How a member began: the bytes from the brace or comma before it up to its colon. */
enum { WR_JSON_EXPECTED_WORDS = 6, WR_JSON_EXPECTED_MAX = 64 };
struct wr_json_expected {
  uint64_t words[WR_JSON_EXPECTED_WORDS], masks[WR_JSON_EXPECTED_WORDS]; /* the mask is 1 where a word is in use */
  uint32_t length;                                                       /* 0: nothing is expected */
  uint32_t field; /* whose value follows; field_count: nobody's */
};

struct wr_json_walker {
  struct wr_memory *memory;
  const struct weir_schema *schema;  /* borrowed */
  uint32_t *name_lengths;            /* per field */
  uint16_t *table;                   /* open addressing by name: field + 1, 0 is free */
  uint32_t table_mask;               /* its size, a power of two, minus 1 */
  struct wr_json_place *places;      /* per field, and one more for values that nobody wants */
  struct wr_json_expected *expected; /* WR_JSON_EXPECTED_MAX of them, of a record's first members */
  struct wr_bytes scratch;           /* a name with its escapes decoded */
};

/* False: no memory; deinit may follow. The schema is borrowed until then. */
bool wr_json_walker_init(struct wr_json_walker *walker, struct wr_memory *memory, const struct weir_schema *schema);
void wr_json_walker_deinit(struct wr_json_walker *walker);

enum wr_json_walk_result { WR_JSON_WALK_SOUND, WR_JSON_WALK_BROKEN, WR_JSON_WALK_NO_MEMORY };

/* Walks one record, leaves the places of its wanted fields in walker->places, and, of a sound one, walk->token behind
 * it. A name that comes again overwrites its place. The places were empty before. */
enum wr_json_walk_result wr_json_walk_record(struct wr_json_walker *walker, struct wr_json_walk *walk);
/* Empties the places for the next record. */
static inline void wr_json_walker_clear(struct wr_json_walker *walker) {
  memset(walker->places, 0, walker->schema->field_count * sizeof walker->places[0]);
}

#endif
