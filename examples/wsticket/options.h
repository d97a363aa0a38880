/*
 * The options: one table drives the parser, --help, and the tests that compare it with the public
 * header and with the man page.
 */
#ifndef WSTICKET_OPTIONS_H
#define WSTICKET_OPTIONS_H

#include "bytes.h"

#include <wsticket/wsticket.h>

/* What the command line asks for. */
struct settings {
    struct wst_config config;
    const char *token_file;
    const char *token_from; /* Where the token came from, when not from --token; else NULL. */
    int once, echo, binary, json, timing, close_on_eof;
    int quiet, verbose, help, version;
    bool log_attempts; /* Show the library's log of them beside what the view tells. */

    /* Lists that |config| points into; kept in bytes so that they can grow. */
    struct bytes subprotocols; /* const char * each. */
    struct bytes headers;      /* struct wst_header each. */
    struct bytes codes;        /* uint16_t each. */
    struct bytes secrets;      /* char * each: ours; wiped and freed by settings_fini(). */
};

enum option_kind {
    OPTION_FLAG,     /* No value: the int becomes |number|. */
    OPTION_TEXT,     /* const char *. */
    OPTION_FILE,     /* const char *, and the file must be readable. */
    OPTION_CERTS,    /* The same, and a certificate must be in it. */
    OPTION_KEY,      /* The same, and a private key must be in it. */
    OPTION_DIR,      /* const char *, and the directory must be readable. */
    OPTION_NEW_FILE, /* const char *, and its directory must be writable. */
    OPTION_SECRET,   /* const char *, moved out of the visible command line. */
    OPTION_TIME,     /* uint64_t, milliseconds. */
    OPTION_SIZE,     /* size_t, bytes. */
    OPTION_NUMBER,   /* unsigned; at most |number| when that is not 0. */
    OPTION_CHOICE,   /* An enum: one of |choices|. */
    OPTION_STRINGS,  /* May be given more than once: collected. */
    OPTION_HEADERS,
    OPTION_CODES
};

struct option_choice {
    const char *name;
    int value;
};

struct option {
    char letter;          /* Of the short form; 0: none. */
    const char *name;     /* Without the dashes; NULL: this row is a heading, |help|. */
    const char *argument; /* NULL: none. */
    enum option_kind kind;
    size_t offset; /* In struct settings. */
    int number;
    const struct option_choice *choices;
    const char *field; /* Of struct wst_config; NULL: the program's own. */
    const char *help;
};

/* The table; its last row is all zero. */
extern const struct option options_table[];

void settings_init(struct settings *s);
/*
 * Reads the command line and the files that it names.  Returns false after it has said on stderr
 * what is wrong and how to put it right.
 */
bool settings_parse(struct settings *s, int argc, char **argv);
/* Wipes the secrets, and |config| which points to them: to be called once the library has a copy.
 */
void settings_wipe(struct settings *s);
void settings_fini(struct settings *s);

/*
 * The library's texts name fields of its configuration; the user knows options.  Adds |text| with
 * the one replaced by the other, and a terminating zero.  |token_from| as in the settings.
 */
void options_translate(const char *text, const char *token_from, struct bytes *to);
/* Prints the help on stdout. */
void options_help(void);
/* Says on stderr what is wrong with the command line, and where to read on. */
void usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
