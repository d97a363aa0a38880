/* The system's words for an errno. */
#ifndef WST_BASE_ERRNO_TEXT_H
#define WST_BASE_ERRNO_TEXT_H

enum { WST__ERRNO_TEXT = 64 };

/* Into |out|, which is returned: strerror() is not for threads. */
const char *wst__errno_text(int error, char out[WST__ERRNO_TEXT]);

#endif
