/* formats/json/json_encoder.h: rows of batches as JSON objects, by a schema compiled once. One thread per encoder.
 *
 * A row is one object with the columns as members, in the schema's order and by its names:
 *
 *   BOOLEAN      true, false
 *   INT, BIGINT  a number
 *   DOUBLE       a number, the shortest that reads back as the same (1.0E10); NaN and the infinities are the strings
 *                "NaN", "Infinity", "-Infinity", as Flink's JSON format writes them (JSON has no such numbers)
 *   STRING       a string; '"', '\\', DEL and what is below U+0020 are escaped
 *   BYTES        a string in base64
 *   TIMESTAMP    a string 'YYYY-MM-DD HH:MM:SS[.f]' (Flink's json.timestamp-format.standard 'SQL')
 *   NULL         null; left out with ignore_null_fields
 *
 * The decoder (json_decoder.h) reads all of it back but the three strings for a DOUBLE.
 */
#ifndef WR_FORMATS_JSON_ENCODER_H
#define WR_FORMATS_JSON_ENCODER_H

#include "base/bytes.h"
#include "data/batch.h"

struct wr_json_encoder;

struct wr_json_encoder_options {
  bool ignore_null_fields; /* Flink's json.encode.ignore-null-fields */
};

/* `schema` gives names and types, field i is column i of the batches; it is not needed afterwards. */
enum weir_code wr_json_encoder_new(struct wr_memory *memory, const struct weir_schema *schema,
                                   const struct wr_json_encoder_options *options, struct wr_json_encoder **out_encoder,
                                   struct weir_error *error);
void wr_json_encoder_free(struct wr_json_encoder *encoder); /* NULL is fine */
/* Appends one row, without a newline. Without memory `out` has failed. */
void wr_json_encode_row(const struct wr_json_encoder *encoder, const struct wr_batch *batch, uint32_t row,
                        struct wr_bytes *out);
/* A text, which is UTF-8, as a string with its quotes. */
void wr_json_put_string(struct wr_bytes *out, const char *text, size_t length);

#endif
