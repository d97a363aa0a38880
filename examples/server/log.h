/* Log lines on stderr, in the wording that the client's documentation shows. */
#ifndef WSTSERVER_LOG_H
#define WSTSERVER_LOG_H

#include <stdbool.h>

/* With |on|, each line begins with the time of day in UTC. */
void log_timestamps(bool on);

/* Writes one line, in one write.  Never pass a token or a ticket: what identifies one is its hash.
 */
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* |text|, which came from outside, made fit to stand between quotes: control bytes, quotes,
 * backslashes and what is not ASCII (there are more controls) become '?', the length is bounded.
 * NULL gives "".  Returns |out|. */
#define LOG_TEXT_LEN 128
const char *log_text(char out[LOG_TEXT_LEN], const char *text);

#endif
