/* formats/csv/csv_encoder.h: rows of batches as lines of CSV (RFC 4180, '\n' as the line's end). One thread per
 * encoder.
 *
 * A field is quoted where it has to be: where it holds the delimiter, the quote, CR or LF, is a STRING that is empty or
 * reads like a NULL, or begins or ends with a blank. A quote inside is doubled. Values are texts as in
 * formats/value_text.h; BOOLEAN is true or false; BYTES are base64; NULL is the null literal, never quoted, empty by
 * default. So an empty STRING ("") and NULL differ.
 */
#ifndef WR_FORMATS_CSV_ENCODER_H
#define WR_FORMATS_CSV_ENCODER_H

#include "base/bytes.h"
#include "data/batch.h"

/* Flink's options of the same names. */
struct wr_csv_encoder_options {
  char field_delimiter;
  char quote_character;     /* 0: csv.disable-quote-character; a field that needs quotes is an error */
  const char *null_literal; /* borrowed */
};

struct wr_csv_encoder {
  const struct weir_schema *schema; /* borrowed */
  struct wr_csv_encoder_options options;
};

/* INVALID: delimiter and quote are the same, or one of them ends lines, or the null literal holds one of them. */
enum weir_code wr_csv_encoder_init(struct wr_csv_encoder *encoder, const struct weir_schema *schema,
                                   const struct wr_csv_encoder_options *options, struct weir_error *error);
/* Appends the names of the columns, and '\n'. CONSTRAINT as below. */
enum weir_code wr_csv_encode_header(const struct wr_csv_encoder *encoder, struct wr_bytes *out,
                                    struct weir_error *error);
/* Appends one row, and '\n'. CONSTRAINT: a field needs quotes and there are none; `out` then ends within the row.
 * Without memory `out` has failed. */
enum weir_code wr_csv_encode_row(const struct wr_csv_encoder *encoder, const struct wr_batch *batch, uint32_t row,
                                 struct wr_bytes *out, struct weir_error *error);

#endif
