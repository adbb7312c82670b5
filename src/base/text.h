/* base/text.h: text that is written as snprintf does: cut to the room there is, while its length goes on. One thread.
 */
#ifndef WR_BASE_TEXT_H
#define WR_BASE_TEXT_H

#include <stddef.h>

struct wr_text {
  char *buffer; /* always ended with a zero; may be NULL when `size` is 0 */
  size_t size;
  size_t length; /* of the whole text */
};

__attribute__((format(printf, 2, 3))) void wr_text_append(struct wr_text *text, const char *format, ...);

#endif
