/* The system's words for an errno. */
#include "base/errno_text.h"

#include <stdio.h>
#include <string.h>

const char *wst__errno_text(int error, char out[WST__ERRNO_TEXT])
{
    if (strerror_r(error, out, WST__ERRNO_TEXT) != 0)
        (void)snprintf(out, WST__ERRNO_TEXT, "error %d", error);
    return out;
}
