/* formats/json/json_decoder.h: JSON records into batches, by a schema compiled once. One thread per decoder.
 *
 * A record is one JSON object on one line (RFC 8259, UTF-8, at most 16 MiB, at most 64 levels deep). It is validated
 * whole: grammar, UTF-8, escapes, also in what is not taken out. A name given twice: the last one wins. Types:
 *
 *   STRING     a string, escapes decoded (\u0000 is fine; half of a surrogate pair is an error)
 *   BIGINT     a number without fraction and exponent, in range (1.0 and 1e3 are errors); INT likewise
 *   DOUBLE     any number of finite value; the nearest double
 *   BOOLEAN    true, false
 *   TIMESTAMP  a string 'YYYY-MM-DD HH:MM:SS[.f]', 1 to 9 digits of f; 'T' for the space and a 'Z' at the end are fine
 *   BYTES      a string in base64 (RFC 4648 section 4, padded)
 *
 * A field that is missing or null is NULL where its column is nullable, else the record is bad.
 *
 * The texts that are given need no padding and no zero behind them.
 */
#ifndef WR_FORMATS_JSON_DECODER_H
#define WR_FORMATS_JSON_DECODER_H

#include "data/batch_builder.h"
#include "os/seams.h"

struct wr_json_decoder;

enum wr_json_fault_kind {
  WR_JSON_NOT_JSON,      /* breaks the grammar, is not UTF-8, is too deep, or is empty */
  WR_JSON_NOT_OBJECT,    /* valid JSON, but no object */
  WR_JSON_FIELD_MISSING, /* a field that cannot be NULL is missing or null */
  WR_JSON_FIELD_TYPE,    /* a field has another type, or is out of its type's range */
  WR_JSON_TOO_LONG       /* over WR_RECORD_BYTES_MAX */
};

/* What is wrong with a record. */
struct wr_json_fault {
  enum wr_json_fault_kind kind;
  uint32_t position;   /* byte within the record where it shows; of a missing field: the length of the record */
  const char *field;   /* of a field's fault its name, as long as the decoder lives; else NULL */
  char sentence[160];  /* "expected ',' or '}' after a value", without position and place */
  size_t record_bytes; /* of the line without its newline */
};

/* Decodes the fields of `schema` (copied): field i into column field_map[i] of the builder (copied; NULL: column i).
 * Other columns are the caller's to fill. `calls` learns of what simdjson allocates by itself, so that it is released
 * when an engine is dropped as a whole; NULL where nobody drops anything. */
enum weir_code wr_json_decoder_new(struct wr_memory *memory, struct wr_calls *calls, const struct weir_schema *schema,
                                   const uint32_t *field_map, struct wr_json_decoder **out_decoder,
                                   struct weir_error *error);
void wr_json_decoder_free(struct wr_json_decoder *decoder); /* NULL is fine */

/* Decodes one record, without its newline, and sets its fields in the builder's current row; the caller sets its own
 * columns and ends the row. BAD_RECORD: `fault` says why, the row is cancelled. NO_MEMORY likewise, and `error` says
 * so. */
enum weir_code wr_json_decode(struct wr_json_decoder *decoder, const char *text, size_t length,
                              struct wr_batch_builder *builder, struct wr_json_fault *fault, struct weir_error *error);

/* Records that come one by one, decoded many at a time: the first pass over a text costs less for a text of many than
 * for many texts. They are copied into the decoder's window until it takes no more, then decoded in the same order,
 * with the same results as by wr_json_decode; a newline inside a record is white space there, too. The other ways of
 * decoding are closed while something is left in the window. */

/* Copies a record into the window. False: it takes no more, or this record is too large for it. */
bool wr_json_gather(struct wr_json_decoder *decoder, const char *text, size_t length);
/* How many are left to be decoded. */
uint32_t wr_json_gathered(const struct wr_json_decoder *decoder);
/* Decodes the next one, of which there is one, as wr_json_decode does, and takes it from the window, also a bad one. */
enum weir_code wr_json_decode_gathered(struct wr_json_decoder *decoder, struct wr_batch_builder *builder,
                                       struct wr_json_fault *fault, struct weir_error *error);
void wr_json_forget_gathered(struct wr_json_decoder *decoder); /* those that are left */

/* A run of lines to decode. */
struct wr_json_lines {
  const char *text;    /* begins at the beginning of a line; taken-over lines are skipped by the callee */
  size_t length;       /* bytes left in `text` */
  bool ends;           /* the text is the end of the input: its last line counts although no newline ends it */
  uint32_t line_count; /* lines taken so far; the caller sets it to 0, or to whatever it counts on from */
  uint32_t
      *row_lines; /* per row of the builder's batch, by row number: its line_count before the line. NULL: not asked */
};

/* Decodes lines into rows, and ends each row (+I), until the builder is full, the text holds no whole line any more, or
 * a record is bad. `lines` is left behind the last line taken; a line of white space (with '\r') is counted and passed
 * over. BAD_RECORD: `lines` stands before the bad line, `fault` says what and how long; wr_json_skip_line goes on
 * behind it. Rows that were ended stay. The caller fills its own columns of the new rows afterwards, straight in the
 * batch. */
enum weir_code wr_json_decode_lines(struct wr_json_decoder *decoder, struct wr_json_lines *lines,
                                    struct wr_batch_builder *builder, struct wr_json_fault *fault,
                                    struct weir_error *error);
/* Takes one line, whatever is in it. False: there is no whole line. */
bool wr_json_skip_line(struct wr_json_lines *lines);

#endif
